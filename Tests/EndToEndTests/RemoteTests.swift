import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// Helper calls, which read logs and unit files for clients of the control socket in a program of their own.
    @Suite struct RemoteFiles {
        /// A service whose log has 8 MB, more than the supervisor buffers for all clients together.
        private func talkative(_ layout: World.Layout) throws {
            try layout.unit(
                "talk.service",
                """
                [Service]
                Type=oneshot
                RemainAfterExit=yes
                ExecStart=/usr/bin/awk 'BEGIN { s = sprintf("%%01300d", 0); for (i = 1; i <= 6000; i++) print i, s }'
                X-LogMaxBytes=2M
                """)
        }

        /// The programs that the supervisor has started for callers.
        private func errands(_ world: World) -> [ProcessEntry] {
            ProcessEntry.all.filter { $0.parent == world.daemon.pid && !$0.isDead && $0.arguments.contains("--json") }
        }

        private func memory(_ world: World) throws -> Int {
            try #require(ProcessEntry(world.daemon.pid)?.anonymousMemory)
        }

        @Test(
            "Who reads a log without taking it stops the reading, and costs the supervisor a bounded piece; taken later, it is whole"
        )
        func slowReader() throws {
            try withWorld {
                try talkative($0)
            } then: { world in
                #expect(try world.run("start", "talk").outcome == .started)
                let before = try memory(world)
                let readers = try (1...4).map { _ in try Varlink(world) }
                for reader in readers { try reader.send("Logs", #"{"names":["talk"]}"#, more: true) }
                // One client has read all; the others must have reached the point at which they are stopped.
                var next = 1
                while true {
                    let reply = try readers[0].read(LogsReply.self)
                    for line in reply.lines {
                        #expect(line.text.hasPrefix("\(next) 0"))
                        next += 1
                    }
                    if reply.lines.isEmpty { break }
                }
                #expect(next == 6001)
                #expect(try memory(world) - before < 4 << 10, "kilobytes")
                #expect(errands(world).count == 3)
                #expect(try world.status("talk").first?.state == .running)
                // The program of a client that disconnects ends.
                readers[1].close()
                try eventually("the end of its reading") { errands(world).count == 2 }
                var rest = 0
                while case let lines = try readers[2].read(LogsReply.self).lines, !lines.isEmpty { rest += lines.count }
                #expect(rest == 6000)
                withExtendedLifetime(readers) {}
            }
        }

        @Test(
            "Forty follow a log: so many are served, the rest is told why not, and all are gone with their connections"
        )
        func manyFollowers() throws {
            try withWorld {
                try $0.unit("one.service", "[Service]\nExecStart=/bin/sh -c 'echo here; exec sleep 1000'\n")
            } then: { world in
                #expect(try world.run("start", "one").outcome == .started)
                let clients = try (1...40).map { _ in try Varlink(world) }
                for client in clients { try client.send("Logs", #"{"names":["one"],"follow":true}"#, more: true) }
                // The order in which the supervisor reads the calls decides which of them are refused.
                var followers: [Varlink] = []
                for client in clients {
                    let answer = try client.readText()
                    if answer.contains("too many calls that read files") { continue }
                    #expect(answer.contains("\"here\""))
                    followers.append(client)
                }
                #expect(followers.count == 32)
                for client in followers.suffix(12) { client.close() }
                followers.removeLast(12)
                try eventually("the end of those whose callers have left") { errands(world).count == 20 }
                // A new program of the supervisor does not know the others: they end by themselves, and their callers'
                // connections are closed.
                #expect(try world.control("daemon-reexec").end() == 0)
                try world.awaitReady()
                for client in followers { try client.connection.awaitClose() }
                try eventually("the end of all of them") { errands(world).isEmpty }
                #expect(world.zombies().isEmpty)
            }
        }

        @Test(
            "Files are read with the rights of the caller, and only who may act changes links",
            .enabled(if: supervisorIsRoot))
        func rights() throws {
            try withWorld {
                try $0.unit("open.service", "[Service]\nExecStart=/bin/sh -c 'echo here; exec sleep 1000'\nWorkdir=/\n")
                try $0.unit(
                    "secret.service", "[Service]\nEnvironment=PASSWORD=x\nExecStart=/bin/true\nPassphrase=xyzzy\n")
                chmod("\($0.path)/units/secret.service", 0o600)
                try "holdfast:x:64001:\nholdfast-read:x:64002:\n".write(
                    toFile: "\($0.path)/group", atomically: false, encoding: .utf8)
            } then: { world in
                #expect(try world.run("start", "open").outcome == .started)
                try eventually("its output") { world.contents("log/open.service.log")?.isEmpty == false }
                func ask(_ groups: String, _ method: String, _ parameters: String) throws -> String {
                    let rights = groups.isEmpty ? ["--clear-groups"] : ["--groups", groups]
                    let script = """
                        import socket, sys
                        s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
                        s.sendall(sys.argv[2].encode() + b"\\0")
                        data = b""
                        while not data.endswith(b"\\0"): data += s.recv(65536)
                        print(data.decode().replace("\\0", "\\n"))
                        """
                    let call = #"{"method":"io.holdfast.Manager.\#(method)","parameters":\#(parameters),"more":true}"#
                    let program = try Program.run(
                        "setpriv",
                        ["--reuid", "nobody", "--regid", "nogroup"] + rights
                            + ["python3", "-c", script, world.controlSocket, call])
                    #expect(try program.end() == 0, "\(program.errorText)")
                    return program.outputText
                }
                for groups in ["64002", "64001"] {
                    #expect(try ask(groups, "Logs", #"{"names":["open"]}"#).contains(#""text":"here""#))
                    let verdict = try ask(groups, "Verify", "{}")
                    #expect(verdict.contains("Workdir"), "\(verdict)")
                    #expect(!verdict.contains("xyzzy") && !verdict.contains("Passphrase"), "\(verdict)")
                    #expect(verdict.contains("Permission denied"), "\(verdict)")
                }
                let own = try Varlink(world)
                try own.send("Verify", "{}")
                #expect(try own.readText().contains("Passphrase"))
                for method in ["Logs", "Verify", "Dependencies", "UnitFileStates", "Mask"] {
                    let names = method == "Dependencies" ? #"{"name":"open"}"# : #"{"names":["open"]}"#
                    #expect(try ask("", method, names).contains("PermissionDenied"), "\(method)")
                }
                #expect(try ask("64002", "Mask", #"{"names":["new.service"]}"#).contains("PermissionDenied"))
                #expect(world.contents("units/new.service") == nil)
                #expect(try ask("64001", "Mask", #"{"names":["new.service"]}"#).contains("Created"))
                #expect(try ask("64002", "UnitFileStates", #"{"names":["new.service"]}"#).contains(#""masked""#))
            }
        }

        @Test("A regular expression that wants all the memory of the host ends its own reading, and nothing else")
        func greedyPattern() throws {
            try withWorld {
                try $0.unit("one.service", "[Service]\nExecStart=/bin/sh -c 'echo here; exec sleep 1000'\n")
            } then: { world in
                #expect(try world.run("start", "one").outcome == .started)
                let client = try Varlink(world)
                try client.send(
                    "Logs", #"{"names":["one"],"grep":"((((a{1,255}){1,255}){1,255}){1,255})"}"#, more: true)
                #expect(try client.readText().contains("io.holdfast.Manager.Failed"))
                #expect(try world.status("one").first?.state == .running)
            }
        }
    }
}
