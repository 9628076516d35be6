import CSpawn
import Glibc
import SystemPackage
import Testing

@testable import Linux

extension LinuxTests {
    /// Without descriptors: what is not known is not taken for something else, and what failed is tried again.
    @Suite struct ShortageTests {
        private final class Job {
            let body: () throws -> Void
            var error: (any Error)?
            init(_ body: @escaping () throws -> Void) { self.body = body }
        }

        /// The calling thread's own table of descriptors, which other tests do not see.
        final class Table {
            private var filling: [Int32] = []

            /// Takes every number that is free.
            func fill() {
                while true {
                    let number = open("/dev/null", O_RDONLY | O_CLOEXEC)
                    guard number >= 0 else { return }
                    filling.append(number)
                }
            }

            func free(_ count: Int = .max) {
                for number in filling.suffix(count) { close(number) }
                filling.removeLast(min(count, filling.count))
            }
        }

        /// unshare(2), which Glibc's module does not have; 0x400 is CLONE_FILES.
        private static func unshareTable() throws {
            typealias Call = @convention(c) (Int32) -> Int32
            let symbol = try #require(dlsym(nil, "unshare"))
            try checkErrno(unsafeBitCast(symbol, to: Call.self)(0x400), "unshare")
        }

        /// Runs `body` in a thread of its own, whose table of descriptors is its own, too (CLONE_FILES of unshare(2)). What `prepare`
        /// opens is in both tables. (/proc/self/fd is of the process: what goes that way is for `prepare`.)
        private func apart<State>(
            _ prepare: @escaping () throws -> State, _ body: @escaping (State, Table) throws -> Void
        ) throws {
            let job = Job {
                let state = try prepare()
                try Self.unshareTable()
                let table = Table()
                defer { table.free() }
                try body(state, table)
            }
            var thread = pthread_t()
            let context = Unmanaged.passRetained(job)
            pthread_create(
                &thread, nil,
                { context in
                    guard let context else { return nil }
                    let job = Unmanaged<Job>.fromOpaque(context).takeRetainedValue()
                    do { try job.body() } catch { job.error = error }
                    return nil
                }, context.toOpaque())
            pthread_join(thread, nil)
            if let error = job.error { throw error }
        }

