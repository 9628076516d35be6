import Testing

@testable import UnitFiles

/// Scalars that Swift has no literals for.
private let noncharacter = Unicode.Scalar(UInt16(0xFDD0)).map(String.init) ?? ""
private let lastOfPlane = Unicode.Scalar(UInt32(0x1FFFE)).map(String.init) ?? ""

@Suite("Syntax of unit files (systemd.syntax(7))")
struct SyntaxTests {
    private func values(_ text: String) -> [String] {
        UnitFileParser.parse(text, path: "u").assignments.map { "\($0.section)|\($0.key)|\($0.value)" }
    }

    @Test("the manual's example")
    func manualExample() {
        let text = """
            [Section A]
            KeyOne=value 1
            KeyTwo=value 2

            # a comment

            [Section B]
            Setting="something" "some thing" "…"
            KeyTwo=value 2 \\
                   value 2 continued

            [Section C]
            KeyThree=value 3\\
            # this line is ignored
            ; this line is ignored too
                   value 3 continued
            """
        #expect(
            values(text) == [
                "Section A|KeyOne|value 1", "Section A|KeyTwo|value 2",
                "Section B|Setting|\"something\" \"some thing\" \"…\"",
                "Section B|KeyTwo|value 2         value 2 continued",
                "Section C|KeyThree|value 3        value 3 continued",
            ])
        #expect(UnitFileParser.parse(text, path: "u").diagnostics.isEmpty)
    }

    @Test(
        "what belongs to a value",
        arguments: [
            ("[S]\nA = b \t", ["S|A|b"]), ("[S]\nA=", ["S|A|"]), ("[S]\nA=b=c", ["S|A|b=c"]),
            ("[S]\r\nA=b\r\n", ["S|A|b"]), ("\u{FEFF}[S]\nA=b", ["S|A|b"]), ("[S]\nA=b # c", ["S|A|b # c"]),
            ("  [S]  \n   A=b", ["S|A|b"]), ("[S]\nA=b\\\\\nC=d", ["S|A|b\\\\", "S|C|d"]),
            ("[S]\nA=b\\", ["S|A|b"]), ("[S]\nA=\\\n  \\\n b", ["S|A|b"]), ("[S]\nA=b\\\n\nC=d", ["S|A|b", "S|C|d"]),
            ("[S]\n# x \\\nA=b", ["S|A|b"]), ("[S]\nA=1\nA=2", ["S|A|1", "S|A|2"]), ("[S]\nGröße=ö", ["S|Größe|ö"]),
            ("", []), ("\n\n", []), ("\\", []), ("[]\nA=b", ["|A|b"]), ("[S]\nA=\u{1B}[0m", ["S|A|\u{1B}[0m"]),
            ("[S]\nA=b\\ \nC=d", ["S|A|b\\", "S|C|d"]),
        ] as [(String, [String])])
    func lines(text: String, expected: [String]) {
        #expect(values(text) == expected)
    }

    @Test(
        "bad lines are reported where they are and parsing goes on",
        arguments: [
            ("A=b\n[S]\nC=d", DiagnosticCode.invalidSyntax, 1, 1), ("[S]\nnonsense\nC=d", .invalidSyntax, 2, 1),
            ("[S]\n  =x\nC=d", .invalidSyntax, 2, 3), ("[S]\nA=é\(noncharacter)x\nC=d", .notText, 2, 4),
            ("[S]\nA\(noncharacter)=x\nC=d", .notText, 2, 2), ("[S]\nA=\\\n\(lastOfPlane)\nC=d", .notText, 3, 1),
        ] as [(String, DiagnosticCode, Int, Int)])
    func badLines(text: String, code: DiagnosticCode, line: Int, column: Int) {
        let parsed = UnitFileParser.parse(text, path: "u")
        #expect(parsed.diagnostics.first?.code == code)
        #expect(parsed.diagnostics.first?.location == SourceLocation(file: "u", line: line, column: column))
        #expect(parsed.assignments.map { "\($0.section)|\($0.key)|\($0.value)" } == ["S|C|d"])
    }

    @Test(
        "nothing behind a header that cannot be read falls into the section before it",
        arguments: ["[S", "[S] # c", "[S\u{1}]", "[S\(noncharacter)]", "["])
    func badHeaders(header: String) throws {
        let parsed = UnitFileParser.parse("[Unit]\nA=b\n\(header)\nC=d\n[Unit]\nE=f\n", path: "u")
        #expect(parsed.assignments.map(\.key) == ["A"] && parsed.isTruncated)
        #expect(parsed.diagnostics.map(\.location.line) == [3])
        // As systemd: a unit file with one is refused, a drop-in counts up to there.
        #expect(try load("a.target", "[Unit]\nDescription=x\n\(header)\n").unit == nil)
        let files = ["a.target": "[Unit]\nDescription=x", "a.target.d/x.conf": "[Unit]\nDescription=y\n\(header)\n"]
        let loaded = loader(files).load(try name("a.target"))
        #expect(loaded.target?.unit.description == "y" && loaded.diagnostics.map(\.severity) == [.warning])
    }

    @Test("a byte that is not UTF-8 spoils only its own assignment, and nothing in a comment")
    func bytesThatAreNotUTF8() {
        let bytes = Array("[S]\n# caf".utf8) + [0xE9, 10] + Array("A=b".utf8) + [0xFF] + Array("\nC=d".utf8)
        let text = FileText.decode(bytes)
        let parsed = UnitFileParser.parse(text, path: "u")
        #expect(parsed.assignments.map(\.key) == ["C"] && parsed.diagnostics.map(\.code) == [.notText])
        #expect(parsed.diagnostics.first?.location == SourceLocation(file: "u", line: 3, column: 4))
        #expect(FileText.displayText(text) == "[S]\n# caf\u{FFFD}\nA=b\u{FFFD}\nC=d")
    }

    @Test(
        "lines end as under systemd",
        arguments: [
            ("[S]\rA=b\rC=d\r", 3), ("[S]\r\nA=b\r\nC=d", 3), ("[S]\n\rA=b\n\rC=d", 3), ("[S]\0A=b\0C=d", 3),
            ("[S]\n\0A=b\n\0C=d", 3), ("[S]\n\nA=b\r\rC=d", 5), ("[S]\0\0A=b\0\nC=d", 5),
            ("[S]\nA=b\n\u{FEFF}C=d", 3), ("[S]\nA=b\\\r\rC=d", 4),
        ] as [(String, Int)])
    func lineEnds(text: String, last: Int) {
        let parsed = UnitFileParser.parse(text, path: "u")
        #expect(parsed.assignments.map { "\($0.key)|\($0.value)" } == ["A|b", "C|d"])
        #expect(parsed.assignments.last?.line == last && parsed.diagnostics.isEmpty)
    }

    @Test("places inside a continued value are places in the file")
    func columns() throws {
        let text = "[S]\n  Kéy =  öne \\\n# comment\n   two\\\n three\n"
        let assignment = try #require(UnitFileParser.parse(text, path: "u").assignments.first)
        #expect(assignment.keyLocation == SourceLocation(file: "u", line: 2, column: 3))
        #expect(assignment.valueLocation == SourceLocation(file: "u", line: 2, column: 10))
        let words = try WordReader.words(assignment.value)
        let places = words.map { assignment.location(at: $0.offset) }.map { [$0.line, $0.column] }
        #expect(words.map(\.text) == ["öne", "two", "three"])
        #expect(places == [[2, 10], [4, 4], [5, 2]])
    }

    @Test("a file of more than 1 MiB is refused whole, and a flood of errors is cut")
    func bounds() {
        let huge = UnitFileParser.parse(String(repeating: "#", count: (1 << 20) + 1), path: "u")
        #expect(codes(huge.diagnostics) == [.fileTooLarge] && huge.assignments.isEmpty)
        let flood = UnitFileParser.parse("[S]\n" + String(repeating: "x\n", count: 5000), path: "u")
        #expect(flood.diagnostics.count == UnitFileLimits.diagnosticsPerFile + 1)
        #expect(flood.diagnostics.last?.code == .tooManyDiagnostics)
    }

    @Test(
        "quotes and escapes",
        arguments: [
            ("a  b\tc", ["a", "b", "c"]), ("\"a b\" 'c d'", ["a b", "c d"]), ("'' \"\"", ["", ""]),
            ("\"it's\" 'say \"x\"'", ["it's", "say \"x\""]), ("A='b c'", ["A=b c"]), ("'a'b", ["ab"]),
            ("\\a\\b\\f\\n\\r\\t\\v", ["\u{7}\u{8}\u{C}\n\r\t\u{B}"]), ("a\\sb", ["a b"]), ("a\\\\b", ["a\\b"]),
            ("\\\"a\\'", ["\"a'"]), ("\\x41\\102", ["AB"]), ("\\u00e9\\U0001f600", ["é😀"]), ("\\xc3\\xa9", ["é"]),
            ("'a\\nb'", ["a\nb"]), ("\\q", ["\\q"]), ("\\x4", ["\\x4"]), ("\\x00", ["\\x00"]), ("\\ud800", ["\\ud800"]),
            ("", []), ("   ", []),
        ] as [(String, [String])])
    func quoting(value: String, expected: [String]) throws {
        #expect(try WordReader.words(value).map(\.text) == expected)
    }

    @Test(
        "what cannot be unquoted says where",
        arguments: [("a \"b", 2), ("a 'b\" c", 2), ("ab\\", 2), ("x \\xff", 2)])
    func badQuoting(value: String, offset: Int) {
        #expect { try WordReader.words(value) } throws: { ($0 as? ValueError)?.offset == offset }
    }

    @Test("names keep their backslashes")
    func retained() throws {
        #expect(try WordReader.words("a\\x2db.service", escapes: .retained).map(\.text) == ["a\\x2db.service"])
    }
}
