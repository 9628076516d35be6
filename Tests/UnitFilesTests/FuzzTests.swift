import Testing
import Vocabulary

@testable import UnitFiles

@Suite("Bad input never crashes")
struct FuzzTests {
    private static let pieces = [
        "[Unit]", "[Service]", "[Socket]", "[X-Swap]", "[", "]", "=", "\n", "\n\n", "\\\n", "\r\n", "\\", "\"", "'",
        "%", "%i", "%t",
        "$", "${", "}", "#", ";", " ; ", " ", "\t", "\u{0}", "\u{1B}", "é", "😀", "\u{FEFF}", "-", "@", "+", "!", ":",
        "/", ".", "..",
        "0", "9", "18446744073709551616", "infinity", "1y", "99999999999w", "\\x41", "\\x", "\\u12", "\\777", "KMGT",
        "[::1]:80",
        "127.0.0.1:0", "app@%i.service", "a.socket", ".service", "@.target", "exec ", "http ", "tcp ", "SIGTERM",
        "RTMIN+9",
    ]
    private static let keys = UnitSectionName.allCases.flatMap(DirectiveTable.acceptedNames)

    private func text(_ random: inout Seeded) -> String {
        var text = ""
        if Bool.random(using: &random) {
            text = Array(Site.files.values.sorted()).randomElement(using: &random) ?? ""
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                var scalars = Array(text.unicodeScalars)
                guard !scalars.isEmpty else { break }
                let at = Int.random(in: 0..<scalars.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: scalars.removeSubrange(at..<min(scalars.count, at + Int.random(in: 1...9, using: &random)))
                case 1:
                    scalars.insert(contentsOf: (Self.pieces.randomElement(using: &random) ?? "").unicodeScalars, at: at)
                default: scalars[at] = Unicode.Scalar(UInt8.random(in: 0...255, using: &random))
                }
                text = ""
                text.unicodeScalars.append(contentsOf: scalars)
            }
        } else {
            for _ in 0..<Int.random(in: 0...40, using: &random) {
                let list = Int.random(in: 0..<3, using: &random) == 0 ? Self.keys : Self.pieces
                text += list.randomElement(using: &random) ?? ""
                if list.count == Self.keys.count { text += "=" }
            }
        }
        return text
    }

    @Test("20,000 random and mutated texts: no crash, every place lies inside the file", arguments: 0..<8)
    func units(seed: Int) throws {
        var random = Seeded(UInt64(seed))
        let names = try ["a@v.service", "a.socket", "a@.target", "b.service"].map(name)
        for _ in 0..<2500 {
            let text = text(&random)
            let bytes = Array(text.utf8)
            let lines = bytes.withUnsafeBufferPointer { buffer in
                var lines = PhysicalLines(buffer)
                var found: [ArraySlice<UInt8>] = []
                while let line = lines.next() { found.append(bytes[line]) }
                return found
            }
            let unit = try #require(names.randomElement(using: &random))
            let loaded = loader([unit.identity.description: text, "b.service.d/x.conf": text]).load(unit)
            for diagnostic in loaded.diagnostics where diagnostic.location.line > 0 {
                let location = diagnostic.location
                let isInside =
                    location.line <= lines.count && location.column >= 1
                    && location.column <= lines[location.line - 1].count { $0 & 0xC0 != 0x80 } + 1
                if !isInside { Issue.record("\(diagnostic) is outside of \(text.debugDescription)") }
            }
        }
    }

    @Test("random texts as values, environment files and names", arguments: 0..<4)
    func values(seed: Int) {
        var random = Seeded(UInt64(seed) &+ 1000)
        for _ in 0..<2500 {
            let text = text(&random)
            if let environment = try? EnvironmentFile.parse(text, path: "e") {
                #expect(environment.assignments.allSatisfy { EnvironmentAssignment.isValidName($0.name) })
            }
            _ = try? TimeSpan.parse(text)
            _ = try? Value.size(text)
            _ = try? ListenAddress.parse(text)
            _ = try? Signal.parse(text)
            _ = try? ResourceLimit.parse(text, unit: .bytes)
            _ = UnitNameEscaping.unescapePath(text)
            #expect(UnitNameEscaping.unescape(UnitNameEscaping.escape(text)) == text)
            if let name = try? UnitName(text) {
                #expect(name.stem + name.kind.suffix == name.description && name.identity.identity == name.identity)
            }
            let command = ExecCommand(path: "/x", arguments: [text])
            _ = command.expanded(with: ["A": text, "": text])
        }
    }

    @Test(
        "one megabyte of anything is read in one go and reported in at most 1,001 diagnostics",
        arguments: [
            ("[Unit]\nWants=", "bad! ", 200_000), ("[Unit]\nWants=é ", "bad! ", 200_000),
            ("[Service]\nExecStart=/x ", "\\q ", 300_000), ("[Service]\n", "ExecStrat=/x\n", 70_000),
            ("[Service]\n", "ExecStart=x\n", 80_000), ("[Service]\nExecStart=/x\nEnvironment=A=", "%i", 500_000),
            ("", "[Service]\n", 100_000), ("", "\\\n", 500_000),
        ] as [(String, String, Int)])
    func large(head: String, piece: String, count: Int) throws {
        let text = head + String(repeating: piece, count: count)
        let loaded = try load("a@\(String(repeating: "v", count: 200)).service", text)
        #expect(loaded.diagnostics.count <= UnitFileLimits.diagnosticsPerUnit + 1)
    }

    @Test("random sets of units: resolving and verifying ends, without a crash", arguments: 0..<4)
    func resolver(seed: Int) throws {
        var random = Seeded(UInt64(seed) &+ 2000)
        let names = [
            "a@.service", "b@.service", "c.service", "a@.socket", "d.socket", "s@.target", "t.target", "u@.target",
        ]
        for _ in 0..<100 {
            var files: [String: String] = [:]
            for file in names where Int.random(in: 0..<5, using: &random) > 0 {
                func some() -> String {
                    (0..<Int.random(in: 0...4, using: &random)).map { _ in
                        (names.randomElement(using: &random) ?? "").replacing("@", with: "@%i")
                    }.joined(separator: " ")
                }
                var text = "[Unit]\nWants=\(some())\nRequires=\(some())\nAfter=\(some())\nBefore=\(some())\n"
                if file.hasSuffix("service") {
                    text += "[Service]\nExecStart=/x\nSockets=\(some())\nX-Upstreams=\(some())\n"
                }
                if file.hasSuffix("socket") { text += "[Socket]\nListenStream=80\n" }
                if Bool.random(using: &random) { text += "[X-Swap]\n" }
                files[file] = text.split(separator: "\n").filter { !$0.hasSuffix("=") }.joined(separator: "\n")
            }
            let all = loader(files)
            _ = Verifier(loader: all).verifyAll()
            let resolver = SwapUnitResolver(loader: all)
            for file in names {
                let unit = try name(file)
                let resolution = resolver.resolve(unit.isTemplate ? try unit.instantiated("v") : unit)
                guard let definition = resolution.definition else { continue }
                let members = Set(definition.services.map(\.name))
                #expect(members.count == definition.services.count)
                for (later, earlier) in definition.startsAfter {
                    #expect(members.contains(later) && members.isSuperset(of: earlier))
                }
                _ = definition.moving(with: members)
            }
        }
    }
}
