import ControlProtocol
import Foundation
import Testing

@testable import UnitFiles

extension EndToEnd {
    /// All directives with a number, a size or a time, with the numbers at which arithmetic overflows.
    @Suite struct ExtremeValues {
        static let values = [
            "0", "1", "-1", "infinity", "100%", "0.000000001", "1-8191", "2147483647", "2147483648", "4294967295",
            // As seconds, the last number that 64 bits of nanoseconds hold, and the first one that they do not;
            // likewise for milliseconds and microseconds.
            "4294967296", "9223372036", "9223372037", "9223372036854", "9223372036855", "9223372036854775806",
            "9223372036854775807", "9223372036854775808", "-9223372036854775808", "18446744073709551615",
            "18446744073709551616", "9223372036854775807us", "9223372036854775807ns", "292277y", "0x7fffffffffffffff",
            "0xffffffffffffffff", "1e308", "7E", "16E", "18446744073709551615B",
            "9223372036854775807:18446744073709551615", "0:infinity", "5 9223372036854775807",
        ]

        /// Directives left out because they make directories on the host, or open files outside of the test.
        private static let left: Set<String> = [
            "RuntimeDirectory", "StateDirectory", "CacheDirectory", "LogsDirectory", "ConfigurationDirectory",
            "ListenStream", "ListenDatagram", "ListenSequentialPacket", "ListenFIFO", "ListenSpecial", "ListenNetlink",
            "ListenMessageQueue", "ExecStart", "SocketUser", "SocketGroup", "User", "Group", "Symlinks",
        ]

        private struct Sample {
            var section: UnitSectionName
            var key: String
            var value: String
        }

        /// All pairs on which the loader has no finding: the value is accepted. Not for directives that accept any
        /// text.
        private static func accepted(_ section: UnitSectionName, _ unit: String, _ base: String) throws -> [Sample] {
            let name = try UnitName(unit)
            func isTaken(_ key: String, _ value: String) -> Bool {
                let text = base + "\n[\(section.rawValue)]\n\(key)=\(value)\n"
                let source = InMemoryUnitFileSource(files: ["/units/" + unit: text])
                let loaded = UnitLoader(source: source, searchPath: ["/units"]).load(name)
                return loaded.diagnostics.allSatisfy { $0.directive != key }
            }
            let names = DirectiveTable.acceptedNames(in: section)
            return names.filter { !left.contains($0) && !isTaken($0, "no-number") }.flatMap { key in
                values.filter { isTaken(key, $0) }.map { Sample(section: section, key: key, value: $0) }
            }
        }

        /// Starts all units, a request that may never end; returns when half of them have begun.
        private func start(_ pattern: String, _ count: Int, _ world: World) throws {
            let operation = try world.begin("start", pattern)
            try eventually("\(count / 2) units to begin") {
                try world.status(pattern).count { $0.state != .stopped } >= count / 2
            }
            operation.program.killIfAlive()
        }

        /// A service that prints, fails and is restarted, with all pauses, limits and rates, until it has done so three
        /// times.
        private static let failing = """
            [Unit]
            StartLimitBurst=5
            [Service]
            ExecStart=/bin/sh -c 'echo one; echo two; n=$(cat @/out/%n); [ "$$n" = xxx ] && exec sleep 1000; echo x$$n >@/out/%n; exit 3'
            Restart=on-failure
            RestartSec=1ms
            RestartSteps=3
            RestartMaxDelaySec=5ms
            LogRateLimitIntervalSec=1s
            LogRateLimitBurst=100
            TimeoutStopSec=2s
            """

        /// A service that runs until it is stopped.
        private static let lasting = """
            [Service]
            Type=oneshot
            RemainAfterExit=yes
            ExecStart=/bin/true
            ExecReload=/bin/true
            ExecStop=/bin/true
            TimeoutStopSec=2s
            """

        private static let swapped = """
            [Service]
            ExecStart=/bin/sleep 1000
            TimeoutStopSec=2s
            [X-Swap]
            ReadyProbe=exec /bin/true
            """

        /// Writes the units of a base with one extreme value each; returns their number.
        private func write(
            _ samples: [Sample], _ prefix: String, _ base: String, _ layout: World.Layout
        ) throws {
            for (number, sample) in samples.enumerated() {
                try layout.unit(
                    "\(prefix)-\(number).service",
                    "# \(sample.key)=\(sample.value)\n\(base.replacing("@/", with: layout.path + "/"))\n[\(sample.section.rawValue)]\n\(sample.key)=\(sample.value)\n"
                )
            }
        }

        /// Uses all calls that show numbers, and then both ways in which a successor reads them.
        private func lookAndSucceed(_ world: World, _ units: [String]) throws {
            for round in 0..<3 {
                let client = try Varlink(world)
                try client.send("Status")
                _ = try client.readText()
                // Once each, after both successions: there are hundreds of units.
                for unit in round == 2 ? units : [] {
                    for method in ["Why", "Show"] {
                        try client.send(method, "{\"name\":\"\(unit)\"}")
                        _ = try client.readText()
                    }
                }
                client.close()
                if round == 0 {
                    let reexec = try world.control("daemon-reexec")
                    #expect(try reexec.end() == 0, "\(reexec.errorText)")
                    try world.awaitReady()
                }
                if round == 1 {
                    try world.crash()
                    try world.startAgain()
                }
            }
        }

