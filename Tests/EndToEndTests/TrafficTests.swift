import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// Events that remote peers can cause as often as they like, without any operator's request.
    @Suite struct Traffic {
        /// A socket whose connections each start `echo@.service`, which wants a `worker@.service` of the same new name,
        /// and one whose datagrams each start `reader.service`.
        private func layOut(_ layout: World.Layout) throws {
            let unlimited = "StartLimitIntervalSec=0"
            try layout.unit(
                "echo.socket",
                "[Socket]\nListenStream=127.0.0.1:\(layout.port)\nAccept=yes\nTriggerLimitIntervalSec=0\n")
            try layout.unit(
                "echo@.service",
                "[Unit]\nWants=worker@%i.service\nAfter=worker@%i.service\n[Service]\nExecStart=/bin/true\n")
            try layout.unit("worker@.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n")
            try layout.unit(
                "reader.socket",
                "[Socket]\nListenDatagram=\(layout.path)/out/d\nTriggerLimitIntervalSec=0\nPollLimitIntervalSec=0\n")
            try layout.unit(
                "reader.service",
                """
                [Unit]
                \(unlimited)
                [Service]
                StandardInput=socket
                StandardOutput=append:\(layout.path)/out/read
                ExecStart=/usr/bin/head -c 1
                """)
        }

        private func connect(_ world: World, times: Int) throws {
            for _ in 0..<times {
                // The connection ends together with the instance and its records.
                #expect(try RawConnection(port: world.port).read().isEmpty)
            }
        }

        private func send(_ world: World, times: Int) throws {
            for _ in 0..<times {
                let before = world.contents("out/read")?.utf8.count ?? 0
                try sendDatagram("x", to: "\(world.path)/out/d")
                try eventually("the datagram to be read") { world.contents("out/read")?.utf8.count == before + 1 }
            }
        }

        private func entries(_ directory: String) -> Int {
            (try? FileManager.default.contentsOfDirectory(atPath: directory))?.count ?? 0
        }

        @Test(
            "Connections, socket-triggered starts and instances with ever new names leave nothing behind, asked or not")
        func nothingIsLeft() throws {
            try withWorld {
                try layOut($0)
            } then: { world in
                #expect(try world.run("start", "echo.socket").outcome == .started)
                #expect(try world.run("start", "reader.socket").outcome == .started)
                let history = size(of: world.state + "/history.jsonl")
                try connect(world, times: 520)
                try send(world, times: 80)
                let early = try #require(ProcessEntry(world.daemon.pid)?.anonymousMemory)
                try connect(world, times: 520)
                try send(world, times: 80)
                let late = try #require(ProcessEntry(world.daemon.pid)?.anonymousMemory)
                // 520 connections, each with another service, and 80 starts would take more than 5 MB.
                #expect(late - early < 1500, "\(early) kB before, \(late) kB after")
                #expect(entries(world.runtime + "/generations") < 20)
                #expect(size(of: world.state + "/history.jsonl") == history, "what goes well is no deploy")
                // The services that ended last are still known.
                let known = try world.status().map(\.unit).filter { $0.hasPrefix("worker@") }
                #expect((200..<540).contains(known.count), "\(known.count)")
            }
        }

        private func size(of path: String) -> Int {
            (try? FileManager.default.attributesOfItem(atPath: path))?[.size] as? Int ?? 0
        }

        @Test("Of what traffic starts the history has failures, and not all of them")
        func failures() throws {
            try withWorld { layout in
                try layout.unit(
                    "reader.socket",
                    "[Socket]\nListenDatagram=\(layout.path)/out/d\nTriggerLimitIntervalSec=0\nPollLimitIntervalSec=0\n"
                )
                try layout.unit(
                    "reader.service",
                    """
                    [Unit]
                    StartLimitIntervalSec=0
                    [Service]
                    Type=oneshot
                    StandardInput=socket
                    StandardOutput=append:\(layout.path)/out/read
                    ExecStart=/bin/sh -c "head -c 1; exit 3"
                    """)
            } then: { world in
                try world.run("start", "reader.socket")
                try send(world, times: 50)
                let lines = (world.contents("state/history.jsonl") ?? "").split(separator: "\n")
                let entries = lines.filter { $0.contains("reader.service") }
                #expect((1...32).contains(entries.count), "\(entries.count)")
                #expect(entries.allSatisfy { $0.contains("failed") })
            }
        }
    }
}
