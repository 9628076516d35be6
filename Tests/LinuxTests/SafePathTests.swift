import CSpawn
import Glibc
import Synchronization
import SystemPackage
import Testing

@testable import Linux

/// The user that services of these tests run as.
let nobody: UInt32 = 65534

/// A hostile service: in a directory that belongs to it, `foo`, it exchanges the directory `sub` and a link of its own to
/// `target`, which is root's and private, as fast as it can.
final class LinkSwapper {
    let scratch: Scratch
    private let done = Atomic(false)
    private var thread = pthread_t()

    init(_ scratch: Scratch) throws {
        self.scratch = scratch
        for name in ["foo", "foo/sub", "target"] { try FileTree.makeDirectory(scratch(name)) }
        _ = try scratch.write("target/secret", "secret", mode: 0o600)
        chmod(scratch("target"), 0o700)
        try #require(symlink(scratch("target"), scratch("foo/link")) == 0)
        for name in ["foo", "foo/sub", "foo/link"] { lchown(scratch(name), nobody, nobody) }
        let result = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<LinkSwapper>.fromOpaque(argument).takeUnretainedValue().swap()
                return nil
            }, Unmanaged.passUnretained(self).toOpaque())
        try #require(result == 0)
    }

    private func swap() {
        let (left, right) = (scratch("foo/sub"), scratch("foo/link"))
        while !done.load(ordering: .relaxed) {
            _ = holdfast_rename(AT_FDCWD, left, AT_FDCWD, right, Int32(HOLDFAST_RENAME_EXCHANGE))
        }
    }

    /// Ends it, and looks whether anything outside of its directory has changed.
    func end(_ location: SourceLocation = #_sourceLocation) {
        done.store(true, ordering: .relaxed)
        pthread_join(thread, nil)
        var status = stat()
        #expect(lstat(scratch("target"), &status) == 0, sourceLocation: location)
        #expect(
            status.st_uid == 0 && status.st_mode & 0o7777 == 0o700, "the target's owner, mode", sourceLocation: location
        )
        #expect(lstat(scratch("target/secret"), &status) == 0, "the file in it", sourceLocation: location)
        #expect(status.st_uid == 0 && status.st_mode & 0o7777 == 0o600, "its owner, mode", sourceLocation: location)
        #expect(scratch.read("target/secret") == "secret", sourceLocation: location)
        #expect(
            (try? UnitDirectory.list(scratch("target"))) == ["secret"], "nothing is added", sourceLocation: location)
    }

    /// Calls `body` until it has gone well and failed often enough, so that both states were met.
    func challenge(_ body: () throws -> Void) {
        var (passed, refused) = (0, 0)
        for _ in 0..<20_000 where passed < 100 || refused < 100 {
            do {
                try body()
                passed += 1
            } catch { refused += 1 }
        }
        #expect(passed > 0 && refused > 0, "\(passed) went well, \(refused) were refused")
    }
}