        @Test(
            "No value of a directive of services ends the supervisor or its successor",
            arguments: ["failing", "lasting"])
        func services(kind: String) throws {
            let base = kind == "failing" ? Self.failing : Self.lasting
            let samples = try [UnitSectionName.unit, .service].flatMap {
                try Self.accepted($0, "a.service", base)
            }
            try #require(samples.count > 300)
            for chunk in stride(from: 0, to: samples.count, by: 400).map({ samples[$0..<min($0 + 400, samples.count)] })
            {
                let units = chunk.indices.map { "a-\($0 - chunk.startIndex).service" }
                try withWorld {
                    try write(Array(chunk), "a", base, $0)
                } then: { world in
                    try start("a-*", units.count, world)
                    try lookAndSucceed(world, units)
                    _ = try world.control("stop", "a-*")
                }
            }
        }

        @Test("No value of a directive of [X-Swap] ends the supervisor or its successor")
        func swaps() throws {
            let samples = try Self.accepted(.swap, "a.service", Self.swapped)
            try #require(samples.count > 30)
            try withWorld {
                try write(samples, "s", Self.swapped, $0)
            } then: { world in
                let units = samples.indices.map { "s-\($0).service" }
                for unit in units { _ = try world.control("swap", "--no-wait", unit) }
                try eventually("all of them to be started") { world.processes().count >= units.count / 2 }
                for unit in units { _ = try world.control("swap", "--no-wait", unit) }
                try lookAndSucceed(world, units)
                _ = try world.control("stop", "s-*")
            }
        }

        @Test("No value of a directive of sockets ends the supervisor or its successor", arguments: [false, true])
        func sockets(accepts: Bool) throws {
            let base = "[Socket]\nAccept=\(accepts ? "yes" : "no")\nListenStream=/units/a"
            let samples = try Self.accepted(.socket, "a.socket", base)
            try #require(samples.count > 300)
            try withWorld { layout in
                for (number, sample) in samples.enumerated() {
                    try layout.unit(
                        "a-\(number).socket",
                        "[Socket]\nAccept=\(accepts ? "yes" : "no")\nListenStream=\(layout.path)/run/\(number)\n"
                            + "RemoveOnStop=yes\n\(sample.key)=\(sample.value)\n")
                    try layout.unit(
                        "a-\(number)\(accepts ? "@" : "").service",
                        "[Service]\nExecStart=/bin/true\nStandardInput=null\n")
                }
            } then: { world in
                _ = try world.control("start", "a-*.socket")
                for number in samples.indices {
                    for _ in 0..<2 { _ = try? RawConnection(unix: "\(world.path)/run/\(number)") }
                }
                try lookAndSucceed(world, samples.indices.map { "a-\($0).socket" })
                _ = try world.control("stop", "a-*")
            }
        }

        @Test("No field of a notification and no parameter of a request ends the supervisor")
        func messages() throws {
            let program = """
                import os, signal, socket, sys
                for number in [signal.SIGABRT, signal.SIGTERM, signal.SIGHUP]: signal.signal(number, signal.SIG_IGN)
                s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                s.connect(os.environ["NOTIFY_SOCKET"])
                values = open(sys.argv[1]).read().split("\\n")
                def say(text):
                    s.send(text.encode())
                for value in values:
                    for name in ["EXTEND_TIMEOUT_USEC", "WATCHDOG_USEC", "MONOTONIC_USEC", "MAINPID", "MAINPIDFDID", "ERRNO",
                                 "EXIT_STATUS", "BUSERROR", "FDPOLL", "FDNAME", "STATUS"]:
                        say(f"{name}={value}")
                        say(f"{name}={value}\\nREADY=1\\nRELOADING=1\\nMONOTONIC_USEC={value}")
                        say(f"READY=1\\nWATCHDOG=1\\n{name}={value}")
                open(sys.argv[2], "w").close()
                """
            let bare = Self.values.filter { !$0.contains(" ") }
            try withWorld { layout in
                try layout.write("say.py", program)
                try layout.write("values", (bare + ["99999999999999999999999999"]).joined(separator: "\n"))
                try layout.unit(
                    "say.service",
                    """
                    [Service]
                    Type=notify-reload
                    NotifyAccess=all
                    WatchdogSec=30s
                    FileDescriptorStoreMax=4
                    TimeoutStopSec=20s
                    ExecStart=/usr/bin/python3 \(layout.path)/say.py \(layout.path)/values \(layout.path)/out/said
                    """)
            } then: { world in
                let start = try world.begin("start", "say")
                try eventually("all messages to be sent") { world.contents("out/said") != nil }
                start.program.killIfAlive()
                let numbers = [
                    "0", "-1", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "1e308", "-1e308",
                    "1e400", "18446744073709551615", "0.1",
                ]
                for number in numbers {
                    for call in [
                        ("History", "{\"limit\":\(number)}"), ("Logs", "{\"names\":[\"say\"],\"lines\":\(number)}"),
                        ("Logs", "{\"names\":[\"say\"],\"generation\":\(number)}"),
                        ("Logs", "{\"since\":\"\(number)\",\"until\":\"\(number)\"}"),
                        ("Signal", "{\"name\":\"say\",\"signal\":\"\(number)\"}"),
                        ("Signal", "{\"name\":\"say\",\"signal\":\(number)}"),
                        ("Stop", "{\"name\":\(number)}"),
                    ] {
                        // The supervisor may answer an unknown call by closing the connection.
                        let client = try Varlink(world)
                        try client.send(call.0, call.1, more: call.0 == "Logs")
                        _ = try? client.readText()
                        client.close()
                    }
                }
                try lookAndSucceed(world, ["say.service"])
            }
        }
    }
}
