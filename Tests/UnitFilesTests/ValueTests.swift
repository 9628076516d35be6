import Testing
import Vocabulary

@testable import UnitFiles

@Suite("Values")
struct ValueTests {
    @Test(
        "booleans",
        arguments: [
            ("1", true), ("yes", true), ("TRUE", true), ("on", true), ("0", false), ("no", false), ("false", false),
            ("Off", false),
        ] as [(String, Bool)])
    func booleans(text: String, expected: Bool) throws {
        #expect(try Value.boolean(text) == expected)
    }

    @Test("no booleans", arguments: ["", "2", "yess", "ja"])
    func noBooleans(text: String) {
        #expect(throws: ValueError.self) { try Value.boolean(text) }
    }

    @Test(
        "time spans (systemd.time(7), systemd.syntax(7))",
        arguments: [
            ("50", 50_000_000), ("2min 200ms", 120_200_000), ("2 h", 7_200_000_000), ("2hours", 7_200_000_000),
            ("48hr", 172_800_000_000), ("1y 12month", 63_115_200_000_000),
            ("55s500ms", 55_500_000), ("300ms20s 5day", 432_020_300_000), ("0", 0), ("1.5s", 1_500_000),
            (".5", 500_000), ("1us", 1), ("1µs", 1), ("1μs", 1), ("1w", 604_800_000_000), ("5 20", 25_000_000),
            ("3m", 180_000_000), ("1M", 2_629_800_000_000),
        ] as [(String, Int64)])
    func timeSpans(text: String, microseconds: Int64) throws {
        #expect(try TimeSpan.parse(text) == .after(.microseconds(microseconds)))
    }

    @Test("no time spans", arguments: ["", "x", "-5s", "5 parsecs", "99999999999y", "1.", "infinity 5", "5s x"])
    func noTimeSpans(text: String) {
        #expect(throws: ValueError.self) { try TimeSpan.parse(text) }
    }

    @Test("infinity is its own value, and a finite span is not")
    func infinity() throws {
        #expect(try TimeSpan.parse("infinity") == .infinite)
        #expect(throws: ValueError.self) { try TimeSpan.parseFinite("infinity") }
        #expect(TimeSpan.format(.milliseconds(90_500)) == "1min 30s 500ms" && TimeSpan.format(.zero) == "0")
        #expect(TimeSpan.format(.seconds(-5)) == "0" && TimeSpan.format(.seconds(Int64.max)) == "infinity")
    }

    @Test("every formatted span reads back as itself")
    func roundTrip() throws {
        var random = Seeded(42)
        for _ in 0..<500 {
            let span = Duration.microseconds(Int64.random(in: 0...(1 << 50), using: &random))
            #expect(try TimeSpan.parse(TimeSpan.format(span)) == .after(span))
        }
    }

    @Test(
        "numbers as systemd 252 takes them: hexadecimal, binary, octal, with a sign",
        arguments: [
            ("007", 7), ("010", 8), ("08", nil), ("0x10", 16), ("0X1f", 31), ("0xg", nil), ("0b101", 5), ("0B1", 1),
            ("0b2", nil), ("0o17", 15), ("0O7", 7), ("0o8", nil), ("+5", 5), ("+0x5", 5), ("-0", 0), ("-1", -1),
            ("-0x1", -1), ("--1", nil), ("+-1", nil), ("1 2", nil), ("1.0", nil), ("1e3", nil), ("1K", nil), ("", nil),
            ("0b", nil), ("0x", nil), ("0b+1", 1), ("0b-1", -1), ("0x+1", nil), ("infinity", nil), ("\u{661}", nil),
            ("9223372036854775807", .max), ("9223372036854775808", nil), ("-9223372036854775808", .min),
        ] as [(String, Int?)])
    func numbers(text: String, expected: Int?) {
        #expect((try? Value.integer(text, in: Int.min...Int.max)) == expected)
    }

    @Test(
        "spans as systemd 252 takes them",
        arguments: [
            ("+5", 5_000_000), ("5 +5", 10_000_000), ("5+5", nil), ("1.5.5", nil), ("1.5 .5", 2_000_000),
            ("1.5s.5", 2_000_000), ("010", 10_000_000), ("0x10", nil), ("1e3", nil), ("5,5", nil), ("5S", nil),
            ("5mon", nil), ("5 -5", nil), ("0.0000001", 0), ("1.9999999", 1_999_999), ("5s\t5s", 10_000_000),
            ("9223372036854775807us", .max), ("9223372036854775808us", nil), ("584543y", nil), ("INFINITY", nil),
        ] as [(String, Int64?)])
    func spans(text: String, expected: Int64?) {
        #expect((try? TimeSpan.parse(text)) == expected.map { .after(.microseconds($0)) })
    }

