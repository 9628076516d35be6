import Glibc
import SystemPackage
import Testing

@testable import Linux

extension LinuxTests {
    @Suite struct LogFileTests {
        private func append(_ file: LogFile, _ text: String, at second: Int64 = 0) throws {
            try file.append(Array(text.utf8), at: second)
        }

        private func segments(_ scratch: Scratch) throws -> [String] {
            try UnitDirectory.list(scratch.path)?.filter { LogArchive.file(ofSegment: $0) != nil } ?? []
        }

        @Test("a file over its size is rotated, the oldest goes, and names sort as what is in them")
        func size() throws {
            let scratch = try Scratch()
            let file = LogFile(path: scratch("x.log"), limits: .init(size: 10, keep: 2))
            for text in ["aaaaaaa\n", "bbbbbbb\n", "ccccccc\n", "ddddddd\n"] { try append(file, text) }
            #expect(scratch.read("x.log") == "ddddddd\n")
            #expect(try segments(scratch).map { scratch.read($0) } == ["bbbbbbb\n", "ccccccc\n"])
            file.limits.keep = 0
            try append(file, "eeeeeee\n")
            #expect(try segments(scratch) == [])
            #expect(scratch.read("x.log") == "eeeeeee\n")
        }

        @Test("a file is rotated when its first line is old enough, also one of an earlier process")
        func age() throws {
            let scratch = try Scratch()
            let first = "2026-01-02T03:04:05.000000Z a\n"
            _ = try scratch.write("x.log", first)
            let file = LogFile(path: scratch("x.log"), limits: .init(age: 60))
            let begin: Int64 = 1_767_323_045
            try append(file, "young\n", at: begin + 59)
            #expect(try segments(scratch) == [])
            try append(file, "old\n", at: begin + 60)
            #expect(try segments(scratch).map { scratch.read($0) } == [first + "young\n"])
            try append(file, "again\n", at: begin + 119)
            #expect(scratch.read("x.log") == "old\nagain\n")
        }

        @Test("a file that was moved or removed is noticed with the next line, and its directory too")
        func removal() throws {
            let scratch = try Scratch()
            let path = scratch("log/x.log")
            let file = LogFile(path: path)
            try append(file, "one\n")
            try FileTree.move(path, to: scratch("log/moved"))
            try append(file, "two\n")
            #expect(scratch.read("log/moved") == "one\n" && scratch.read("log/x.log") == "two\n")
            unlink(path)
            try append(file, "three\n")
            #expect(scratch.read("log/x.log") == "three\n")
            try FileTree.remove(scratch("log"))
            try append(file, "four\n")
            #expect(scratch.read("log/x.log") == "four\n")
            // logrotate's "create": another file is there already.
            try FileTree.move(path, to: scratch("log/moved"))
            _ = try scratch.write("log/x.log", "")
            try append(file, "five\n")
            #expect(scratch.read("log/x.log") == "five\n")
        }

        @Test("half a line of a writer that was killed is ended and marked, so that the next line is whole")
        func halfLine() throws {
            let scratch = try Scratch()
            _ = try scratch.write("x.log", "half")
            try append(LogFile(path: scratch("x.log")), "next\n")
            #expect(scratch.read("x.log") == "half [cut]\nnext\n")
        }

        @Test("captured output is secret: its owner writes, one group reads")
        func modes() throws {
            let scratch = try Scratch()
            let group: UInt32? = geteuid() == 0 ? 4711 : nil
            let file = LogFile(path: scratch("log/x.log"), group: group)
            try append(file, "one\n")
            var status = stat()
            #expect(stat(scratch("log/x.log"), &status) == 0 && status.st_mode & 0o777 == 0o640)
            #expect(status.st_gid == group ?? getegid())
            #expect(stat(scratch("log"), &status) == 0 && status.st_mode & 0o777 == 0o750)
            #expect(status.st_gid == group ?? getegid())
        }

        @Test("clearing empties the file and removes the older ones; going on is in order")
        func clear() throws {
            let scratch = try Scratch()
            let file = LogFile(path: scratch("x.log"), limits: .init(size: 10, keep: 2))
            for text in ["aaaaaaa\n", "bbbbbbb\n"] { try append(file, text) }
            try file.clear()
            #expect(scratch.read("x.log") == "")
            #expect(try segments(scratch) == [])
            try append(file, "ccccccc\n")
            #expect(scratch.read("x.log") == "ccccccc\n")
            try LogFile(path: scratch("never.log")).clear()
        }

