import Glibc
import SystemPackage
import Testing

@testable import Linux

extension LinuxTests {
    @Suite struct LogTests {
        @Test("lines are the same however the stream is cut into pieces")
        func splitting() {
            var generator = SplitMix(state: 7)
            let lines = (0..<60).map { String(repeating: "ab\($0)", count: Int.random(in: 0...9, using: &generator)) }
            let bytes = Array((lines.joined(separator: "\n") + "\n").utf8)
            for size in [1, 2, 3, 7, 64, bytes.count] {
                var splitter = LineSplitter(maximumLine: 64)
                var found: [String] = []
                for start in stride(from: 0, to: bytes.count, by: size) {
                    bytes[start..<min(start + size, bytes.count)].withUnsafeBytes { piece in
                        splitter.feed(piece) { found.append(String(decoding: $0, as: UTF8.self)) }
                    }
                }
                #expect(found == lines, "pieces of \(size)")
                #expect(!splitter.isInLine)
            }
        }

        @Test("a line over the bound is cut with a mark, the next one is whole", arguments: [1, 5, 1000])
        func cutting(size: Int) {
            let bytes = Array(("x" + String(repeating: "y", count: 100) + "\nshort\n12345678\nlast").utf8)
            var splitter = LineSplitter(maximumLine: 8)
            var found: [String] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                bytes[start..<min(start + size, bytes.count)].withUnsafeBytes { piece in
                    splitter.feed(piece) { found.append(String(decoding: $0, as: UTF8.self)) }
                }
            }
            splitter.finish { found.append(String(decoding: $0, as: UTF8.self)) }
            #expect(found == ["xyyyyyyy [cut]", "short", "12345678", "last"])
        }