    @Test("what is longer than a century waits a century where systemd takes infinity")
    func longSpans() throws {
        #expect(try TimeSpan.parse("292471y") == .infinite)
        for text in ["infinity", "101y", "292471y"] {
            #expect(try TimeSpan.parseLong(text) == .seconds(3_155_760_000))
        }
        let loaded = try service("RestartSec=infinity\nKillMode=process\nKillMode=\n[Unit]\nRequires=\nAfter=\n")
        #expect(loaded.diagnostics.isEmpty && loaded.service?.killMode == .controlGroup)
        #expect(loaded.service?.restartDelay == .seconds(3_155_760_000))
    }

    @Test(
        "sizes as systemd 252 takes them",
        arguments: [
            ("1M1K", 1_049_600), ("1M 1K", 1_049_600), ("1 M 1 K", 1_049_600), ("1K 1", 1025), ("1K1M", nil),
            ("1M1M", nil),
            ("1.", 1), ("10.M", 10_485_760), (".5K", nil), ("0.9B", 0), ("0.1K", 102), ("1.0000001G", 1_073_741_931),
            ("+1", 1), ("-1", nil), ("-0", nil), ("0x10", nil), ("010", 10), ("1k", nil), ("1KB", nil), ("1KiB", nil),
            ("15E", 17_293_822_569_102_704_640), ("16E", nil), ("18446744073709551615", .max),
            ("18446744073709551616", nil), ("infinity", nil), ("", nil),
        ] as [(String, UInt64?)])
    func moreSizes(text: String, expected: UInt64?) {
        #expect((try? Value.size(text)) == expected)
    }

    @Test(
        "sizes",
        arguments: [
            ("4096", 4096), ("64K", 65536), ("1M", 1_048_576), ("1.5G", 1_610_612_736), ("2T", 2_199_023_255_552),
            ("0", 0), ("15E", 17_293_822_569_102_704_640), ("7B", 7),
        ] as [(String, UInt64)])
    func sizes(text: String, expected: UInt64) throws {
        #expect(try Value.size(text) == expected)
    }

    @Test("no sizes", arguments: ["", "K", "16E", "-1", "1Q", "99999999999999999999", "1 2"])
    func noSizes(text: String) {
        #expect(throws: ValueError.self) { try Value.size(text) }
    }

