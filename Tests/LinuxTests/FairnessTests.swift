import Glibc
import SystemPackage
import Testing
import Vocabulary

@testable import Linux

extension LinuxTests {
    /// Whatever is ready all the time, everything else has its turn (`DispatchRounds`).
    @Suite struct FairnessTests {
        /// How a class can be ready without end.
        enum Flood: CaseIterable {
            case levelTriggered
            case edgeTriggeredAskedAnew
            case newSources
            case timerInThePast
        }

        /// Floods a class until `stop` is called.
        private final class Flooding {
            private let loop: EventLoop
            private let flood: Flood
            private let priority: DispatchPriority
            private let pipe: Pipe
            private var source: EventSource?
            private(set) var turns = 0

            init(_ loop: EventLoop, _ flood: Flood, _ priority: DispatchPriority) throws {
                self.loop = loop
                self.flood = flood
                self.priority = priority
                pipe = try Pipe()
                try pipe.writing.writeAll([1], subject: "pipe")
                try begin()
            }

            private func begin() throws {
                switch flood {
                case .levelTriggered:
                    source = try loop.addIO(pipe.reading.raw, .readable, priority: priority) { [unowned self] _ in
                        turns += 1
                    }
                case .edgeTriggeredAskedAnew:
                    source = try loop.addIO(pipe.reading.raw, [.readable, .edge], priority: priority) {
                        [unowned self] _ in
                        turns += 1
                        try? (source as? IOSource)?.setEvents([.readable, .edge])
                    }
                case .newSources:
                    source = try loop.addDeferred(priority: priority) { [unowned self] in
                        turns += 1
                        try? begin()
                    }
                case .timerInThePast:
                    let timer = try loop.addTimer(priority: priority) { [unowned self] in
                        turns += 1
                        (source as? TimerSource)?.arm(at: 0)
                    }
                    source = timer
                    timer.arm(at: 0)
                }
            }
        }

        @Test("a class that is ready without end keeps no other class waiting", arguments: Flood.allCases)
        func everyClass(flood: Flood) throws {
            let loop = try EventLoop()
            for priority in DispatchPriority.allCases {
                let flooding = try Flooding(loop, flood, priority)
                for other in DispatchPriority.allCases {
                    var seen: Set<String> = []
                    let pipe = try Pipe()
                    try pipe.writing.writeAll([1], subject: "pipe")
                    let descriptor = try loop.addIO(pipe.reading.raw, [.readable, .edge], priority: other) { _ in
                        seen.insert("descriptor")
                    }
                    let deferred = try loop.addDeferred(priority: other) { seen.insert("deferred") }
                    let timer = try loop.addTimer(priority: other) { seen.insert("timer") }
                    timer.arm(at: 0)
                    try loop.run(until: { seen.count == 3 }, "\(other) beside a flood of \(priority)")
                    withExtendedLifetime((descriptor, deferred)) {}
                }
                #expect(flooding.turns > 0)
            }
        }

        @Test("all classes flooded at once have their turns")
        func allAtOnce() throws {
            let loop = try EventLoop()
            let floods = try DispatchPriority.allCases.flatMap { priority in
                try Flood.allCases.map { try Flooding(loop, $0, priority) }
            }
            try loop.run(until: { floods.allSatisfy { $0.turns > 200 } })
        }

        @Test("signals that come without end let others have their turn, and none of another kind is lost")
        func signals() throws {
            EventLoop.blockSignals([.user1, Signal(rawValue: 59), .child])
            defer {
                var set = sigset_t()
                sigemptyset(&set)
                for number in [SIGUSR1, SIGCHLD, 59] {
                    sigaddset(&set, number)
                    // What still waits is thrown away by this.
                    signal(number, SIG_IGN)
                    signal(number, SIG_DFL)
                }
                pthread_sigmask(SIG_UNBLOCK, &set, nil)
            }
            let loop = try EventLoop()
            var (floods, orphans, last) = (0, 0, 0)
            // To this thread, which has blocked them.
            let flood = try loop.addSignal(.user1) {
                floods += 1
                pthread_kill(pthread_self(), SIGUSR1)
            }
            let child = try loop.addSignal(.child, priority: .orphans) {
                orphans += 1
                pthread_kill(pthread_self(), SIGCHLD)
            }
            let other = try loop.addSignal(Signal(rawValue: 59)) { last += 1 }
            for number in [SIGUSR1, SIGCHLD] { pthread_kill(pthread_self(), number) }
            var request = false
            for round in 1...20 {
                pthread_kill(pthread_self(), 59)
                let deferred = try loop.addDeferred(priority: .logs) { request = true }
                try loop.run(until: { last == round && request && orphans > round })
                request = false
                withExtendedLifetime(deferred) {}
            }
            #expect(floods > 20)
            withExtendedLifetime((flood, child, other)) {}
        }

        @Test("what became ready at the same moment keeps its order, however long the handlers take")
        func orderOfOneMoment() throws {
            let loop = try EventLoop()
            var seen: [DispatchPriority] = []
            let pipe = try Pipe()
            var sources: [EventSource] = []
            // Far more than a class may repeat in a round.
            var ends: [OwnedDescriptorBox] = []
            for priority in [DispatchPriority.timers, .childExits] {
                for _ in 0..<200 {
                    let end = OwnedDescriptorBox(try pipe.reading.duplicate())
                    ends.append(end)
                    sources.append(
                        try loop.addIO(end.raw, [.readable, .edge], priority: priority) { _ in
                            let start = loop.now
                            while loop.now - start < 100_000 {}
                            seen.append(priority)
                        })
                }
            }
            #expect(try !loop.runOnce(timeout: 1000))
            try pipe.writing.writeAll([1], subject: "pipe")
            try loop.run(until: { seen.count == 400 })
            #expect(seen == Array(repeating: .childExits, count: 200) + Array(repeating: .timers, count: 200))
        }

        @Test("a source that is cancelled while it waits for the next round never runs")
        func cancelledWhileParked() throws {
            let loop = try EventLoop()
            let flooding = try Flooding(loop, .newSources, .childExits)
            var cancelled: [EventSource] = []
            var ran = 0
            // The class is over its quota: all of these wait for the next round.
            try loop.run(until: { flooding.turns >= DispatchRounds.repeats })
            for _ in 0..<3 { cancelled.append(try loop.addDeferred(priority: .childExits) { ran += 1 }) }
            let timer = try loop.addTimer(priority: .childExits) { ran += 1 }
            timer.arm(at: 0)
            for _ in 0..<4 { try loop.runOnce(timeout: 0) }
            for source in cancelled { source.cancel() }
            timer.disarm()
            cancelled = []
            let before = flooding.turns
            try loop.run(until: { flooding.turns > before + 1000 })
            #expect(ran == 0)
        }
    }
}
