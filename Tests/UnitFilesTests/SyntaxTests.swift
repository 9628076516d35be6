import Testing

@testable import UnitFiles

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
            ("", []), ("\n\n", []), ("\\", []), ("[S]\nA=b\\ \nC=d", ["S|A|b\\", "S|C|d"]),
        ] as [(String, [String])])
    func lines(text: String, expected: [String]) {
        #expect(values(text) == expected)
    }

    @Test(
        "bad lines are reported where they are and parsing goes on",
        arguments: [
            ("A=b\n[S]\nC=d", DiagnosticCode.invalidSyntax, 1, 1), ("[S]\nnonsense\nC=d", .invalidSyntax, 2, 1),
            ("[S]\n  =x\nC=d", .invalidSyntax, 2, 3), ("[T]\n[S\nX=y\n[S]\nC=d", .invalidSyntax, 2, 1),
            ("[]\n[S]\nC=d", .invalidSyntax, 1, 1), ("[S]\nA=é\u{0}x\nC=d", .controlCharacter, 2, 4),
            ("[S]\nA=\u{1B}[0m\nC=d", .controlCharacter, 2, 3), ("[S]\nA=a\rb\nC=d", .controlCharacter, 2, 4),
        ] as [(String, DiagnosticCode, Int, Int)])
    func badLines(text: String, code: DiagnosticCode, line: Int, column: Int) {
        let parsed = UnitFileParser.parse(text, path: "u")
        #expect(parsed.diagnostics.first?.code == code)
        #expect(parsed.diagnostics.first?.location == SourceLocation(file: "u", line: line, column: column))
        #expect(parsed.assignments.last.map { "\($0.section)|\($0.key)|\($0.value)" } == "S|C|d")
        // What stood under a header that cannot be read belongs to no section.
        #expect(!parsed.assignments.contains { $0.key == "X" })
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
