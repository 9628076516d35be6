import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// Readiness by probes other than HTTP, and answers that must neither deceive nor flood the supervisor.
    @Suite struct Probes {
        @Test("A tcp probe on a held socket is passed by a service that accepts, not by the kernel's queue")
        func tcpOnHeldSocket() throws {
            try withWorld { layout in
                try layout.unit("app.socket", "[Socket]\nListenStream=127.0.0.1:0\nX-Scope=generation\n")
                try service(layout, options: "")
            } then: { world in
                #expect(try world.run("start", "app").outcome == .started)
                try service(world.layout(), options: "--ready-delay 60")
                let deaf = try world.run("swap", "app")
                #expect(deaf.outcome == .rolledBack)
                #expect(deaf.result?.reason?.probeAnswer?.contains("the service has not accepted") == true)
                #expect(try world.generations("app").map(\.number) == [1])
            }
        }

        private func service(_ layout: World.Layout, options: String) throws {
            try layout.unit(
                "app.service",
                """
                [Service]
                ExecStart=\(layout.server) --body x \(options)
                [X-Swap]
                ReadyProbe=tcp app.socket
                ReadyTimeoutSec=2s
                SoakSec=100ms
                """)
        }

        @Test("An exec probe decides by its exit status; one that hangs is killed after its time-out")
        func execProbe() throws {
            try withWorld { layout in
                try layout.unit(
                    "app.service",
                    """
                    [Service]
                    ExecStart=/bin/sleep infinity
                    [X-Swap]
                    ReadyProbe=exec /bin/sh -c 'test -e \(layout.path)/hang && exec sleep 100; test -e \(layout.path)/good'
                    ReadyProbeIntervalSec=50ms
                    ReadyProbeTimeoutSec=300ms
                    ReadyTimeoutSec=1500ms
                    """)
            } then: { world in
                let bad = try world.run("start", "app")
                #expect(bad.result?.reason?.probeAnswer?.contains("exited with status 1") == true)
                try world.layout().write("hang", "")
                let hanging = try world.run("start", "app")
                #expect(hanging.result?.reason?.probeAnswer?.contains("no answer within") == true)
                try world.layout().remove("hang")
                try world.layout().write("good", "")
                #expect(try world.run("start", "app").outcome == .started)
            }
        }

        @Test("A service that fails and is restarted without a pause or limit leaves room for others")
        func restartStorm() throws {
            try withWorld { layout in
                try layout.unit(
                    "storm.service",
                    """
                    [Unit]
                    StartLimitIntervalSec=0
                    [Service]
                    ExecStart=/nosuch/program
                    Restart=always
                    RestartSec=0
                    """)
                try layout.unit("calm.service", "[Service]\nExecStart=/bin/sleep infinity\n")
            } then: { world in
                let storm = try world.run("start", "storm")
                #expect(storm.outcome == .failed)
                #expect(try world.run("start", "calm").outcome == .started)
                #expect(try world.run("stop", "storm").outcome == .stopped)
            }
        }

        @Test("A second supervisor on the same directories is refused, and disturbs nothing")
        func secondSupervisor() throws {
            try withWorld { layout in
                try layout.plain()
            } then: { world in
                #expect(try world.run("start", "app").outcome == .started)
                let second = Process()
                second.executableURL = URL(fileURLWithPath: "\(World.binaries)/holdfastd")
                second.arguments = [
                    "--units", world.units, "--runtime-dir", world.runtime, "--state-dir", "\(world.path)/other-state",
                    "--log-dir", "\(world.path)/other-log",
                ]
                second.standardError = FileHandle.nullDevice
                try second.run()
                second.waitUntilExit()
                #expect(second.terminationStatus == 1)
                #expect(try world.run("swap", "app").outcome == .completed)
            }
        }
    }
}