    @Test("modes are octal")
    func modes() throws {
        #expect(try Value.mode("0660") == 0o660 && Value.mode("7777") == 0o7777 && Value.mode("0") == 0)
        for bad in ["", "8", "10000", "0x1", "-1", "+7"] { #expect(throws: ValueError.self) { try Value.mode(bad) } }
    }

    @Test("limits are soft:hard")
    func limits() throws {
        #expect(try ResourceLimit.parse("1024", unit: .count) == ResourceLimit(soft: 1024, hard: 1024))
        #expect(try ResourceLimit.parse("1024:4096", unit: .count) == ResourceLimit(soft: 1024, hard: 4096))
        #expect(try ResourceLimit.parse("4G:16G", unit: .bytes) == ResourceLimit(soft: 4 << 30, hard: 16 << 30))
        #expect(try ResourceLimit.parse("1:infinity", unit: .count) == ResourceLimit(soft: 1, hard: nil))
        #expect(try ResourceLimit.parse("infinity", unit: .count) == ResourceLimit(soft: nil, hard: nil))
        for bad in ["", "2:1", "infinity:1", "4K", ":", "1:2:3"] {
            #expect(throws: ValueError.self) { try ResourceLimit.parse(bad, unit: .count) }
        }
    }

    @Test(
        "signals",
        arguments: [
            ("SIGTERM", 15), ("TERM", 15), ("15", 15), ("USR1", 10), ("SIGRTMIN+3", 37), ("RTMIN", 34), ("RTMAX-1", 63),
            ("SIGIO", 29), ("0xf", 15), ("015", 13), ("RTMIN+0x3", 37), ("32", 32), ("SIGWINCH", 28),
        ] as [(String, Int32)])
    func signals(text: String, number: Int32) throws {
        let signal = try Signal.parse(text)
        #expect(signal.rawValue == number)
        #expect(try Signal.parse(signal.description) == signal)
    }

    @Test("no signals, with what was meant")
    func noSignals() {
        for bad in ["", "0", "65", "SIG", "-15", "CLD", "RTMIN+31", "sigterm "] {
            #expect(throws: ValueError.self) { try Signal.parse(bad) }
        }
        #expect { try Signal.parse("SIGTREM") } throws: { ($0 as? ValueError)?.suggestion == "SIGTERM" }
    }

    @Test("every signal number has a name that reads back")
    func allSignals() throws {
        for number in Int32(1)...64 {
            let signal = try #require(Signal(validating: number))
            #expect(try Signal.parse(signal.description) == signal)
        }
        #expect(Signal(validating: 0) == nil && Signal(validating: 65) == nil)
    }

    @Test("exit statuses are numbers, names, or signals")
    func exitStatuses() throws {
        var set = ExitStatusSet()
        for word in ["TEMPFAIL", "250", "SIGKILL", "9"] { try set.insert(word) }
        #expect(set == ExitStatusSet(codes: [75, 250, 9], signals: [.kill]))
        for bad in ["256", "-1", "NOPE", ""] { #expect(throws: ValueError.self) { try set.insert(bad) } }
        #expect { try set.insert("EX_TEMPFAIL") } throws: { ($0 as? ValueError)?.suggestion == "TEMPFAIL" }
        #expect(Vocabulary.ExitStatus.name(ofCode: 203) == "EXEC" && Vocabulary.ExitStatus.name(ofCode: 100) == nil)
    }

    @Test(
        "listen addresses (systemd.socket(5))",
        arguments: [
            ("/run/x.sock", "/run/x.sock"), ("/run//x.sock", "/run/x.sock"), ("@abs", "@abs"), ("80", "80"),
            ("127.0.0.1:80", "127.0.0.1:80"), ("0.0.0.0:0", "0.0.0.0:0"), ("[::1]:80", "[::1]:80"),
            ("[::]:8", "[::]:8"),
            ("[FE80:0:0::1]:80%eth0", "[fe80::1]:80%eth0"), ("[::ffff:1.2.3.4]:1", "[::ffff:102:304]:1"),
            ("[2001:db8:0:1:0:0:0:1]:443", "[2001:db8:0:1::1]:443"),
        ] as [(String, String)])
    func addresses(text: String, canonical: String) throws {
        let address = try ListenAddress.parse(text)
        #expect(address.description == canonical)
        #expect(try ListenAddress.parse(canonical) == address)
    }

    @Test(
        "no listen addresses",
        arguments: [
            "", "localhost:80", "127.0.0.1", "127.0.0.1:65536", "127.0.0.256:1", "01.2.3.4:1", "[::1]", "[::1]:x",
            "[1::2::3]:1", "[12345::]:1", "@", "run/x", "[::1]:1%", "[1:2:3:4:5:6:7:8:9]:1", "99999", "[::1",
            "1.2.3.4:-1",
            "/" + String(repeating: "x", count: 107), "vsock:2", "1.2.3.4:080",
        ])
    func noAddresses(text: String) {
        #expect(throws: ValueError.self) { try ListenAddress.parse(text) }
    }

    @Test("environment assignments")
    func environment() throws {
        #expect(try EnvironmentAssignment.parse("A=b=c") == EnvironmentAssignment(name: "A", value: "b=c"))
        #expect(try EnvironmentAssignment.parse("_x1=") == EnvironmentAssignment(name: "_x1", value: ""))
        for bad in ["A", "=b", "1A=b", "A-B=c", "A=\u{1}"] {
            #expect(throws: ValueError.self) { try EnvironmentAssignment.parse(bad) }
        }
    }

    @Test(
        "environment files (systemd.exec(5))",
        arguments: [
            ("A=b\n# c\n; d\n\nE=f", ["A=b", "E=f"]), ("A= b  c \t\r\n", ["A=b  c"]), ("A=a\\\nb", ["A=ab"]),
            ("A=a\\b\\\\", ["A=ab\\"]), ("A='x\ny' ", ["A=x\ny"]), ("A=\"a\\\"b\\$c\\q\"", ["A=a\"b$c\\q"]),
            ("A=\"a\\\nb\"", ["A=ab"]), ("A=it's", ["A=it's"]), ("A='a'\"b\"c", ["A=abc"]), ("A=", ["A="]),
            ("  A =b", ["A=b"]), ("novalue\nA=b", ["A=b"]), ("export A=b\nC=d", ["C=d"]), ("A=b\\", ["A=b"]),
            ("A=ü", ["A=ü"]), ("A=x\\ ", ["A=x "]),
        ] as [(String, [String])])
    func environmentFiles(text: String, expected: [String]) throws {
        let result = try EnvironmentFile.parse(text, path: "e")
        #expect(result.assignments.map { "\($0.name)=\($0.value)" } == expected)
    }

    @Test("skipped lines of environment files are named")
    func environmentFileDiagnostics() throws {
        let text = "A=b\nnonsense\n1x=y\nexport C=1\n# c\\\nD=1\na.b=1\nB='open"
        let result = try EnvironmentFile.parse(text, path: "/etc/e")
        #expect(result.diagnostics.map(\.location.line) == [2, 3, 4, 6, 7, 8])
        #expect(result.assignments.map(\.name) == ["A", "B"])
        let marked = try EnvironmentFile.parse("\u{FEFF}A=1\nB=2", path: "/etc/e").diagnostics
        #expect(marked.map(\.location.line) == [1] && marked[0].message.contains("byte order mark"))
    }
}
