import CSpawn
import Glibc
import SystemPackage
import Testing

@testable import Linux

/// What captures output, with files in a scratch directory.
struct Logging {
    let scratch: Scratch
    let loop: EventLoop
    let children: Children
    let capture: LogCapture
    let log: UnitLog

    init(_ policy: LogPolicy = LogPolicy(), file: String = "app.service", journal: String = "/nosuch") throws {
        scratch = try Scratch()
        loop = try EventLoop()
        children = Children(loop: loop)
        capture = try LogCapture(loop: loop, children: children, directory: scratch.path, journal: journal)
        log = capture.log(of: file, policy: policy) { _ in }
    }

    func pipe(
        _ stream: LogOrigin.Stream = .out, generation: Int = 3, toJournal: Bool = false
    ) throws -> LogPipe {
        try LogPipe(
            path: scratch("\(stream.rawValue)-\(generation)"),
            origin: LogOrigin(unit: log.unit, generation: generation, stream: stream, toJournal: toJournal), log: log,
            capture: capture)
    }

    /// A FIFO as the pipe itself makes it.
    func makeFIFO(_ path: String) throws -> String {
        try #require(mkfifo(path, 0o600) == 0)
        return path
    }

    /// Runs a shell with its output in the pipes, to its end.
    func run(_ script: String, _ out: LogPipe, _ err: LogPipe? = nil) throws {
        let outEnd = try out.openForService()
        let errEnd = try (err ?? out).openForService()
        let child = try shell(script, children: children) {
            $0.standardOutput = outEnd.raw
            $0.standardError = errEnd.raw
        }
        var done = false
        let watch = try children.watch(child.handle) { _ in done = true }
        try loop.run(until: { done })
        withExtendedLifetime(watch) {}
    }

    /// What was captured in lines, the time of each checked and taken off; files that were rotated first.
    func lines(_ location: SourceLocation = #_sourceLocation) throws -> [String] {
        let file = LogArchive.fileName(log.unit)
        var text = ""
        for segment in LogArchive.segments(of: file, among: try UnitDirectory.list(scratch.path) ?? []) {
            // It may be compressed between the look and now.
            text +=
                try scratch.read(segment.name)
                ?? output(of: ["/bin/gzip", "-dc", scratch(segment.name) + ".gz"]).text
        }
        text += scratch.read(file) ?? ""
        #expect(text.isEmpty || text.hasSuffix("\n"), sourceLocation: location)
        return text.split(separator: "\n").map { line in
            #expect(LogTime.parse(line.utf8) != nil, "\(line)", sourceLocation: location)
            return String(line.dropFirst(LogTime.length + 1))
        }
    }
}

extension LinuxTests {
    @Suite struct LineTests {
        /// As a pipe does it: what is not done with comes again, in front of more.
        private func split(_ bytes: [UInt8], pieces size: Int, limit: Int, carries: Bool = false) -> [String] {
            var splitter = LineSplitter(maximumLine: limit)
            var found: [String] = []
            var waiting: [UInt8] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                waiting += bytes[start..<min(start + size, bytes.count)]
                let used = waiting.withUnsafeBytes { piece in
                    splitter.feed(piece) {
                        found.append(String(decoding: $0, as: UTF8.self))
                        return true
                    }
                }
                waiting.removeFirst(used)
                if carries {
                    waiting.withUnsafeBytes { splitter.carry($0) }
                    waiting = []
                }
            }
            waiting.withUnsafeBytes { rest in
                splitter.finish(rest) {
                    found.append(String(decoding: $0, as: UTF8.self))
                    return true
                }
            }
            return found
        }

        @Test("lines are the same however the stream is cut into pieces", arguments: [false, true])
        func splitting(carries: Bool) {
            var generator = SplitMix(state: 7)
            let lines = (0..<60).map { String(repeating: "ab\($0)", count: Int.random(in: 0...9, using: &generator)) }
            let bytes = Array((lines.joined(separator: "\n") + "\n").utf8)
            for size in [1, 2, 3, 7, 64, bytes.count] {
                #expect(split(bytes, pieces: size, limit: 64, carries: carries) == lines, "pieces of \(size)")
            }
        }

