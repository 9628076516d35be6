import ControlProtocol
import Foundation
import Glibc
import Testing

extension EndToEnd {
    /// The control socket, used by permitted and other clients.
    @Suite struct ControlSocket {
        private func call(_ method: String, _ parameters: String = "{}", more: Bool = false) -> [UInt8] {
            Array("{\"method\":\"\(method)\",\"parameters\":\(parameters)\(more ? ",\"more\":true" : "")}".utf8) + [0]
        }

        @Test("It is Varlink: introspection by hand, errors for unknown methods and wrong parameters")
        func introspection() throws {
            try withWorld {
                try $0.web()
            } then: { world in
                let connection = try RawConnection(unix: world.controlSocket)
                try connection.send(call("org.varlink.service.GetInfo"))
                let info = try connection.readMessage()
                #expect(info.contains("\"io.holdfast.Manager\"") && info.contains("\"org.varlink.service\""), "\(info)")
                try connection.send(
                    call("org.varlink.service.GetInterfaceDescription", "{\"interface\":\"io.holdfast.Manager\"}"))
                let description = try connection.readMessage()
                #expect(
                    description.contains("method Swap(name: string, hold: ?bool, request: ?string)"),
                    "\(description.prefix(200))")
                try connection.send(call("io.holdfast.Manager.Dance"))
                #expect(try connection.readMessage().contains("org.varlink.service.MethodNotFound"))
                try connection.send(call("org.example.Nobody.Here"))
                #expect(try connection.readMessage().contains("org.varlink.service."))
                try connection.send(call("io.holdfast.Manager.Swap", "{\"name\":17}"))
                #expect(try connection.readMessage().contains("org.varlink.service.InvalidParameter"))
                // Two calls in one packet, then one call byte by byte.
                try connection.send(call("io.holdfast.Manager.Status") + call("io.holdfast.Manager.Describe"))
                #expect(try connection.readMessage().contains("\"units\""))
                #expect(try connection.readMessage().contains("\"runtimeDirectory\""))
                for byte in call("io.holdfast.Manager.Sockets") { try connection.send([byte]) }
                #expect(try connection.readMessage().contains("\"sockets\""))
            }
        }

        @Test("Who speaks another protocol than Varlink is answered by closing, and gets first what was asked before")
        func foreign() throws {
            try withWorld { _ in
            } then: { world in
                for text in [
                    "POST /RPC2 HTTP/1.1\r\nHost: localhost\r\n\r\n", "\u{16}\u{3}\u{1}", "\n", "\0", "status",
                ] {
                    let connection = try RawConnection(unix: world.controlSocket)
                    try connection.send(text)
                    #expect(try connection.read().isEmpty, "\(text)")
                }
                let connection = try RawConnection(unix: world.controlSocket)
                try connection.send(call("io.holdfast.Manager.Describe") + Array("\n".utf8))
                #expect(try connection.readMessage().contains("\"runtimeDirectory\""))
                #expect(try connection.read().isEmpty)
            }
        }

        /// Anonymous memory of the supervisor in kilobytes: its allocations.
        private func memory(_ world: World) throws -> Int {
            try #require(ProcessEntry(world.daemon.pid)?.anonymousMemory)
        }

        @Test("Garbage and floods on both sockets: it lives, others are served, memory stays bounded")
        func garbage() throws {
            try withWorld {
                try $0.web()
            } then: { world in
                #expect(try world.run("swap", "web@v1").outcome == .started)
                var generator = SplitMix(seed: 4711)
                let notify = try Datagrams(to: "\(world.runtime)/notify")
                func bytes(_ count: Int) -> [UInt8] {
                    (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
                }
                let noise = bytes(200_000).map { $0 | 1 }
                func round() throws {
                    for index in 0..<60 {
                        let connection = try RawConnection(unix: world.controlSocket)
                        switch index % 6 {
                        case 0: _ = connection.sendWithoutWaiting(bytes(5000))
                        case 1: _ = connection.sendWithoutWaiting(bytes(100).filter { $0 != 0 } + [0])
                        case 2:
                            _ = connection.sendWithoutWaiting(
                                Array("{\"method\":\(String(repeating: "[", count: 60000))".utf8) + [0])
                        case 3: _ = connection.sendWithoutWaiting(Array(repeating: 0, count: 3000))
                        case 4:
                            _ = connection.sendWithoutWaiting(
                                call("io.holdfast.Manager.Status", "{\"names\":[\"\\ud800\",1e999]}"))
                        default: break
                        }
                        if index % 2 == 0 { continue }
                        _ = connection.sendWithoutWaiting(noise)
                    }
                    for _ in 0..<300 {
                        notify.send(bytes(Int.random(in: 0...600, using: &generator)))
                        notify.send("READY=1\nSTATUS=\(String(repeating: "x", count: 3000))")
                    }
                    #expect(try world.status("web").first?.state == .running)
                }
                // A message without an end is cut off at the limit, not collected.
                let endless = try RawConnection(unix: world.controlSocket)
                let piece = [UInt8](repeating: UInt8(ascii: "a"), count: 65536)
                var sent = 0
                while sent < 64 << 20, (try? endless.send(piece)) != nil { sent += piece.count }
                #expect(sent < 64 << 20, "64 MB were taken for one message")
                for _ in 0..<3 { try round() }
                let before = try memory(world)
                for _ in 0..<15 { try round() }
                // Memory that grew with the floods would be 15 times their cost; one round sends about 10 MB.
                #expect(try memory(world) - before < 2048)
                try underLoad(world, until: "v2") { (loads) throws in
                    #expect(try world.run("swap", "web@v2").outcome == .completed)
                    for load in loads { load.forgetAnswers() }
                }
            }
        }

        @Test("Hundreds of idle connections do not keep others from being served when they leave")
        func manyConnections() throws {
            try withWorld {
                try $0.web()
            } then: { world in
                var idle: [RawConnection] = []
                for _ in 0..<700 { idle.append(try RawConnection(unix: world.controlSocket)) }
                idle = []
                #expect(try world.run("swap", "web@v1").outcome == .started)
            }
        }

        @Test("A reader of a stream that does not read holds up nobody: the swap ends, memory stays bounded")
        func slowReader() throws {
            try withWorld {
                try $0.web(swap: "SoakSec=200ms")
            } then: { world in
                #expect(try world.run("swap", "web@v1").outcome == .started)
                // One client begins a swap with `more` and never reads; another sends calls without end and never
                // reads.
                let swapper = try RawConnection(unix: world.controlSocket)
                try swapper.send(call("io.holdfast.Manager.Swap", "{\"name\":\"web@v2\"}", more: true))
                let asker = try RawConnection(unix: world.controlSocket)
                let before = try memory(world)
                let question = Array(repeating: call("io.holdfast.Manager.Status"), count: 500).flatMap { $0 }
                for _ in 0..<200 where asker.sendWithoutWaiting(question) <= 0 { break }
                try eventually("the swap") { try world.history().first?.to?.release == "v2" }
                #expect(try world.run("swap", "web@v3").outcome == .completed)
                for _ in 0..<200 where asker.sendWithoutWaiting(question) <= 0 { break }
                #expect(try world.status("web").first?.release == "v3")
                #expect(try memory(world) - before < 8192)
                withExtendedLifetime((swapper, asker)) {}
            }
        }

        /// Runs holdfastctl as `nobody` with these groups.
        private func stranger(_ world: World, _ groups: [String], _ arguments: [String]) throws -> Program {
            let rights = groups.isEmpty ? ["--clear-groups"] : ["--groups", groups.joined(separator: ",")]
            return try Program.run(
                "setpriv",
                ["--reuid", "nobody", "--regid", "nogroup"] + rights + ["\(World.binaries)/holdfastctl"] + arguments,
                environment: world.environment)
        }

        private static let looking = [
            ["status"], ["history"], ["generations"], ["sockets"], ["cat", "web@"], ["why", "web"], ["show", "web"],
            ["avail"], ["pid"], ["version"],
        ]
        private static let acting = [
            ["swap", "web@v2"], ["stop", "web"], ["restart", "web"], ["abort", "web"], ["signal", "KILL", "web"],
            ["update"], ["remove", "web"], ["shutdown"],
        ]

        @Test("A stranger may neither look nor act, and is told by name who may", .enabled(if: supervisorIsRoot))
        func unprivilegedPeer() throws {
            try withWorld {
                try $0.web()
            } then: { world in
                #expect(try world.run("swap", "web@v1").outcome == .started)
                for command in Self.looking {
                    let refused = try stranger(world, [], command + ["--json"])
                    #expect(try refused.end() == 1, "\(command)")
                    #expect(refused.outputText.contains("PermissionDenied"), "\(command): \(refused.outputText)")
                    #expect(refused.errorText.contains("holdfast-read"), "\(command): \(refused.errorText)")
                }
                for command in Self.acting {
                    let refused = try stranger(world, [], command + ["--json"])
                    #expect(try refused.end() == 1, "\(command)")
                    #expect(
                        refused.outputText.contains("root or group holdfast\""), "\(command): \(refused.outputText)")
                }
                #expect(try world.generations("web").map(\.number) == [1])
                #expect(try world.history().count == 1)
            }
        }

        @Test(
            "Of the group holdfast-read one may look and not act, of the group holdfast both",
            .enabled(if: supervisorIsRoot))
        func groups() throws {
            try withWorld {
                try $0.web()
                // Only the supervisor reads this file: the host need not have the groups.
                try "holdfast:x:64001:\nholdfast-read:x:64002:\n".write(
                    toFile: "\($0.path)/group", atomically: false, encoding: .utf8)
            } then: { world in
                #expect(try world.run("swap", "web@v1").outcome == .started)
                for command in Self.looking {
                    #expect(try stranger(world, ["64002"], command).end() == 0, "\(command)")
                }
                for command in Self.acting {
                    let refused = try stranger(world, ["64002"], command + ["--json"])
                    #expect(try refused.end() == 1, "\(command)")
                    #expect(refused.outputText.contains("PermissionDenied"), "\(command): \(refused.outputText)")
                }
                #expect(try world.generations("web").map(\.number) == [1])
                let swap = try stranger(world, ["64001"], ["swap", "web@v2"])
                #expect(try swap.end() == 0, "\(swap.errorText)")
                #expect(try world.history().first?.who?.user == "nobody")
            }
        }

        @Test("Without a supervisor holdfastctl says which socket it tried, and ends with 4")
        func noSupervisor() throws {
            let status = try Program.run(
                "\(World.binaries)/holdfastctl", ["status"],
                environment: ["HOLDFAST_SOCKET": "/tmp/hf-nobody/io.holdfast"])
            #expect(try status.end() == 4)
            #expect(status.errorText.contains("/tmp/hf-nobody/io.holdfast"))
        }
    }
}

/// A small random number generator with a seed, so that a run can be repeated.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}
