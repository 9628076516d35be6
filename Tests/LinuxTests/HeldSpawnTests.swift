import CSpawn
import Glibc
import Synchronization
import SystemPackage
import Testing

@testable import Linux

/// Stops every child of the thread that made it, as soon as there is one.
private final class ChildStopper {
    private let isOver = Atomic(false)
    private let children: String
    private var thread = pthread_t()

    init() throws {
        var text = [CChar](repeating: 0, count: 64)
        try #require(readlink("/proc/thread-self", &text, 63) > 0)
        children = "/proc/\(String(decoding: text.prefix { $0 != 0 }.map { UInt8($0) }, as: UTF8.self))/children"
        let result = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<ChildStopper>.fromOpaque(argument).takeUnretainedValue().stop()
                return nil
            }, Unmanaged.passUnretained(self).toOpaque())
        try #require(result == 0)
    }

    private func stop() {
        while !isOver.load(ordering: .relaxed) {
            let pids = String(decoding: ProcFile.read(children, limit: 4096) ?? [], as: UTF8.self)
            for pid in pids.split(separator: " ").compactMap({ Int32($0) }) { kill(pid, SIGSTOP) }
        }
    }

    func end() {
        isOver.store(true, ordering: .relaxed)
        pthread_join(thread, nil)
    }
}

extension LinuxTests {
    /// Starts of programs that others have in hand: a service's user can stop what runs as that user already, and hold the
    /// program's file.
    @Suite struct HeldSpawns {
        /// fcntl(2); both are hidden behind _GNU_SOURCE.
        private static let setLease: Int32 = 1024

        /// A program on which this process holds a write lease: whoever executes it waits until the lease is given back.
        private func leasedProgram(_ scratch: Scratch) throws -> OwnedDescriptor {
            let program = try scratch.write("program", "#!/bin/sh\nexit 0\n", mode: 0o755)
            // The kernel asks for the lease by this signal, whose default is to end the process.
            signal(SIGIO, SIG_IGN)
            let file = try OwnedDescriptor.open(program, O_RDONLY)
            try #require(fcntl(file.raw, Self.setLease, Int32(F_WRLCK)) == 0)
            return file
        }

        private func start(_ program: String) -> SpawnError? {
            do throws(SpawnError) {
                let null = try? OwnedDescriptor.open("/dev/null", O_RDWR)
                guard let null else { return nil }
                let plan = SpawnPlan(
                    program: program, arguments: [program], environment: [:], standardInput: null.raw,
                    standardOutput: null.raw, standardError: null.raw)
                let child = try ProcessSpawner.spawn(plan)
                _ = kill(child.pid, SIGKILL)
                var dead = holdfast_exit()
                while holdfast_wait(Int32(HOLDFAST_WAIT_PID), child.pid, 1, &dead) == 0, dead.pid == 0 { usleep(1000) }
                return nil
            } catch {
                return error
            }
        }

        @Test("A program whose file its user holds by a lease is not waited for, and the error says so")
        func lease() throws {
            let scratch = try Scratch()
            let lease = try leasedProgram(scratch)
            let error = try #require(start(scratch("program")))
            #expect(error.step == .held && error.cause.errno == .resourceTemporarilyUnavailable, "\(error)")
            #expect("\(error)".contains("lease"), "\(error)")
            #expect(fcntl(lease.raw, Self.setLease, Int32(F_UNLCK)) == 0)
            #expect(start(scratch("program")) == nil)
        }

        @Test("A child that a signal stops before it has executed its program is ended, and the error says so")
        func stopped() throws {
            let scratch = try Scratch()
            // Keeps the child where it can be stopped.
            let lease = try leasedProgram(scratch)
            let stopper = try ChildStopper()
            let error = start(scratch("program"))
            stopper.end()
            _ = fcntl(lease.raw, Self.setLease, Int32(F_UNLCK))
            #expect(error?.step == .held && error?.cause.errno == .interrupted, "\(error.map { "\($0)" } ?? "started")")
        }
    }
}