        @Test("a directory that cannot be read is not empty, and a user that cannot be looked up not missing")
        func unknownIsNotMissing() throws {
            let scratch = try Scratch()
            _ = try scratch.write("a.service", "")
            try apart(
                {},
                { _, table in
                    table.fill()
                    #expect(throws: SystemError("open", scratch.path, .tooManyOpenFiles)) {
                        _ = try UnitDirectory.list(scratch.path)
                    }
                    #expect(throws: SystemError("list", scratch.path, .tooManyOpenFiles)) {
                        _ = try UnitDirectory.links(scratch.path)
                    }
                    #expect(throws: UnknownAccount(kind: .user, name: "nobody", cause: .tooManyOpenFiles)) {
                        _ = try Accounts.user("nobody")
                    }
                    #expect(throws: UnknownAccount(kind: .group, name: "nogroup", cause: .tooManyOpenFiles)) {
                        _ = try Accounts.group("nogroup")
                    }
                    #expect(throws: SystemError.self) { try FileLimit.requireRoom() }
                    table.free()
                    try FileLimit.requireRoom()
                    #expect(try Accounts.user("nobody").name == "nobody")
                })
        }

        @Test(
            "a socket whose path is gone is not replaced for want of descriptors: it gets its path back when there are some"
        )
        func pathOfSocket() throws {
            let scratch = try Scratch()
            let held = try ListeningSocket(.unix(path: scratch("s")), kind: .stream, backlog: 5)
            let before = try stat(of: held.raw, "")
            unlink(scratch("s"))
            try apart(
                {},
                { _, table in
                    table.fill()
                    #expect(throws: SystemError.self) { _ = try held.restorePath() }
                })
            #expect(try held.restorePath() == .restored)
            #expect(try stat(of: held.raw, "").st_ino == before.st_ino)
            held.unlinkPath()
        }

        @Test("READY=1 counts also if there is no room for the descriptors that came with it")
        func notify() throws {
            let scratch = try Scratch()
            final class State {
                let loop: EventLoop
                var socket: NotifySocket?
                let sender: OwnedDescriptor
                var got: [NotifySocket.Datagram] = []

                init(_ path: String) throws {
                    loop = try EventLoop()
                    sender = try OwnedDescriptor.socket(AF_UNIX, SocketType.datagram)
                    socket = try NotifySocket(path: path, loop: loop) { [unowned self] in got.append($0) }
                    try checkErrno(
                        SocketAddress.unix(path: path).withSockaddr { connect(sender.raw, $0, $1) }, "connect")
                }

                func send() {
                    let text = Array("READY=1\nFDSTORE=1\n".utf8)
                    #expect(holdfast_send_with_descriptors(sender.raw, text, text.count, [0], 1) == text.count)
                }
            }
            try apart(
                { try State(scratch("n")) },
                { state, table in
                    table.fill()
                    state.send()
                    try state.loop.run(until: { state.got.count == 1 })
                    #expect(state.got.first?.messages == [.ready, .storeDescriptors])
                    #expect(state.got.first?.hasLostDescriptors == true)
                    table.free()
                    state.send()
                    try state.loop.run(until: { state.got.count == 2 })
                    #expect(state.got.last?.hasLostDescriptors == false)
                    state.socket?.remove()
                })
        }

        @Test("who waits for the journal hears of it again, also if it could not be asked")
        func journal() throws {
            let scratch = try Scratch()
            try apart(
                { try EventLoop() },
                { loop, table in
                    let journal = JournalSocket(loop: loop, path: scratch("journal"))
                    var told = 0
                    table.fill()
                    journal.whenWritable(loop) { told += 1 }
                    try loop.run(until: { told == 1 })
                })
        }

        @Test("a connection that cannot be accepted waits, and is accepted when there are descriptors")
        func accept() throws {
            let scratch = try Scratch()
            final class State {
                let loop: EventLoop
                var server: LocalServer?
                let client: OwnedDescriptor
                var accepted = 0

                init(_ path: String) throws {
                    loop = try EventLoop()
                    client = try OwnedDescriptor.socket(AF_UNIX, SocketType.stream)
                    server = try LocalServer(loop: loop, path: path, mode: 0o600, group: nil) { [unowned self] _, _ in
                        accepted += 1
                    }
                    try checkErrno(
                        SocketAddress.unix(path: path).withSockaddr { connect(client.raw, $0, $1) }, "connect")
                }
            }
            try apart(
                { try State(scratch("c")) },
                { state, table in
                    table.fill()
                    // Neither at once for ever nor never: after a pause.
                    var turns = 0
                    while try state.loop.runOnce(timeout: 200_000), turns < 100 { turns += 1 }
                    #expect(turns < 100 && state.accepted == 0)
                    table.free()
                    try state.loop.run(until: { state.accepted == 1 })
                })
        }

        @Test("a program gets its descriptors also when all numbers of the supervisor are taken")
        func spawn() throws {
            try apart(
                {},
                { _, table in
                    let null = try OwnedDescriptor.null()
                    var plan = SpawnPlan(
                        program: "/bin/true", arguments: ["true"], environment: [:], standardInput: null.raw,
                        standardOutput: null.raw, standardError: null.raw)
                    plan.descriptors = [null.raw, null.raw]
                    FileLimit.bounded(by: .services) { table.fill() }
                    // One for its pidfd; its descriptors are duplicated above the bound.
                    table.free(1)
                    let child = try FileLimit.bounded(by: .services) { try ProcessSpawner.spawn(plan) }
                    #expect(waitBlocking(child.pid) == .exited(0))
                })
        }
    }
}
