import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// The rules of systemd.socket(5) for addresses, names and files, with other units.
    @Suite struct SocketExamples {
        /// A service that writes its environment to `out/NAME` and stays.
        private func service(_ layout: World.Layout, _ name: String, _ lines: String = "") throws {
            try layout.unit(
                "\(name).service",
                "[Service]\nExecStart=/bin/sh -c 'env > \(layout.path)/out/new && mv \(layout.path)/out/new "
                    + "\(layout.path)/out/\(name); exec sleep 1000'\n\(lines)")
        }

        private func environment(_ world: World, _ name: String) throws -> [String: String] {
            var found: [String: String] = [:]
            try eventually("\(name) to be started") { world.contents("out/\(name)") != nil }
            for line in (world.contents("out/\(name)") ?? "").split(separator: "\n") {
                let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                found[String(parts[0])] = String(parts.last ?? "")
            }
            return found
        }

        private func mode(_ path: String) -> Int? {
            var status = stat()
            return stat(path, &status) == 0 ? Int(status.st_mode & 0o7777) : nil
        }

        @Test("A port, an address, a path and an abstract name are listened on, and passed in the order of their lines")
        func addresses() throws {
            let other = try freePort()
            try withWorld { layout in
                try layout.unit(
                    "foo.socket",
                    """
                    [Socket]
                    ListenStream=9
                    ListenStream=
                    ListenStream=\(layout.port)
                    ListenStream=127.0.0.1:\(other)
                    ListenStream=\(layout.path)/out/foo
                    ListenStream=@\(layout.path)/foo
                    """)
                try service(layout, "foo")
            } then: { (world: World) throws in
                #expect(try world.run("start", "foo.socket").outcome == .started)
                let clients = try [
                    RawConnection(port: world.port), RawConnection(port: other),
                    RawConnection(unix: world.path + "/out/foo"),
                ]
                let found = try environment(world, "foo")
                #expect(found["LISTEN_FDS"] == "4")
                #expect(found["LISTEN_FDNAMES"] == Array(repeating: "foo.socket", count: 4).joined(separator: ":"))
                let pid = try world.mainPid("foo.service")
                #expect(found["LISTEN_PID"] == "\(pid)")
                let inodes = try (3...6).map {
                    try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/\($0)")
                }
                #expect(inodes.allSatisfy { $0.hasPrefix("socket:") } && Set(inodes).count == 4)
                let shown = try #require(try world.sockets().first { $0.unit == "foo.socket" })
                #expect(shown.state == .running)
                // The kernel's list is read in pieces while other sockets are opened and closed: one may be missed.
                try eventually("the abstract name, the last of them, to be listed") {
                    let list = try Program.run("cat", ["/proc/net/unix"]).outputText.split(separator: "\n")
                    let line = list.first { $0.hasSuffix(" @\(world.path)/foo") }
                    return inodes.last == line?.split(separator: " ").dropFirst(6).first.map { "socket:[\($0)]" }
                }
                withExtendedLifetime(clients) {}
            }
        }

        @Test("Service= gives several sockets to one service, whichever is connected to; its names tell them apart")
        func severalSockets() throws {
            try withWorld { layout in
                try layout.unit(
                    "web.socket",
                    "[Socket]\nListenStream=127.0.0.1:\(layout.port)\nFileDescriptorName=web\nService=both.service\n")
                try layout.unit(
                    "admin.socket", "[Socket]\nListenStream=\(layout.path)/out/admin\nService=both.service\n")
                try service(layout, "both")
            } then: { (world: World) throws in
                #expect(try world.run("start", "web.socket", "admin.socket").status == 0)
                let client = try RawConnection(unix: world.path + "/out/admin")
                let found = try environment(world, "both")
                #expect(found["LISTEN_FDS"] == "2")
                #expect(Set((found["LISTEN_FDNAMES"] ?? "").split(separator: ":")) == ["web", "admin.socket"])
                #expect(Set(try world.sockets().map(\.state)) == [.running])
                withExtendedLifetime(client) {}
            }
        }

        @Test("Modes of socket and directory, links to it, and with RemoveOnStop= nothing of them afterwards")
        func files() throws {
            try withWorld { layout in
                try layout.unit(
                    "foo.socket",
                    """
                    [Socket]
                    ListenStream=\(layout.path)/out/deep/er/foo
                    SocketMode=0600
                    DirectoryMode=0711
                    Symlinks=\(layout.path)/out/link
                    RemoveOnStop=yes
                    FlushPending=yes
                    """)
                try service(layout, "foo")
            } then: { (world: World) throws in
                #expect(try world.run("start", "foo.socket").outcome == .started)
                let path = world.path + "/out/deep/er/foo"
                #expect(mode(path) == 0o600 && mode(world.path + "/out/deep/er") == 0o711)
                #expect(
                    try FileManager.default.destinationOfSymbolicLink(atPath: world.path + "/out/link").hasSuffix("foo")
                )
                let client = try RawConnection(unix: world.path + "/out/link")
                _ = try environment(world, "foo")
                #expect(try world.run("stop", "foo").outcome == .stopped)
                withExtendedLifetime(client) {}
                #expect(try world.run("stop", "foo.socket").outcome == .stopped)
                #expect(mode(path) == nil)
                let link = world.path + "/out/link"
                #expect(throws: (any Error).self) { try FileManager.default.destinationOfSymbolicLink(atPath: link) }
            }
        }
    }
}
