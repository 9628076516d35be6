import CSpawn
import Glibc
import SystemPackage
import Testing

@testable import Linux

extension LinuxTests {
    @Suite struct TreeRemovalTests {
        private func isThere(_ path: String) -> Bool {
            var status = stat()
            return lstat(path, &status) == 0
        }

        @Test(
            "a tree of any depth is removed, with names that are not text, without following links",
            arguments: [70, 10_000])
        func deep(_ depth: Int) throws {
            let scratch = try Scratch(in: "/dev/shm")
            _ = try scratch.write("keep", "precious")
            try FileTree.makeDirectory(scratch("top"))
            try nest(depth, in: scratch("top"), String(repeating: "d", count: 200))
            let odd: [CChar] = [-1, -2, 0]
            let top = try OwnedDescriptor.open(scratch("top"), O_RDONLY | O_DIRECTORY)
            try checkErrno(mkdirat(top.raw, odd, 0o755), "mkdir")
            symlink(scratch.path, scratch("top/link"))
            let before = openDescriptors()
            try FileTree.remove(scratch("top"))
            #expect(try UnitDirectory.list(scratch.path) == ["keep"] && scratch.read("keep") == "precious")
            #expect(openDescriptors() == before)
        }

        @Test("what is thrown away is gone from its path at once, and removed bit by bit")
        func trash() throws {
            let scratch = try Scratch(in: "/dev/shm")
            let loop = try EventLoop()
            let trash = try Trash(loop: loop, path: scratch("trash"))
            try FileTree.makeDirectory(scratch("wide"))
            for number in 0..<20_000 { _ = try scratch.write("wide/\(number)", "") }
            try FileTree.makeDirectory(scratch("deep"))
            try nest(300, in: scratch("deep"))
            try trash.throwAway(scratch("wide"))
            try trash.throwAway(scratch("deep"))
            try trash.throwAway(scratch("nothing"))
            try trash.throwAway(scratch("nowhere/nothing"))
            #expect(try UnitDirectory.list(scratch.path) == ["trash"])
            var rounds = 0
            try loop.run(until: {
                rounds += 1
                return trash.isIdle
            })
            #expect(rounds > 2, "in \(rounds) rounds")
            #expect(try UnitDirectory.list(scratch("trash")) == [])
            try trash.throwAway(scratch.write("file", "x"))
            #expect(try UnitDirectory.list(scratch.path) == ["trash"])
            trash.finish()
            #expect(try UnitDirectory.list(scratch.path) == [])
        }

        @Test("what an earlier process left in the trash is removed, and is no reason not to start")
        func leftovers() throws {
            let scratch = try Scratch()
            let loop = try EventLoop()
            try FileTree.makeDirectory(scratch("trash/x/y"))
            try FileTree.makeDirectory(scratch(".holdfast-removing-z/y"))
            _ = try scratch.write("trash/file", "")
            let trash = try Trash(loop: loop, path: scratch("trash"))
            try loop.run(until: { trash.isIdle })
            #expect(try UnitDirectory.list(scratch.path) == ["trash"])
            #expect(try UnitDirectory.list(scratch("trash")) == [])
            // Something else is in the place of the trash.
            rmdir(scratch("trash"))
            _ = try scratch.write("trash", "")
            let other = try Trash(loop: loop, path: scratch("trash"))
            try FileTree.makeDirectory(scratch("left/x"))
            try other.throwAway(scratch("left"))
            try loop.run(until: { other.isIdle })
            #expect(try UnitDirectory.list(scratch.path) == ["trash"])
        }

        @Test(
            "what cannot be removed stays, without a mount being crossed, and everything else goes",
            .enabled(if: isRoot))
        func mounts() throws {
            let scratch = try Scratch()
            try FileTree.makeDirectory(scratch("top/mount"))
            try FileTree.makeDirectory(scratch("top/other/x"))
            try #require(mount("tmpfs", scratch("top/mount"), "tmpfs", 0, nil) == 0)
            defer { umount2(scratch("top/mount"), 0) }
            _ = try scratch.write("top/mount/file", "x")
            #expect(throws: SystemError.self) { try FileTree.remove(scratch("top")) }
            #expect(scratch.read("top/mount/file") == "x")
            #expect(try UnitDirectory.list(scratch("top")) == ["mount"])
            // Of a mount itself only what is in it.
            let trash = try Trash(loop: try EventLoop(), path: scratch("trash"))
            try trash.throwAway(scratch("top/mount"))
            #expect(try UnitDirectory.list(scratch("top/mount")) == [])
        }

        @Test("a tree is emptied although its user goes on adding to it", .enabled(if: isRoot))
        func contested() throws {
            let scratch = try Scratch()
            let loop = try EventLoop()
            let trash = try Trash(loop: loop, path: scratch("trash"))
            try FileTree.makeDirectory(scratch("top"))
            chown(scratch("top"), nobody, nobody)
            let children = Children(loop: loop)
            let child = try shell(
                "cd \(scratch("top")); while :; do mkdir a; mkdir a/b; echo >a/b/c; done 2>/dev/null",
                children: children
            ) { $0.credentials = Credentials(uid: nobody, gid: nobody, groups: []) }
            defer { kill(child.pid, SIGKILL) }
            try loop.run(until: { isThere(scratch("top/a")) })
            try trash.throwAway(scratch("top"))
            try loop.run(until: { trash.isIdle })
            #expect(try UnitDirectory.list(scratch("trash")) == [])
        }
    }
}
