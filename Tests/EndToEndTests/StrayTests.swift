import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// A host without control groups, and programs that leave their parent, their session and their environment at
    /// once.
    @Suite struct Strays {
        /// A script whose `sleep` has no mark of the service any more, except perhaps its output.
        private func escape(_ layout: World.Layout, keepsOutput: Bool) throws {
            try layout.hideControlGroups()
            let output = keepsOutput ? "" : "</dev/null >/dev/null 2>&1"
            try layout.write(
                "escape",
                """
                #!/bin/sh
                env -i setsid sh -c "setsid sleep 600.\(layout.port) \(output) & exit 0"
                [ "$1" = ends ] || exec sleep 1000
                """, mode: 0o755)
        }

        private func service(_ layout: World.Layout, _ name: String, _ program: String) throws {
            try layout.unit("\(name).service", "[Service]\nExecStart=\(program)\nTimeoutStopSec=5s\n")
        }

        private func sleepers(_ world: World) -> [ProcessEntry] {
            ProcessEntry.all.filter { $0.arguments == ["sleep", "600.\(world.port)"] && !$0.isDead }
        }

        /// Waits until the supervisor is the process's parent.
        private func awaitOrphan(_ world: World) throws -> Int {
            try eventually("an orphan") { sleepers(world).contains { $0.parent == world.daemon.pid } }
            return try #require(sleepers(world).first).pid
        }

        @Test(
            "What only one service can have left is that service's: it goes with its stop, and when its main process ends"
        )
        func onlyOne() throws {
            try withWorld { layout in
                try escape(layout, keepsOutput: false)
                try service(layout, "lasting", "\(layout.path)/escape")
                try service(layout, "short", "\(layout.path)/escape ends")
            } then: { world in
                #expect(try world.run("start", "lasting").outcome == .started)
                _ = try awaitOrphan(world)
                #expect(try world.run("stop", "lasting").outcome == .stopped)
                #expect(sleepers(world).map(\.description) == [])
                try world.run("start", "short")
                try eventually("it to end with all of its processes") {
                    try world.status("short").first?.state == .stopped && sleepers(world).isEmpty
                }
            }
        }

        @Test("Of several services it is the one whose output it has")
        func output() throws {
            try withWorld { layout in
                try escape(layout, keepsOutput: true)
                try service(layout, "other", "/bin/sleep 1000")
                try service(layout, "lasting", "\(layout.path)/escape")
            } then: { world in
                #expect(try world.run("start", "other").outcome == .started)
                #expect(try world.run("start", "lasting").outcome == .started)
                _ = try awaitOrphan(world)
                #expect(try world.run("stop", "other").outcome == .stopped)
                #expect(sleepers(world).count == 1)
                #expect(try world.run("stop", "lasting").outcome == .stopped)
                #expect(sleepers(world).map(\.description) == [])
            }
        }

        @Test(
            "What several services can have left is shown and not killed, over a re-exec, too, until everything is over"
        )
        func several() throws {
            try withWorld { layout in
                try escape(layout, keepsOutput: false)
                try service(layout, "other", "/bin/sleep 1000")
                try service(layout, "lasting", "\(layout.path)/escape")
            } then: { world in
                #expect(try world.run("start", "other").outcome == .started)
                #expect(try world.run("start", "lasting").outcome == .started)
                let pid = try awaitOrphan(world)
                let stop = try world.control("stop", "lasting")
                #expect(try stop.end() == 0)
                #expect((stop.outputText + stop.errorText).contains("process \(pid) (sleep) may be left of it"))
                let why = try world.control("why", "lasting").outputText
                #expect(why.contains("process \(pid) (sleep) may be left of it"), "\(why)")
                #expect(try world.status("lasting").first?.reason?.contains("\(pid)") == true)
                #expect(try world.control("daemon-reexec").end() == 0)
                try world.awaitReady()
                #expect(
                    try world.control("why", "lasting").outputText.contains("process \(pid) (sleep) may be left of it"))
                // With one other service left the orphan is still not attributed to it.
                #expect(try world.run("stop", "other").outcome == .stopped)
                #expect(sleepers(world).map(\.pid) == [pid])
                let orphan = try Watched(pid)
                #expect(try world.control("shutdown").end() == 0)
                try orphan.awaitEnd()
            }
        }

        @Test("What was a child of the supervisor before it began is nobody's, and stays")
        func foreign() throws {
            try withWorld { layout in
                try escape(layout, keepsOutput: false)
                try service(layout, "other", "/bin/sleep 1000")
            } then: { world in
                try world.crash()
                world.forgetNotifications()
                try world.beginAgain(under: [
                    "sh", "-c", "sleep 600.\(world.port) </dev/null >/dev/null 2>&1 & exec \"$@\"", "sh",
                ])
                try world.awaitReady()
                let pid = try #require(sleepers(world).first { $0.parent == world.daemon.pid }).pid
                #expect(try world.run("start", "other").outcome == .started)
                #expect(try world.run("stop", "other").outcome == .stopped)
                #expect(try !world.control("why", "other").outputText.contains("\(pid)"))
                #expect(try world.control("shutdown").end() == 0)
                #expect(try world.daemon.end() == 0)
                #expect(sleepers(world).map(\.pid) == [pid])
                kill(pid_t(pid), SIGKILL)
            }
        }
    }
}