        @Test("a disk that refuses is counted and named, never fatal, and told in the file when it takes lines again")
        func diskError() throws {
            let error = #expect(throws: SystemError.self) { try append(LogFile(path: "/proc/nosuch/x.log"), "a\n") }
            #expect(error?.errno == .noSuchFileOrDirectory)
            #expect(throws: SystemError("write", "/dev/full", .noSpace)) {
                try append(LogFile(path: "/dev/full"), "a\n")
            }

            let logging = try Logging()
            var told: [String] = []
            logging.log.onTrouble = { trouble in
                switch trouble {
                case .lost(let error): told.append("lost: \(error.errno.text)")
                case .keptAgain(let lost): told.append("kept again: \(lost)")
                case .noJournal: told.append("no journal")
                }
            }
            let out = try logging.pipe()
            symlink("/dev/full", logging.log.file.path)
            try logging.run("echo one; echo two", out)
            out.drain()
            #expect(logging.log.lost == 2)
            unlink(logging.log.file.path)
            try logging.run("echo three", out)
            out.close()
            #expect(told == ["lost: Too many levels of symbolic links", "kept again: 2"])
            let lines = try logging.lines()
            #expect(lines.count == 2 && lines.last == "app.service#3 out: three")
            #expect(lines.first?.hasPrefix("app.service log: 2 lines were lost: open ") == true)
        }

