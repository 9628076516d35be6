import Glibc
import SystemPackage
import Testing

@testable import Linux

extension LinuxTests {
    /// Paths whose look-up others can make long.
    @Suite struct PathPatternTests {
        @Test("a pattern matches what glob(7) says, in order")
        func matches() throws {
            let scratch = try Scratch()
            for name in ["a.env", "b.env", ".hidden.env", "c.txt", "[x].env"] { _ = try scratch.write(name, "") }
            for directory in ["one", "two"] {
                mkdir(scratch(directory), 0o755)
                _ = try scratch.write(directory + "/a.env", "")
            }
            let root = scratch.path
            func match(_ pattern: String) throws -> [String] {
                try PathPattern.matches(root + pattern).map { String($0.dropFirst(root.count)) }
            }
            #expect(try match("/*.env") == ["/[x].env", "/a.env", "/b.env"])
            #expect(try match("/?.env") == ["/a.env", "/b.env"])
            #expect(try match("/.h*") == ["/.hidden.env"])
            #expect(try match("/*/a.env") == ["/one/a.env", "/two/a.env"])
            #expect(try match("/[[]x].env") == ["/[x].env"])
            #expect(try match("/\\[x].e*") == ["/[x].env"])
            #expect(try match("/[no]*/*.nothing") == [])
            #expect(try match("/none/*") == [])
        }

        @Test("a pattern that leads through a whole file system, or matches too much, is refused with the limit")
        func limits() throws {
            let wide = #expect(throws: SystemError.self) { _ = try PathPattern.matches("/*/*/*/*/*/*") }
            #expect(wide?.description.hasPrefix("match /*/*/*/*/*/*: more than 20000 directory entries: ") == true)
            let scratch = try Scratch()
            for number in 0..<1024 { _ = try scratch.write("\(number)", "") }
            #expect(try PathPattern.matches(scratch.path + "/*").count == 1024)
            _ = try scratch.write("last", "")
            let many = #expect(throws: SystemError.self) { _ = try PathPattern.matches(scratch.path + "/*") }
            #expect(many?.description.hasPrefix("match \(scratch.path)/*: more than 1024 paths: ") == true)
            // Directories on the way are no matches.
            #expect(try PathPattern.matches(scratch.path + "/*/x") == [])
        }

        @Test("a look at a path on a network, a program or automount waits; at what leads there by a link, too")
        func mounts() throws {
            let scratch = try Scratch()
            symlink("/srv/net/app", scratch("link"))
            symlink(scratch("gone"), scratch("dangling"))
            let table = MountTable(
                mountinfo: """
                    1 0 8:1 / / rw - ext4 /dev/sda1 rw
                    2 1 0:5 / /proc rw - proc proc rw
                    3 1 0:40 / /srv/net rw shared:1 - nfs4 host:/x rw
                    4 1 0:41 / /mnt/with\\040space rw - fuse.sshfs x rw
                    5 1 0:42 / /home rw - autofs auto rw
                    6 1 0:43 / /odd rw - somefs x rw
                    7 1 0:44 / /layers rw - overlay overlay rw,lowerdir=/srv/net/base,upperdir=/up,workdir=/work
                    """)
            for path in ["/etc/x", "/", "/proc/1/x", "/srv/network", scratch("dangling"), scratch("none/../none")] {
                #expect(table.answersAtOnce(path), "\(path)")
            }
            for path in [
                "/srv/net", "/srv/net/a", "/mnt/with space/x", "/home/me", "/odd/x", "/layers/x", scratch("link"),
                scratch("link") + "/x",
                "/etc/../srv/net/x", "relative",
            ] {
                #expect(!table.answersAtOnce(path), "\(path)")
            }
            #expect(MountTable.current() != nil)
        }
    }
}
