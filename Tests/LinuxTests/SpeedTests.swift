import Glibc
import Testing

@testable import Linux

extension LinuxTests {
    /// Prints figures; promises none. Only on request: `HOLDFAST_SPEED=1 swift test --filter SpeedTests`.
    @Suite(.enabled(if: getenv("HOLDFAST_SPEED") != nil)) struct SpeedTests {
        @Test("time of a start and throughput of captured output")
        func figures() throws {
            let null = try OwnedDescriptor.null()
            var plan = SpawnPlan(
                program: "/bin/true", arguments: ["true"], standardInput: null.raw, standardOutput: null.raw,
                standardError: 2)
            plan.descriptors = [null.raw]
            let begin = EventLoop.now
            for _ in 0..<1000 { _ = waitBlocking(try ProcessSpawner.spawn(plan).pid) }
            print(
                "start: \((EventLoop.now - begin) / 1_000_000_000).\((EventLoop.now - begin) / 1_000_000 % 1000) ms each"
            )

            let logging = try Logging()
            let (loop, children, pipe) = (logging.loop, logging.children, try logging.pipe())
            let end = try pipe.openForService()
            let start = EventLoop.now
            let child = try shell(
                "yes 'a line of an ordinary length, as services print them' | head -n 1000000", children: children
            ) {
                $0.standardOutput = end.raw
            }
            var done = false
            let watch = try children.watch(child.handle) { _ in done = true }
            try loop.run(until: { done })
            pipe.close()
            print("1,000,000 lines in \((EventLoop.now - start) / 1_000_000) ms")
            withExtendedLifetime(watch) {}
        }
    }
}
