import Glibc
import SystemPackage
import Testing

@testable import Linux

extension LinuxTests {
    @Suite struct FileTests {
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
