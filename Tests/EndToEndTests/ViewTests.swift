import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// Operators' views, and files that operators edit.
    @Suite struct Views {
        private func sockets(_ layout: World.Layout) throws {
            try layout.web()
            try layout.unit("idle.socket", "[Socket]\nListenStream=\(layout.path)/idle.sock\n")
            try layout.unit("idle.service", "[Service]\nExecStart=/bin/sleep infinity\n")
        }

        @Test("show and why know sockets: whether they are open, who has them, what is set")
        func sockets() throws {
            try withWorld {
                try sockets($0)
            } then: { world in
                #expect(try world.control("why", "http.socket").outputText.contains("it is not open"))
                #expect(try world.run("start", "web@v1").outcome == .started)
                let lines = try world.control("show", "http.socket").outputLines
                for line in [
                    "Id=http.socket", "State=running", "Listen=127.0.0.1:\(world.port) (stream)", "SubState=held",
                    "Paused=no", "HeldBy=web@v1.service (1)", "Backlog=4096", "FileDescriptorName=http",
                ] {
                    #expect(lines.contains(line), "\(line) in \(lines)")
                }
                let why = try world.control("why", "http.socket")
                #expect(try why.end() == 0)
                #expect(
                    why.outputLines == [
                        "http.socket: running",
                        "  - it is held at 127.0.0.1:\(world.port); web@v1.service accepts from it",
                    ])
                #expect(try world.run("start", "idle.socket").status == 0)
                #expect(try world.control("why", "idle.socket").outputText.contains("starts idle.service"))
                #expect(
                    try world.control("show", "-p", "Triggers", "--value", "idle.socket").outputLines == [
                        "idle.service"
                    ])
            }
        }

        @Test("list-dependencies has the members of a release, their sockets and their states")
        func dependencies() throws {
            try withWorld {
                try $0.site()
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                let tree = try world.control("list-dependencies", "--tree", "site@v1")
                #expect(
                    tree.outputLines == [
                        "● site@v1.target", "├─● app@v1.service  (Wants)", "│ └─● app@v1.socket  (Sockets)",
                        "└─● edge@v1.service  (Wants)", "  └─● http.socket  (Sockets)",
                    ])
                #expect(try world.control("list-dependencies", "site@v2").outputLines.contains("○ app@v2.socket"))
            }
        }

        @Test("show has the units that links add, and values as they are after expansion")
        func expanded() throws {
            try withWorld { layout in
                try layout.unit("app@.service", "[Unit]\nDescription=%i\n[Service]\nExecStart=/bin/echo 100%% %i %n\n")
                try layout.unit("other@.service", "[Service]\nExecStart=/bin/sleep infinity\n")
                for kind in ["wants", "requires", "upholds"] {
                    try layout.makeDirectory("units/app@.service.\(kind)")
                    try FileManager.default.createSymbolicLink(
                        atPath: layout.path + "/units/app@.service.\(kind)/\(kind).service",
                        withDestinationPath: "../other.service")
                }
                try layout.makeDirectory("units/app@v1.service.d")
                try layout.unit("app@v1.service.d/a.conf", "[Unit]\nWants=other@%i.service\n")
            } then: { world in
                let lines = try world.control("show", "app@v1").outputLines
                for line in [
                    "Description=v1", "ExecStart=/bin/echo 100% v1 app@v1.service", "Wants=other@v1.service",
                    "Wants=wants.service", "Requires=requires.service", "Upholds=upholds.service",
                ] {
                    #expect(lines.filter { $0 == line }.count == 1, "\(line) in \(lines)")
                }
            }
        }

        @Test("edit installs what verifies and keeps what does not; what is not touched is not written")
        func editing() throws {
            try withWorld {
                try sockets($0)
            } then: { world in
                func edit(_ unit: String, _ text: String) throws -> Program {
                    let script = "\(world.path)/editor"
                    try "cat \(world.path)/text > \"$1\"".write(toFile: script, atomically: false, encoding: .utf8)
                    try text.write(toFile: "\(world.path)/text", atomically: false, encoding: .utf8)
                    return try Program.run(
                        "\(World.binaries)/holdfastctl", ["edit", unit],
                        environment: world.environment.merging(["EDITOR": "sh \(script)", "TMPDIR": world.path]) { $1 })
                }
                let bad = try edit("idle", "[Service]\nRestrat=always\n")
                #expect(try bad.end() == 1)
                #expect(bad.errorText.contains("did you mean Restart="))
                let place = "units/idle.service.d/override.conf"
                #expect(world.contents(place) == nil)
                let kept = try #require(bad.errorText.split(separator: "\n").last?.split(separator: " ").last)
                #expect(try String(contentsOfFile: String(kept), encoding: .utf8).contains("Restrat"))
                #expect(try edit("idle", "[Service]\nRestart=always\n").end() == 0)
                #expect(world.contents(place) == "[Service]\nRestart=always\n")
                #expect(try world.control("show", "-p", "Restart", "--value", "idle").outputLines == ["always"])
                for unit in ["http.socket", "idle"] {
                    let untouched = try Program.run(
                        "\(World.binaries)/holdfastctl", ["edit", unit],
                        environment: world.environment.merging(["EDITOR": "true", "TMPDIR": world.path]) { $1 })
                    #expect(try untouched.end() == 0)
                    #expect(untouched.outputText.contains("nothing changed"), "\(untouched.outputText)")
                }
                #expect(world.contents("units/http.socket.d/override.conf") == nil)
            }
        }
    }
}
