import ControlProtocol
import Foundation
import Linux
import Synchronization
import Testing

@testable import holdfastctl

/// Reading logs, without a daemon.
@Suite struct LogReadingTests {
    private func line(_ text: String) -> LogLine? { Array(text.utf8).withUnsafeBytes { LogLine($0) } }

    @Test("a line is taken apart, whatever the service printed; what is none is passed over")
    func lines() throws {
        let time = "2026-01-02T03:04:05.678901Z"
        let found = try #require(line("\(time) app@v2.service#7 err: a: b "))
        #expect((found.time, found.unit, found.generation) == (time, "app@v2.service", 7))
        #expect((found.stream, found.text) == ("err", "a: b "))
        #expect(line("\(time) app.service#1 out: ")?.text == "")
        let own = try #require(line("\(time) app.service log: 3 lines were lost: write: x"))
        #expect(
            (own.unit, own.generation, own.stream, own.text) == (
                "app.service", nil, "log", "3 lines were lost: write: x"
            ))
        for text in ["", "text", time, "\(time) app.service#1", "\(time) app.service#1 out"] {
            #expect(line(text) == nil)
        }
        #expect(
            found.json
                == #"{"time":"2026-01-02T03:04:05.678901Z","unit":"app@v2.service","generation":7,"stream":"err","text":"a: b "}"#
        )
    }

    @Test("times are understood as systemd's tools do")
    func times() { Self.inZone("Europe/Berlin", understandsTimes) }

    /// The process has one time zone, and tests run in parallel.
    private static let zone = Mutex(())

    private static func inZone(_ name: String, _ body: () -> Void) {
        zone.withLock { _ in
            setenv("TZ", name, 1)
            tzset()
            body()
            unsetenv("TZ")
            tzset()
        }
    }

    private func understandsTimes() {
        // The time 2026-01-02 12:00:00 in Berlin.
        let now: Int64 = 1_767_351_600_000_000
        func parse(_ text: String) -> Int64? { PointInTime.parse(text, now: now).map { ($0 - now) / 1_000_000 } }
        #expect(parse("now") == 0 && parse("today") == -43_200 && parse("yesterday") == -129_600)
        #expect(parse("-5min") == -300 && parse("2h ago") == -7200 && parse("@1767351601") == 1)
        #expect(parse("2026-01-02 11:59:58") == -2 && parse("11:59") == -60 && parse("2026-01-02") == -43_200)
        #expect(parse("2026-01-02T11:00:00Z") == 0 && parse("2026-01-02 11:00:01 UTC") == 1)
        #expect(parse("2026-01-02T11:00:00.5Z") == 0)
        for text in ["", "soon", "-", "25:00", "2026-13-01", "2026-01-02 x", "-5parsecs"] {
            #expect(parse(text) == nil, "\(text)")
        }
    }

    @Test(
        "names mean units, groups with their next releases, patterns; what means nothing is said with the nearest name")
    func selection() throws {
        func service(_ name: String) -> ServiceStatus { ServiceStatus(unit: name, state: .running) }
        let site = UnitStatus(
            unit: "site@.target", description: "", state: .running, swappable: true,
            generations: [
                GenerationStatus(
                    number: 2, release: "v2", role: .serving,
                    services: [service("app@v2.service"), service("edge@v2.service")]),
                GenerationStatus(number: 1, release: "v1", role: .draining, services: [service("app@v1.service")]),
            ])
        let files = ["app@v0.service", "app@v1.service", "app@v2.service", "db.service", "holdfastd"]
        func select(_ names: String...) throws -> LogSelection {
            try LogSelection(names, status: [site], files: files)
        }
        #expect(try select("db").units == ["db.service"] && select("db.service").units == ["db.service"])
        let all = try select()
        #expect(all.units == Array(files.dropLast()) && all.contains("new.service") && !all.contains("holdfastd"))
        let group = try select("site")
        #expect(group.units == ["app@v0.service", "app@v1.service", "app@v2.service", "edge@v2.service"])
        #expect(group.contains("app@v3.service") && group.contains("edge@v3.service") && !group.contains("db.service"))
        #expect(try select("site:*").units == group.units)
        let release = try select("site@v1")
        #expect(release.units == ["app@v1.service"] && !release.contains("app@v2.service"))
        #expect(try select("app").units.count == 3 && select("app").contains("app@v3.service"))
        #expect(try select("*@v1*").units == ["app@v1.service"] && select("holdfastd").units == ["holdfastd"])
        #expect(throws: CommandFailure.self) { try select("dbb") }
    }

    @Test("lines have aligned columns; a terminal gets neither its own commands nor lost marks")
    func text() { Self.inZone("UTC", columnsAreAligned) }

    private func columnsAreAligned() {
        let lines = ["app@v2.service#7 out: a\u{1b}[2Jb", "db.service#1 err: c", "db.service log: d"].compactMap {
            line("2026-01-02T03:04:05.678901Z \($0)")
        }
        var plain = LogText(.short, .plain, showsUnit: true)
        #expect(
            plain.lines(lines) == """
                2026-01-02 03:04:05.678 app@v2#7 | a\u{1b}[2Jb
                2026-01-02 03:04:05.678 db#1     ! c
                2026-01-02 03:04:05.678 db       = log: d

                """)
        var terminal = LogText(.cat, Screen(width: 80, color: false), showsUnit: true)
        #expect(terminal.lines(Array(lines.prefix(1))) == "a?[2Jb\n")
        var colored = LogText(.short, Screen(width: 80, color: true), showsUnit: true)
        #expect(colored.lines(lines).contains("\u{1b}[31m!\u{1b}[0m c"))
    }

    /// A directory of logs.
    private struct Directory: ~Copyable {
        let path: String
        init() throws {
            path = NSTemporaryDirectory() + "holdfast-logs-\(UUID())"
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        }
        deinit { try? FileManager.default.removeItem(atPath: path) }

        func write(_ name: String, _ numbers: ClosedRange<Int>, unit: String = "a.service") throws {
            let text = numbers.map { "2026-01-02T03:04:05.\(100_000 + $0)Z \(unit)#1 out: \($0)\n" }.joined()
            try text.write(toFile: "\(path)/\(name)", atomically: false, encoding: .utf8)
        }
        func gzip(_ name: String) throws {
            let gzip = Process()
            gzip.executableURL = URL(fileURLWithPath: "/bin/gzip")
            gzip.arguments = ["\(path)/\(name)"]
            try gzip.run()
            gzip.waitUntilExit()
        }
        func source(_ unit: String = "a.service") -> LogSource { LogSource(directory: path, unit: unit) }
    }

    private func numbers(_ lines: [LogLine]) -> [Int] { lines.compactMap { Int($0.text) } }

    @Test(
        "the last lines come from as many files as it takes, compressed ones too, and from a beginning that is far away"
    )
    func last() throws {
        let directory = try Directory()
        try directory.write("a.service.log.20260102T030405.001Z", 1...3)
        try directory.gzip("a.service.log.20260102T030405.001Z")
        try directory.write("a.service.log.20260102T030405.002Z", 4...5)
        try directory.write("a.service.log", 6...20_000)
        func last(_ count: Int, _ filter: LogFilter = LogFilter()) throws -> [Int] {
            numbers(try LogCursor(directory.source(), filter).last(count))
        }
        #expect(try last(2) == [19_999, 20_000] && last(0) == [])
        #expect(try last(15_000) == Array(5001...20_000))
        #expect(try last(19_998) == Array(3...20_000) && last(30_000) == Array(1...20_000))
        var filter = LogFilter()
        var reason = ""
        filter.pattern = RegularExpression("^[1-7]$", ignoreCase: false, reason: &reason)
        #expect(try last(4, filter) == [4, 5, 6, 7])
        filter.until = LogTime.parse("2026-01-02T03:04:05.100003Z".utf8)
        #expect(try last(4, filter) == [1, 2])
        #expect(RegularExpression("(", ignoreCase: false, reason: &reason) == nil && !reason.isEmpty)
    }

    @Test("the files of several units are merged by time")
    func merging() throws {
        let directory = try Directory()
        try directory.write("a.service.log.20260102T030405.001Z", 1...3)
        try directory.write("a.service.log", 8...9)
        try directory.write("b.service.log", 2...8, unit: "b.service")
        let streams = try ["a.service", "b.service", "c.service"].map {
            try LogCursor(directory.source($0), LogFilter()).all()
        }
        var found: [String] = []
        try LogStream.merge(streams) { found.append("\($0.unit.prefix(1))\($0.text)") }
        #expect(found == ["a1", "a2", "b2", "a3", "b3", "b4", "b5", "b6", "b7", "a8", "b8", "a9"])
    }

    @Test("a reader that goes on misses nothing when files are rotated, twice at once, removed or emptied")
    func following() throws {
        let directory = try Directory()
        let path = directory.path + "/a.service.log"
        func append(_ numbers: ClosedRange<Int>) throws {
            if !FileManager.default.fileExists(atPath: path) {
                _ = FileManager.default.createFile(atPath: path, contents: nil)
            }
            let file = try #require(FileHandle(forWritingAtPath: path))
            try file.seekToEnd()
            for number in numbers {
                try file.write(contentsOf: Data("2026-01-02T03:04:05.100000Z a.service#1 out: \(number)\n".utf8))
            }
            try file.close()
        }
        func rotate(_ number: Int) throws {
            try FileManager.default.moveItem(atPath: path, toPath: "\(path).20260102T030405.00\(number)Z")
        }
        try append(1...2)
        try rotate(1)
        try append(3...4)
        let cursor = try LogCursor(directory.source(), LogFilter())
        #expect(numbers(try cursor.last(1)) == [4])
        try append(5...5)
        try rotate(2)
        try append(6...7)
        try rotate(3)
        try append(8...8)
        #expect(numbers(try cursor.readNewLines()) == [5, 6, 7, 8])
        try append(9...9)
        try FileManager.default.removeItem(atPath: path)
        #expect(numbers(try cursor.readNewLines()) == [9])
        try append(10...11)
        #expect(numbers(try cursor.readNewLines()) == [10, 11])
        truncate(path, 0)
        try append(12...12)
        #expect(numbers(try cursor.readNewLines()) == [12])
        #expect(numbers(try cursor.readNewLines()) == [])
    }
}