        @Test(
            "a line over the bound is cut with a mark, the next one is whole", arguments: [1, 5, 1000], [false, true])
        func cutting(size: Int, carries: Bool) {
            let bytes = Array(("x" + String(repeating: "y", count: 100) + "\nshort\n12345678\nlast").utf8)
            #expect(
                split(bytes, pieces: size, limit: 8, carries: carries) == [
                    "xyyyyyyy [cut]", "short", "12345678", "last",
                ])
        }

        @Test("a line that cannot be taken now comes again")
        func refusal() {
            var splitter = LineSplitter()
            var found: [String] = []
            var isBusy = true
            func feed(_ text: String) -> Int {
                Array(text.utf8).withUnsafeBytes { bytes in
                    splitter.feed(bytes) {
                        if isBusy { return false }
                        found.append(String(decoding: $0, as: UTF8.self))
                        return true
                    }
                }
            }
            #expect(feed("one\ntwo\n") == 0)
            isBusy = false
            #expect(feed("one\ntwo\n") == 8 && found == ["one", "two"])
        }

        @Test("times have one length, sort as text, and are read back")
        func times() {
            var stamp = TimestampText()
            stamp.refresh()
            let first = stamp.bytes
            #expect(first.count == LogTime.length)
            #expect(LogTime.parse(first).map { $0 / 1_000_000 } == Int64(stamp.second))
            stamp.refresh()
            #expect(!stamp.bytes.lexicographicallyPrecedes(first))
            #expect(LogTime.parse("2026-01-02T03:04:05.678901Z x".utf8) == 1_767_323_045_678_901)
            #expect(LogTime.parse("2026-01-02 03:04:05.678901Z x".utf8) == nil)
        }

        @Test("rotated files are found, in order, whatever else lies about")
        func archive() {
            let names = [
                "a.service.log", "a.service.log.20260102T030405.679Z", "a.service.log.20260102T030405.678Z.gz",
                "a.service.log.20260102T030405.679Z.gz", "a.service.log.1", "a.service.log.old.20260102T030405.678Z",
                "b.service.log.20260102T030405.678Z", "a.service.log.20260102T030405.678Z.tmp",
            ]
            let found = LogArchive.segments(of: "a.service.log", among: names)
            #expect(
                found.map(\.fileName) == [
                    "a.service.log.20260102T030405.678Z.gz", "a.service.log.20260102T030405.679Z",
                ])
            #expect(found.first?.time == 1_767_323_045_678)
            #expect(LogArchive.segmentName("a.service.log", 1_767_323_045_678) == "a.service.log.20260102T030405.678Z")
            #expect(
                LogArchive.file(ofSegment: names[2]) == "a.service.log" && LogArchive.file(ofSegment: names[4]) == nil)
            let long = LogArchive.fileName(String(repeating: "x", count: 247) + ".service")
            #expect(LogArchive.segmentName(long, 0).utf8.count + 3 <= 255)
            #expect(long != LogArchive.fileName(String(repeating: "x", count: 246) + ".service"))
        }
    }

    @Suite struct LogTests {
        @Test(
            "what a service prints is in the file by lines, with time, origin and stream, and the last lines are kept")
        func capture() throws {
            let logging = try Logging()
            let (out, err) = (try logging.pipe(), try logging.pipe(.err))
            try logging.run("seq 1 5000; echo oops >&2; printf unfinished", out, err)
            out.drain()
            let last = (4982...5000).map(String.init) + ["unfinished"]
            #expect(out.lastLines.map(\.text) == last)
            out.close()
            err.close()
            let lines = try logging.lines()
            let printed = (1...5000).map(String.init) + ["unfinished"]
            #expect(lines.filter { $0.hasPrefix("app.service#3 out: ") }.map { String($0.dropFirst(19)) } == printed)
            #expect(lines.filter { !$0.hasPrefix("app.service#3 out: ") } == ["app.service#3 err: oops"])
            #expect(out.lastLines.map(\.text) == last)
            #expect(access(out.path, F_OK) != 0)
        }

        @Test(
            "a line that comes in many writes is one line, also when the pipe is full of pieces",
            arguments: [false, true])
        func pieces(isSmall: Bool) throws {
            let logging = try Logging()
            let out = try logging.pipe()
            let end = try out.openForService()
            // F_SETPIPE_SZ: one page, which any byte fills as far as the kernel's "writable" goes.
            if isSmall { try #require(fcntl(end.raw, 1031, 4096) >= 0) }
            let text = String((0..<300).map { Character(UnicodeScalar(UInt8(97 + $0 % 26))) })
            for byte in text.utf8 {
                var byte = byte
                #expect(write(end.raw, &byte, 1) == 1)
                while try logging.loop.runOnce(timeout: 0) {}
            }
            #expect(try logging.lines() == [])
            #expect(out.lastLines.map(\.text) == [text])
            try end.writeAll("\nnext\n".utf8, subject: "pipe")
            while try logging.loop.runOnce(timeout: 0) {}
            #expect(try logging.lines() == ["app.service#3 out: \(text)", "app.service#3 out: next"])
        }

        @Test("a killed supervisor means no SIGPIPE, and its successor has every line whole, begun lines too")
        func readerDies() throws {
            let logging = try Logging()
            let scratch = logging.scratch
            let end = try OwnedDescriptor.open(try logging.makeFIFO(scratch("out-3")), O_RDWR)
            var pipe: LogPipe? = try logging.pipe()
            let child = try shell(
                "echo one; printf 'be'; while [ ! -e \(scratch("go")) ]; do sleep 0.01; done; echo gun; seq 1000 | sed 's/$/ of many/'",
                children: logging.children
            ) {
                $0.standardOutput = end.raw
            }
            try logging.loop.run(until: { scratch.read("app.service.log")?.contains("one") == true })
            // As a kill does it: nothing is written or closed in order, only the descriptors are gone.
            pipe = nil
            _ = try scratch.write("go", "")
            #expect(waitBlocking(child.pid) == .exited(0), "no SIGPIPE")
            // The test's end stands for another process of the service.
            let next = try logging.pipe()
            next.close()
            #expect(end.raw >= 0 && pipe == nil)
            let expected = (["one", "begun"] + (1...1000).map { "\($0) of many" }).map { "app.service#3 out: \($0)" }
            #expect(try logging.lines() == expected)
        }

        @Test("two generations write into one file, whole lines each, and both in their order")
        func generations() throws {
            var policy = LogPolicy()
            policy.limits = LogFile.Limits(size: 200_000, keep: 100)
            let logging = try Logging(policy)
            let (old, new) = (try logging.pipe(generation: 1), try logging.pipe(generation: 2))
            let ends = [try old.openForService().release(), try new.openForService().release()]
            var running = 2
            let watches: [(ProcessHandleBox, ChildExitSource)] = try ends.map { end in
                let child = try shell("seq 20000", children: logging.children) { $0.standardOutput = end }
                let box = ProcessHandleBox(child.takeHandle())
                return (box, try logging.children.watch(box.handle) { _ in running -= 1 })
            }
            try logging.loop.run(until: { running == 0 })
            withExtendedLifetime(watches) {}
            old.close()
            new.close()
            for end in ends { close(end) }
            let lines = try logging.lines()
            for generation in 1...2 {
                let own = lines.filter { $0.hasPrefix("app.service#\(generation) out: ") }
                let isInOrder = own.compactMap { Int($0.dropFirst(19)) } == Array(1...20000)
                #expect(isInOrder, "generation \(generation)")
            }
            #expect(lines.count == 40000)
        }

        @Test("over the rate limit lines are counted and not kept, the service is not held up, and the number is told")
        func rateLimit() throws {
            var policy = LogPolicy()
            policy.rateInterval = 3_600_000_000_000
            policy.rateBurst = 5
            let logging = try Logging(policy)
            let out = try logging.pipe()
            try logging.run("seq 100000", out)
            out.close()
            let lines = try logging.lines()
            let kept = (1...5).map { "app.service#3 out: \($0)" }
            #expect(lines == kept + ["app.service#3 log: 99995 lines were suppressed: more than 5 in an interval"])
            #expect(logging.log.suppressed == 99995 && logging.log.lost == 0)
            #expect(out.lastLines.last?.text == "100000", "a failure report still has them")
        }

        @Test("lines above LogLevelMax are not kept; a line without a level has the service's")
        func levels() throws {
            var policy = LogPolicy()
            policy.maximumLevel = 4
            let logging = try Logging(policy)
            let out = try logging.pipe()
            try logging.run("echo '<3>bad'; echo '<7>chatter'; echo plain; echo '<4>hm'", out)
            out.close()
            #expect(try logging.lines() == ["app.service#3 out: <3>bad", "app.service#3 out: <4>hm"])
        }

        @Test("a service that prints without end leaves the loop to others")
        func flood() throws {
            var policy = LogPolicy()
            policy.limits = LogFile.Limits(size: 1 << 20, keep: 0)
            let logging = try Logging(policy)
            let out = try logging.pipe()
            let end = try out.openForService()
            let child = try shell("exec yes", children: logging.children) { $0.standardOutput = end.raw }
            try logging.loop.run(until: { out.lastLines.count == LogPipe.ringLines })
            // Requests have their turn after at most one of each log, however much there is to read.
            for _ in 0..<20 {
                var asked = false
                let request = try logging.loop.addDeferred(priority: .controlRequests) { asked = true }
                for _ in 0..<3 where !asked { try logging.loop.runOnce() }
                #expect(asked)
                withExtendedLifetime(request) {}
            }
            kill(child.pid, SIGKILL)
            #expect(waitBlocking(child.pid) == .signalled(.kill, coreDumped: false))
            out.close()
        }
    }
}