        @Test("a full disk takes whole batches or none", .enabled(if: geteuid() == 0))
        func fullDisk() throws {
            let scratch = try Scratch()
            try FileTree.makeDirectory(scratch("small"))
            try #require(mount("tmpfs", scratch("small"), "tmpfs", 0, "size=64k") == 0)
            defer { umount(scratch("small")) }
            let file = LogFile(path: scratch("small/x.log"))
            let batch = String(repeating: "a line\n", count: 1000)
            var written = 0
            #expect(throws: SystemError("write", file.path, .noSpace)) {
                while true {
                    try append(file, batch)
                    written += 1
                }
            }
            #expect(scratch.read("small/x.log") == String(repeating: batch, count: written))
            #expect(written == (64 << 10) / batch.utf8.count)
        }

        @Test("rotated files are compressed by another process, and none is lost or left over")
        func compression() throws {
            var policy = LogPolicy()
            policy.limits = LogFile.Limits(size: 60_000, keep: 4)
            let logging = try Logging(policy)
            var failures: [String] = []
            logging.capture.compressor.failed = { failures.append($0) }
            let out = try logging.pipe()
            try logging.run("seq 1 3000", out)
            out.close()
            func names() throws -> [String] { try segments(logging.scratch) }
            try logging.loop.run(until: { (try? names().allSatisfy { $0.hasSuffix(".gz") }) == true })
            #expect(failures == [])
            #expect(try (2...4).contains(names().count))
            let printed = (1...3000).map { "app.service#3 out: \($0)" }
            #expect(try logging.lines() == printed)
        }

        @Test("what somebody put in the place of a compressed file, or of the file, is neither written to nor read")
        func compressionAndLinks() throws {
            let logging = try Logging()
            let name = "app.service.log.20260102T030405.678Z"
            let victim = try logging.scratch.write("victim", "precious")
            _ = try logging.scratch.write(name, "2026-01-02T03:04:05.000000Z app.service#1 out: old\n", mode: 0o640)
            for link in [name + ".gz", "." + name + ".gz"] { symlink(victim, logging.scratch(link)) }
            logging.capture.compressor.addLeftovers(in: logging.scratch.path)
            try logging.loop.run(until: { access(logging.scratch(name), F_OK) != 0 })
            #expect(logging.scratch.read("victim") == "precious")
            var status = stat()
            #expect(lstat(logging.scratch(name + ".gz"), &status) == 0)
            #expect(status.st_mode & S_IFMT == S_IFREG && status.st_mode & 0o777 == 0o640)
            var failures: [String] = []
            logging.capture.compressor.failed = { failures.append($0) }
            symlink(victim, logging.scratch(name))
            logging.capture.compressor.addLeftovers(in: logging.scratch.path)
            #expect(failures.count == 1 && logging.scratch.read("victim") == "precious")
        }

        @Test("what an earlier process had no time to compress is compressed by the next")
        func leftovers() throws {
            let logging = try Logging()
            let name = "app.service.log.20260102T030405.678Z"
            _ = try logging.scratch.write(name, "2026-01-02T03:04:05.000000Z app.service#1 out: old\n")
            // Half a file, as a killed gzip leaves it.
            _ = try logging.scratch.write(name + ".gz", "xx")
            _ = try logging.scratch.write("app.service.log.1", "somebody else's")
            logging.capture.compressor.addLeftovers(in: logging.scratch.path)
            try logging.loop.run(until: { access(logging.scratch(name), F_OK) != 0 })
            #expect(try logging.lines() == ["app.service#1 out: old"])
            #expect(logging.scratch.read("app.service.log.1") == "somebody else's")
        }
    }

    @Suite struct JournalTests {
        @Test(
            "lines go to the journal with unit, generation, stream and level; without one to the file, and that is told"
        )
        func fields() throws {
            var policy = LogPolicy()
            policy.identifier = "app"
            let scratch = try Scratch()
            let logging = try Logging(policy, journal: scratch("journal"))
            var told = 0
            logging.log.onTrouble = { _ in told += 1 }
            let out = try logging.pipe(toJournal: true)
            try logging.run("echo early", out)
            out.drain()
            #expect(try logging.lines() == ["app.service#3 out: early"])
            #expect(told == 1)
            let journal = try DatagramReader(path: scratch("journal"))
            try logging.run("echo '<3>bad'; echo; echo plain", out)
            out.close()
            #expect(
                try journal.all() == [
                    """
                    MESSAGE=bad
                    PRIORITY=3
                    SYSLOG_FACILITY=3
                    SYSLOG_IDENTIFIER=app
                    HOLDFAST_UNIT=app.service
                    HOLDFAST_GENERATION=3
                    HOLDFAST_STREAM=out

                    """,
                    """
                    MESSAGE=plain
                    PRIORITY=6
                    SYSLOG_FACILITY=3
                    SYSLOG_IDENTIFIER=app
                    HOLDFAST_UNIT=app.service
                    HOLDFAST_GENERATION=3
                    HOLDFAST_STREAM=out

                    """,
                ])
            #expect(try logging.lines().count == 1)
        }

        @Test("what a slow journal has no room for when the service ends is in the file, by lines")
        func slowAtTheEnd() throws {
            let scratch = try Scratch()
            let journal = try DatagramReader(path: scratch("journal"))
            let logging = try Logging(journal: scratch("journal"))
            let out = try logging.pipe(toJournal: true)
            try logging.run("seq 3000; printf unfinished", out)
            out.close()
            var found = try journal.all().compactMap { $0.split(separator: "\n").first?.dropFirst(8) }
            found += try logging.lines().compactMap { $0.split(separator: " ").last }
            let isWhole = found.map(String.init) == (1...3000).map(String.init) + ["unfinished"]
            #expect(isWhole && found.count == 3001)
        }

        @Test("a slow journal holds up only who writes to it, and nothing is lost")
        func slow() throws {
            let scratch = try Scratch()
            let journal = try DatagramReader(path: scratch("journal"))
            let logging = try Logging(journal: scratch("journal"))
            let out = try logging.pipe(toJournal: true)
            let end = try out.openForService()
            let child = try shell("seq 5000", children: logging.children) { $0.standardOutput = end.raw }
            var done = false
            let watch = try logging.children.watch(child.handle) { _ in done = true }
            var found: [String] = []
            // One is taken for some that could be sent: the journal is always behind.
            try logging.loop.run(until: {
                if let entry = try? journal.next() { found.append(entry) }
                return done && found.count == 5000
            })
            withExtendedLifetime(watch) {}
            out.close()
            let numbers = found.compactMap { $0.split(separator: "\n").first }.compactMap { Int($0.dropFirst(8)) }
            let isInOrder = numbers == Array(1...5000)
            #expect(isInOrder)
            #expect(try logging.lines() == [])
        }
    }
}

/// The other end of a datagram socket, read without waiting.
private final class DatagramReader {
    let socket: OwnedDescriptor

    init(path: String) throws {
        socket = try OwnedDescriptor.socket(AF_UNIX, SocketType.datagram)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let raw = socket.raw
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(raw, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(result == 0)
    }

    func next() throws -> String? {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let count = recv(socket.raw, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        return count < 0 ? nil : String(decoding: buffer[..<count], as: UTF8.self)
    }

    func all() throws -> [String] {
        var found: [String] = []
        while let entry = try next() { found.append(entry) }
        return found
    }
}
