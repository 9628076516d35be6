import Glibc
import SystemPackage
import Testing

@testable import Linux

extension LinuxTests {
    @Suite struct LoopTests {
        @Test("what is ready at once is dispatched in the order of the priorities")
        func order() throws {
            let loop = try EventLoop()
            var seen: [DispatchPriority] = []
            var sources: [DeferredSource] = []
            for priority in DispatchPriority.allCases.reversed() {
                sources.append(try loop.addDeferred(priority: priority) { seen.append(priority) })
            }
            try loop.run(until: { seen.count == DispatchPriority.allCases.count })
            #expect(seen == DispatchPriority.allCases.sorted { $0.rawValue < $1.rawValue })
        }

        @Test("a timer fires once per arming, never early, and not after disarm or cancel")
        func timers() throws {
            let loop = try EventLoop()
            var fired = 0
            var early = false
            var deadline: Int64 = 0
            let timer = try loop.addTimer {
                fired += 1
                early = early || loop.now < deadline
            }
            for offset: Int64 in [0, 1_500_001, 777] {
                deadline = loop.now + offset
                let before = fired
                timer.arm(at: deadline)
                try loop.run(until: { fired > before })
                #expect(fired == before + 1)
            }
            #expect(!early)
            timer.arm(at: loop.now)
            timer.disarm()
            var marker = false
            let idle = try loop.addDeferred(priority: .idle) { marker = true }
            try loop.run(until: { marker })
            #expect(fired == 3)
            timer.cancel()
            timer.arm(at: loop.now)
            #expect(try !loop.runOnce(timeout: 0))
            withExtendedLifetime(idle) {}
        }

        @Test("a source may be cancelled and dropped inside its own handler")
        func cancelInside() throws {
            let loop = try EventLoop()
            let pipe = try Pipe()
            try pipe.writing.writeAll([1, 2, 3], subject: "pipe")
            var calls = 0
            var source: IOSource?
            source = try loop.addIO(pipe.reading.raw, .readable, priority: .jobs) { _ in
                calls += 1
                source?.cancel()
                source = nil
            }
            try loop.run(until: { calls > 0 })
            #expect(try !loop.runOnce(timeout: 0))
            #expect(calls == 1 && source == nil)
        }

        @Test(
            "a source whose handler gets nowhere is asked less and less often, and at once again after it got somewhere"
        )
        func withoutProgress() throws {
            let loop = try EventLoop()
            let pipe = try Pipe(nonBlockingReader: true)
            try pipe.writing.writeAll([1, 2], subject: "pipe")
            var times: [Int64] = []
            var source: IOSource?
            source = try loop.addIO(pipe.reading.raw, .readable, priority: .notifyMessages) { _ in
                times.append(loop.now)
                if times.count < 5 { return source?.postpone() ?? () }
                source?.noteProgress()
                var byte: UInt8 = 0
                _ = read(pipe.reading.raw, &byte, 1)
            }
            var turns = 0
            try loop.run(until: {
                turns += 1
                return times.count == 6
            })
            // Pauses of 10, 20, 40 and 80 ms, and none after the first byte was taken.
            let pauses = zip(times.dropFirst(), times).map { $0 - $1 }
            for (pause, atLeast) in zip(pauses, [10, 20, 40, 80, 0] as [Int64]) {
                #expect(pause >= atLeast * 1_000_000)
            }
            #expect(turns < 20)
            source?.postpone()
            source?.setEnabled(false)
            #expect(try !loop.runOnce(timeout: 20_000) || !loop.runOnce(timeout: 20_000))
            #expect(times.count == 6, "switched off, a pause that is over does not switch it on")
        }

        @Test("a dropped source never fires and frees what its closure holds")
        func dropped() throws {
            final class Token {}
            let loop = try EventLoop()
            weak var weakToken: Token?
            do {
                let token = Token()
                weakToken = token
                let timer = try loop.addTimer { _ = token }
                timer.arm(at: loop.now)
            }
            #expect(try !loop.runOnce(timeout: 0))
            #expect(weakToken == nil)
        }

        @Test("a blocked signal is delivered as an event")
        func signals() throws {
            EventLoop.blockSignals([.user2])
            let loop = try EventLoop()
            var count = 0
            let source = try loop.addSignal(.user2) { count += 1 }
            // To this thread: others of the test process have not blocked it.
            pthread_kill(pthread_self(), SIGUSR2)
            try loop.run(until: { count == 1 })
            withExtendedLifetime(source) {}
        }

        @Test("run returns the code of exit, and an idle loop wakes up for nothing")
        func runAndExit() throws {
            let loop = try EventLoop()
            #expect(try !loop.runOnce(timeout: 50_000))
            let later = try loop.addDeferred { loop.exit(7) }
            #expect(try loop.run() == 7)
            withExtendedLifetime(later) {}
        }

        @Test("an actor on the loop runs its jobs on the loop's thread, wherever they come from")
        func actorOnLoop() throws {
            actor Counter {
                nonisolated let loop: EventLoop
                nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
                var count = 0
                init(loop: EventLoop) { self.loop = loop }
                func add() {
                    loop.assertIsolated()
                    count += 1
                    if count == 100 { loop.exit(42) }
                }
            }
            let loop = try EventLoop()
            let counter = Counter(loop: loop)
            for _ in 0..<100 { Task.detached { await counter.add() } }
            #expect(try loop.run() == 42)
        }
    }
}