        @Test(
            "what a service prints is in the file by lines, with time, origin and stream, and the last lines are kept")
        func capture() throws {
            let scratch = try Scratch()
            let loop = try EventLoop()
            let children = Children(loop: loop)
            let file = LogFile(path: scratch("app.log"))
            let out = try LogPipe(path: scratch("out"), label: "app.service#3", stream: .out, file: file, loop: loop)
            let err = try LogPipe(path: scratch("err"), label: "app.service#3", stream: .err, file: file, loop: loop)
            do {
                let (outEnd, errEnd) = (try out.openForService().release(), try err.openForService().release())
                defer {
                    close(outEnd)
                    close(errEnd)
                }
                let child = try shell("seq 1 5000; echo oops >&2; printf unfinished", children: children) {
                    $0.standardOutput = outEnd
                    $0.standardError = errEnd
                }
                var done = false
                let watch = try children.watch(child.handle) { _ in done = true }
                try loop.run(until: { done })
                withExtendedLifetime(watch) {}
            }
            out.close()
            err.close()
            let lines = try #require(scratch.read("app.log")).split(separator: "\n").map(String.init)
            let pattern = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z app\.service#3 (out|err): (.*)/
            let parsed = lines.compactMap { try? pattern.wholeMatch(in: $0) }
            #expect(parsed.count == lines.count)
            #expect(
                parsed.filter { $0.1 == "out" }.map { String($0.2) } == (1...5000).map(String.init) + ["unfinished"])
            #expect(parsed.filter { $0.1 == "err" }.map { String($0.2) } == ["oops"])
            #expect(out.lastLines == (4982...5000).map(String.init) + ["unfinished"])
            #expect(access(scratch("out"), F_OK) != 0)
        }

        @Test("a service outlives the reader of its output, and the next reader goes on where the last stopped")
        func readerDies() throws {
            let scratch = try Scratch()
            let loop = try EventLoop()
            let children = Children(loop: loop)
            let file = LogFile(path: scratch("app.log"))
            var pipe: LogPipe? = try LogPipe(path: scratch("out"), label: "a", stream: .out, file: file, loop: loop)
            let end = try #require(try pipe?.openForService().release())
            let child = try shell(
                "echo one; while [ ! -e \(scratch("go")) ]; do sleep 0.01; done; echo two", children: children
            ) {
                $0.standardOutput = end
            }
            close(end)
            try loop.run(until: { scratch.read("app.log")?.contains("one") == true })
            pipe = nil
            _ = try scratch.write("go", "")
            #expect(waitBlocking(child.pid) == .exited(0), "no SIGPIPE")
            // While anybody has it open the FIFO keeps its content; here the test stands for another process of the service.
            let next = try LogPipe(path: scratch("out"), label: "a", stream: .out, file: file, loop: loop)
            next.close()
            withExtendedLifetime(pipe) {}
        }

        @Test("a file over its size is rotated, the oldest goes")
        func rotation() throws {
            let scratch = try Scratch()
            let file = LogFile(path: scratch("x.log"), maximumSize: 10, keep: 2)
            for text in ["aaaaaaa\n", "bbbbbbb\n", "ccccccc\n", "ddddddd\n"] {
                var text = text
                text.withUTF8 { file.append(UnsafeRawBufferPointer($0)) }
            }
            #expect(scratch.read("x.log") == "ddddddd\n" && scratch.read("x.log.1") == "ccccccc\n")
            #expect(scratch.read("x.log.2") == "bbbbbbb\n" && scratch.read("x.log.3") == nil)
            #expect(file.failures == 0)
        }

        @Test("a disk that refuses is counted and named, never fatal")
        func diskError() throws {
            let file = LogFile(path: "/nosuch/x.log")
            [1, 2, 10].withUnsafeBytes { file.append($0) }
            #expect(
                file.failures == 1 && file.lastFailure?.description == "open /nosuch/x.log: No such file or directory")
            let full = LogFile(path: "/dev/full")
            [1, 2, 10].withUnsafeBytes { full.append($0) }
            #expect(full.lastFailure?.errno == .noSpace)
        }

        @Test("plain output targets open as systemd says")
        func targets() throws {
            let scratch = try Scratch()
            let path = try scratch.write("f", "12345")
            try OutputTarget.file(path).open(stream: 1).writeAll("ab".utf8, subject: path)
            #expect(scratch.read("f") == "ab345")
            try OutputTarget.append(path).open(stream: 1).writeAll("cd".utf8, subject: path)
            #expect(scratch.read("f") == "ab345cd")
            _ = try OutputTarget.truncate(path).open(stream: 1)
            #expect(scratch.read("f") == "")
            #expect(throws: SystemError.self) { _ = try OutputTarget.file("/nosuch/x").open(stream: 0) }
            _ = try OutputTarget.null.open(stream: 1)
            _ = try OutputTarget.inherit.open(stream: 2)
        }
    }

    @Suite struct FileTests {
        @Test("state is replaced whole, and nothing temporary stays")
        func atomic() throws {
            let scratch = try Scratch()
            try FileTree.writeAtomically(scratch("state"), "one".utf8, mode: 0o600)
            try FileTree.writeAtomically(scratch("state"), "two".utf8, mode: 0o600)
            #expect(scratch.read("state") == "two")
            #expect(try UnitDirectory.list(scratch.path) == ["state"])
            #expect(throws: SystemError.self) { try FileTree.writeAtomically("/nosuch/x", "x".utf8) }
            try FileTree.append(scratch("log"), "a\n".utf8)
            try FileTree.append(scratch("log"), "b\n".utf8)
            #expect(scratch.read("log") == "a\nb\n")
        }

        @Test("directories are made with their parents and removed without following links")
        func trees() throws {
            let scratch = try Scratch()
            try FileTree.makeDirectory(scratch("a/b/c"), mode: 0o700)
            try FileTree.makeDirectory(scratch("a/b/c"), mode: 0o700)
            _ = try scratch.write("keep", "precious")
            symlink(scratch.path, scratch("a/b/link"))
            symlink(scratch("keep"), scratch("a/b/c/link"))
            try FileTree.remove(scratch("a"))
            #expect(scratch.read("keep") == "precious" && access(scratch("a"), F_OK) != 0)
            try FileTree.remove(scratch("a"))
            #expect(throws: SystemError.self) { try FileTree.makeDirectory(scratch("keep/x")) }
            #expect(
                FileTree.parent(of: "/a/b/") == "/a" && FileTree.parent(of: "/a") == "/"
                    && FileTree.parent(of: "/") == nil)
        }

        @Test("a unit file that others may change is refused, a masked one is told from an empty one")
        func units() throws {
            let scratch = try Scratch()
            #expect(try UnitDirectory.read(scratch.write("a.service", "[Unit]")) == .text(Array("[Unit]".utf8)))
            #expect(try UnitDirectory.read(scratch.write("empty", "")) == .text([]))
            symlink("/dev/null", scratch("masked"))
            #expect(try UnitDirectory.read(scratch("masked")) == .masked)
            let open = try scratch.write("open", "x", mode: 0o666)
            let error = #expect(throws: UnitDirectory.ReadError.self) { try UnitDirectory.read(open) }
            #expect(error?.description == "\(open) is insecure: everybody may write to it")
            #expect(try UnitDirectory.read(open, checkOwner: false) == .text(Array("x".utf8)))
            chmod(scratch.path, 0o777)
            #expect(throws: UnitDirectory.ReadError.self) { try UnitDirectory.read(scratch("a.service")) }
            chmod(scratch.path, 0o755)
            let big = try scratch.write("big", String(repeating: "x", count: (1 << 20) + 1))
            #expect(throws: UnitDirectory.ReadError.tooLarge(path: big, limit: 1 << 20)) { try UnitDirectory.read(big) }
            mkfifo(scratch("fifo"), 0o600)
            #expect(throws: UnitDirectory.ReadError.notAFile(path: scratch("fifo"))) {
                try UnitDirectory.read(scratch("fifo"))
            }
            #expect(try UnitDirectory.list("/nosuch") == nil)
        }
    }
}
