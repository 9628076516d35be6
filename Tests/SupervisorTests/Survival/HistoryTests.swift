import ControlProtocol
import Glibc
import Testing

@testable import Supervisor

@Suite("The history")
struct HistoryTests {
    private func withDirectory(_ body: (String) throws -> Void) throws {
        var template = Array("/tmp/holdfast-history-XXXXXX".utf8CString)
        let made = template.withUnsafeMutableBufferPointer { $0.baseAddress.flatMap { mkdtemp($0) } }
        let path = try #require(made.map { String(cString: $0) })
        defer {
            for name in ["history.jsonl", "history.jsonl.1"] { unlink("\(path)/\(name)") }
            rmdir(path)
        }
        try body(path)
    }

    private func entry(_ number: Int) -> HistoryEntry {
        HistoryEntry(
            number: 0, unit: "app-\(number).service", kind: .start, at: "2026-01-01T00:00:00Z", outcome: .started)
    }

    private func size(_ path: String) -> Int {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : 0
    }

    @Test("Its files have a bound, and the newest entries outlive both the bound and the process")
    func bound() throws {
        try withDirectory { directory in
            let path = directory + "/history.jsonl"
            let history = History(path: path, files: LinuxFiles(), sizeLimit: 8000)
            for number in 1...1000 {
                try history.append(entry(number))
                #expect(size(path) <= 8000 && size(path + ".1") <= 8000)
            }
            try history.sync()
            let again = History(path: path, files: LinuxFiles(), sizeLimit: 8000)
            let numbers = again.entries(of: nil, limit: 1000).map(\.number)
            #expect(numbers.first == 1000)
            #expect(numbers == Array((1001 - numbers.count...1000).reversed()), "none is missing in between")
            #expect(numbers.count >= 40)
            // The first entry after the file was renamed.
            try history.append(entry(1001))
            #expect(
                History(path: path, files: LinuxFiles(), sizeLimit: 8000).entries(of: nil, limit: 1).map(\.number) == [
                    1001
                ])
        }
    }

    @Test("Failures of what traffic starts are taken some times an hour")
    func failures() throws {
        try withDirectory { directory in
            let history = History(path: directory + "/history.jsonl", files: LinuxFiles())
            var taken = 0
            for _ in 0..<1000 where history.takesFailureOfTraffic(at: 7200) { taken += 1 }
            #expect(taken == 32)
            let isTakenLater = history.takesFailureOfTraffic(at: 7200 + 3600)
            #expect(isTakenLater)
        }
    }
}
