import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// A supervisor with few free descriptors: it reports the shortage, answers, stops services, and continues normally
    /// when the shortage ends.
    @Suite struct Shortage {
        private func limit(_ world: World, to count: Int) throws {
            let pid = "\(world.daemon.pid)"
            #expect(try Program.run("prlimit", ["--pid", pid, "--nofile=\(count):\(count)"]).end() == 0)
        }

        /// Uses up all descriptors except the reserve; clients' descriptors are free again when the clients disconnect.
        private func exhaust(_ world: World) throws -> [Varlink] {
            try limit(world, to: 96)
            var clients: [Varlink] = []
            func highest() -> Int { ProcessEntry(world.daemon.pid)?.descriptors.keys.max() ?? 0 }
            // The kernel gives out the lowest free number; a quarter is the reserve.
            while highest() < 74 {
                let before = highest()
                clients.append(try Varlink(world))
                try eventually("it to be accepted") { highest() > before || before < 40 }
            }
            return clients
        }

        private func sleepers(_ layout: World.Layout) throws {
            for number in 1...24 {
                try layout.unit(
                    "s\(number).service",
                    "[Service]\nType=exec\nExecStart=/bin/sleep 1000\nRestart=always\nRestartSec=0\n")
            }
        }

        @Test(
            "What cannot be started for want of descriptors is refused with the reason; everything else is answered, and stopped",
            .enabled(if: supervisorIsRoot))
        func refused() throws {
            try withWorld {
                try sleepers($0)
            } then: { world in
                try limit(world, to: 96)
                var started: [String] = []
                var refusal: Ended?
                for number in 1...24 where refusal == nil {
                    let start = try world.run("start", "s\(number)")
                    if start.status == 0 { started.append("s\(number)") } else { refusal = start }
                }
                #expect(started.count > 2)
                let text = try #require(refusal).errors
                #expect(text.contains("Too many open files (RLIMIT_NOFILE is 96)"), "\(text)")
                #expect(text.contains("LimitNOFILE="), "\(text)")
                // An existing unit is not "no such unit", even if its file was written just now.
                let late = "s24.service"
                try world.layout().unit(late, "[Service]\nType=exec\nExecStart=/bin/sleep 2000\n")
                #expect(try world.run("start", "s24").errors.contains("Too many open files"))
                #expect(try world.status("s24").first?.unit == late)
                #expect(try world.control("why", "s24").end() == 0)
                // Clients that stay connected get no more than their share: further ones are refused at once.
                var staying: [Varlink] = []
                for _ in 1...40 { staying.append(try Varlink(world)) }
                let another = try world.control("status")
                #expect(try another.end() == 1)
                #expect(another.errorText.contains("too many connections"), "\(another.errorText)")
                for client in staying { client.close() }
                for unit in started.suffix(3) { #expect(try world.run("stop", unit).outcome == .stopped) }
                #expect(try world.run("start", "s24").outcome == .started)
            }
        }

        /// Kills the main process of s1 when the supervisor has only its reserve left.
        private func killWithoutDescriptors(_ world: World) throws -> (pid: Int, clients: [Varlink]) {
            #expect(try world.run("start", "s1").outcome == .started)
            let pid = try world.mainPid("s1.service")
            let clients = try exhaust(world)
            kill(pid_t(pid), SIGKILL)
            try eventually("the supervisor to say so") { world.daemon.errorText.contains("retrying every second") }
            return (pid, clients)
        }

        @Test(
            "A service that ends while there are no descriptors is started again as soon as there are, whatever its start limit says",
            .enabled(if: supervisorIsRoot))
        func restarted() throws {
            try withWorld {
                try sleepers($0)
            } then: { world in
                let (pid, clients) = try killWithoutDescriptors(world)
                #expect(try world.status("s1").first?.state == .running)
                for client in clients { client.close() }
                try eventually("the next process") { (try? world.mainPid("s1.service")).map { $0 != pid } ?? false }
                #expect(try world.run("stop", "s1").outcome == .stopped)
            }
        }

        @Test(
            "A service that waits for descriptors to be started again can be stopped", .enabled(if: supervisorIsRoot))
        func stopped() throws {
            try withWorld {
                try sleepers($0)
            } then: { world in
                let (_, clients) = try killWithoutDescriptors(world)
                let stop = try world.run("stop", "s1")
                #expect(stop.outcome == .stopped, "\(stop.output) \(stop.errors)")
                for client in clients { client.close() }
            }
        }
    }
}