extension LinuxTests {
    @Suite(.enabled(if: isRoot)) struct SafePathTests {
        private func owner(_ path: String) -> UInt32? {
            var status = stat()
            return lstat(path, &status) == 0 ? status.st_uid : nil
        }

        @Test("a service that swaps links for its directories is given nothing else")
        func serviceDirectory() throws {
            let swapper = try LinkSwapper(try Scratch())
            let path = swapper.scratch("foo/sub")
            swapper.challenge { try ServiceDirectory.make(path, mode: 0o755, owner: (nobody, nobody)) }
            swapper.challenge { try ServiceDirectory.make(path + "/deep/er", mode: 0o755, owner: (nobody, nobody)) }
            swapper.challenge {
                try ServiceDirectory.link("sub/x", to: "sub/deep", in: swapper.scratch("foo"))
                try ServiceDirectory.unlink("sub/x", to: "sub/deep", in: swapper.scratch("foo"))
            }
            swapper.end()
        }

        @Test("sockets, FIFOs and their other names are bound, linked and removed where they belong")
        func sockets() throws {
            let swapper = try LinkSwapper(try Scratch())
            let path = swapper.scratch("foo/sub/x")
            let look = ListeningSocket.FileOptions(mode: 0o620, owner: 7, group: 8)
            swapper.challenge {
                let socket = try ListeningSocket(.unix(path: path + ".sock"), options: look)
                #expect(socket.address == .unix(path: path + ".sock"), "programs compare its name")
                _ = try? socket.restorePath()
                socket.unlinkPath()
            }
            swapper.challenge {
                let fifo = try HeldFile(.fifo(path: path + ".fifo"), file: look)
                fifo.unlinkPath()
            }
            swapper.challenge {
                try SocketLinks.make(path + ".link", to: "/x", directoryMode: 0o755, replacing: true)
                SocketLinks.remove(path + ".link", to: "/x")
            }
            swapper.end()
        }

        @Test("a socket in a directory of somebody else has its name, mode and owner, and can be reached")
        func foreignSocket() throws {
            let scratch = try Scratch()
            try FileTree.makeDirectory(scratch("foo"))
            chown(scratch("foo"), nobody, nobody)
            let look = ListeningSocket.FileOptions(mode: 0o620, owner: 7, group: 8)
            let socket = try ListeningSocket(.unix(path: scratch("foo/x")), options: look)
            #expect(socket.address == .unix(path: scratch("foo/x")))
            var status = stat()
            #expect(lstat(scratch("foo/x"), &status) == 0 && status.st_mode & 0o7777 == 0o620)
            #expect(status.st_uid == 7 && status.st_gid == 8)
            let client = try OwnedDescriptor.socket(AF_UNIX, SocketType.stream)
            let result = try SocketAddress.unix(path: scratch("foo/x")).withSockaddr { connect(client.raw, $0, $1) }
            #expect(result == 0)
            #expect(try UnitDirectory.list(scratch("foo")) == [".x.held", "x"])
            #expect(throws: SystemError.self) { _ = try ListeningSocket(.unix(path: scratch("foo/x"))) }
            unlink(scratch("foo/x"))
            #expect(try socket.restorePath() == .restored)
            socket.unlinkPath()
            #expect(try UnitDirectory.list(scratch("foo")) == [])
        }

        @Test("files are opened, read and removed for a service where they belong")
        func files() throws {
            let swapper = try LinkSwapper(try Scratch())
            let path = swapper.scratch("foo/sub/secret")
            swapper.challenge { _ = try OutputTarget.truncate(path).open(stream: 1) }
            swapper.challenge { try OutputTarget.append(path).open(stream: 1).writeAll("x".utf8, subject: path) }
            swapper.challenge {
                let read = try CredentialFiles.read(path, as: "x", limit: 1 << 16)
                #expect(read.allSatisfy { $0.bytes != Array("secret".utf8) })
            }
            swapper.challenge {
                let pid = try PidFile.read(path, user: nobody)
                #expect(pid == .missing || pid == .noNumber)
            }
            swapper.challenge { try PidFile.remove(path) }
            let trash = try Trash(loop: try EventLoop(), path: swapper.scratch("trash"))
            swapper.challenge { try trash.throwAway(path) }
            swapper.end()
        }

        @Test("a PID file is read only if root or the service's user has written it, and removed")
        func pidFile() throws {
            let scratch = try Scratch()
            let path = try scratch.write("pid", "4711\n")
            #expect(try PidFile.read(path, user: nobody) == .process(4711))
            chown(path, nobody, nobody)
            #expect(try PidFile.read(path, user: nobody) == .process(4711))
            #expect(throws: SystemError.self) { _ = try PidFile.read(path, user: 7) }
            #expect(try PidFile.read(scratch("none"), user: 7) == .missing)
            try PidFile.remove(path)
            try PidFile.remove(path)
            try FileTree.makeDirectory(path)
            try PidFile.remove(path)
            #expect(try UnitDirectory.list(scratch.path) == ["pid"])
        }

        @Test("a directory that the service's user did not make is not given to it, where it may have moved it there")
        func moved() throws {
            let scratch = try Scratch()
            try FileTree.makeDirectory(scratch("foo"))
            chown(scratch("foo"), nobody, nobody)
            try FileTree.makeDirectory(scratch("foo/private"), mode: 0o700)
            _ = try scratch.write("foo/private/secret", "x", mode: 0o600)
            // As its user can: it owns the directory that both are in.
            rename(scratch("foo/private"), scratch("foo/sub"))
            #expect(throws: SystemError.self) {
                try ServiceDirectory.make(scratch("foo/sub"), mode: 0o755, owner: (nobody, nobody))
            }
            #expect(owner(scratch("foo/sub")) == 0 && owner(scratch("foo/sub/secret")) == 0)
            // What is made there is given.
            try ServiceDirectory.make(scratch("foo/new"), mode: 0o750, owner: (nobody, nobody))
            #expect(owner(scratch("foo/new")) == nobody)
            try ServiceDirectory.make(scratch("foo/new"), mode: 0o700, owner: (nobody, nobody))
        }

        @Test(
            "a link of the administrator is followed, one of another user only to what is the user's, and only to read")
        func trust() throws {
            let scratch = try Scratch()
            for name in ["data", "lib", "foo", "foo/own"] { try FileTree.makeDirectory(scratch(name)) }
            symlink(scratch("data"), scratch("lib/app"))
            try ServiceDirectory.make(scratch("lib/app"), mode: 0o755, owner: (nobody, nobody))
            #expect(owner(scratch("data")) == nobody)

            _ = try scratch.write("root", "root's")
            _ = try scratch.write("foo/own/file", "own")
            for (name, target) in [
                ("file", "own/file"), ("absolute", scratch("foo/own/file")), ("bad", scratch("root")),
            ] {
                symlink(target, scratch("foo/" + name))
            }
            for name in ["foo", "foo/own", "foo/own/file", "foo/file", "foo/absolute", "foo/bad"] {
                lchown(scratch(name), nobody, nobody)
            }
            #expect(throws: Never.self) { _ = try SafeFile.open(scratch("foo/file"), O_RDONLY) }
            #expect(throws: Never.self) { _ = try SafeFile.open(scratch("foo/absolute"), O_RDONLY) }
            let error = #expect(throws: SystemError.self) { _ = try SafeFile.open(scratch("foo/bad"), O_RDONLY) }
            #expect(error?.errno == .permissionDenied)
            #expect(throws: SystemError.self) { _ = try SafeDirectory.open(scratch("foo/file"), .ofRoot) }
            #expect(throws: SystemError.self) { _ = try SafeDirectory.open(scratch("foo/own/.."), .ofOwner) }
            #expect(throws: Never.self) { _ = try SafeFile.open("/proc/self/fd/2", O_WRONLY) }
            #expect(throws: Never.self) { _ = try SafeFile.open("/dev/stderr", O_WRONLY) }
        }

        @Test("a change of owner follows no link, crosses no mount, and leaves files that have a name elsewhere")
        func recursion() throws {
            let scratch = try Scratch()
            for name in ["top", "top/a", "top/a/b", "else"] { try FileTree.makeDirectory(scratch(name)) }
            _ = try scratch.write("top/a/b/file", "x")
            _ = try scratch.write("top/a/odd", "x")
            rename(scratch("top/a/odd"), scratch("top/a/odd") + "\u{ff}")
            _ = try scratch.write("else/precious", "x")
            link(scratch("else/precious"), scratch("top/hard"))
            symlink(scratch("else"), scratch("top/soft"))
            try #require(mount("tmpfs", scratch("top/a/b"), "tmpfs", 0, nil) == 0 || errno == EPERM)
            defer { umount(scratch("top/a/b")) }
            _ = try scratch.write("top/a/b/mounted", "x")
            try ServiceDirectory.make(scratch("top"), mode: 0o755, owner: (nobody, nobody))
            #expect(owner(scratch("top")) == nobody && owner(scratch("top/a")) == nobody)
            #expect(owner(scratch("top/soft")) == nobody && owner(scratch("else")) == 0)
            #expect(owner(scratch("else/precious")) == 0)
            #expect(owner(scratch("top/a/b/mounted")) == 0)
        }

        @Test("a change of owner that takes long is made in pieces, each a few milliseconds")
        func pieces() throws {
            let scratch = try Scratch(in: "/dev/shm")
            try FileTree.makeDirectory(scratch("top"))
            try nest(3000, in: scratch("top"))
            for number in 0..<3000 { _ = try scratch.write("top/\(number)", "") }
            let changes = OwnerChanges()
            var rounds = 0
            while true {
                do throws(SystemError) {
                    try ServiceDirectory.make(scratch("top"), mode: 0o755, owner: (nobody, nobody), changes: changes)
                    break
                } catch {
                    guard error.errno == .nowInProgress else { throw error }
                    rounds += 1
                    #expect(owner(scratch("top")) == 0, "its owner says that the rest is done")
                }
            }
            #expect(rounds > 0)
            #expect(owner(scratch("top")) == nobody && owner(scratch("top/2999")) == nobody)
            #expect(owner(scratch("top/d/d/d")) == nobody)
        }

        @Test("a change of owner reaches every depth and width")
        func deepRecursion() throws {
            let scratch = try Scratch(in: "/dev/shm")
            try FileTree.makeDirectory(scratch("top"))
            try nest(5000, in: scratch("top"))
            for number in 0..<3000 { _ = try scratch.write("top/\(number)", "") }
            try ServiceDirectory.make(scratch("top"), mode: 0o755, owner: (nobody, nobody))
            #expect(owner(scratch("top/2999")) == nobody)
            var depth = 0
            var place = OwnedDescriptor(owning: holdfast_open(scratch("top"), O_RDONLY | O_DIRECTORY, 0))
            while let next = try? place.open("d", O_RDONLY | O_DIRECTORY) {
                depth += 1
                #expect(try stat(of: next.raw, "").st_uid == nobody)
                place = next
            }
            #expect(depth == 5000)
        }
    }
}

/// A directory in a directory, and so on, deeper than any path can name.
func nest(_ depth: Int, in path: String, _ name: String = "d") throws {
    var place = try OwnedDescriptor.open(path, O_RDONLY | O_DIRECTORY)
    for _ in 0..<depth {
        try checkErrno(mkdirat(place.raw, name, 0o755), "mkdir")
        place = try place.open(name, O_RDONLY | O_DIRECTORY)
    }
    _ = try place.open("file", O_WRONLY | O_CREAT)
}
