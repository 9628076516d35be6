import CSpawn
import Glibc
import SystemPackage
import Testing
import Vocabulary

@testable import Linux

extension LinuxTests {
    @Suite struct ProcessTests {
        let loop: EventLoop
        let children: Children

        init() throws {
            loop = try EventLoop()
            children = Children(loop: loop)
        }

        @Test(
            "the exit status of a child arrives as it was",
            arguments: [
                ("exit 0", Vocabulary.ExitStatus.exited(0)), ("exit 7", .exited(7)),
                ("kill -TERM $$", .signalled(.terminate, coreDumped: false)),
            ])
        func exitStatus(script: String, expected: Vocabulary.ExitStatus) throws {
            let child = try shell(script, children: children)
            var status: Vocabulary.ExitStatus?
            let watch = try children.watch(child.handle) { status = $0 }
            try loop.run(until: { status != nil })
            #expect(status == expected)
            withExtendedLifetime(watch) {}
        }

        @Test("a child is a zombie while its exit is dispatched, and gone right after")
        func reapedAfterDispatch() throws {
            let child = try shell("exit 3", children: children)
            let pid = child.pid
            var state: Character?
            let watch = try children.watch(child.handle) { _ in state = ProcessFacts.read(pid)?.state }
            try loop.run(until: { state != nil })
            #expect(state == "Z")
            #expect(ProcessFacts.read(pid) == nil)
            withExtendedLifetime(watch) {}
        }

        @Test("a signal by handle reaches the process, and a gone process is ESRCH")
        func signalByHandle() throws {
            let child = try shell("exec sleep 1000", children: children)
            var status: Vocabulary.ExitStatus?
            let watch = try children.watch(child.handle) { status = $0 }
            try child.handle.send(.kill)
            try loop.run(until: { status != nil })
            #expect(status == .signalled(.kill, coreDumped: false))
            #expect(throws: SystemError.self) { try child.handle.send(.terminate) }
            withExtendedLifetime(watch) {}
        }

        @Test("the end of a process that is not our child is seen, with an unknown status")
        func strangerExit() throws {
            let scratch = try Scratch()
            // The shell stays as the parent, so its background child is not ours.
            let child = try shell(
                "sleep 100 & echo $! > \(scratch("pid.tmp")); mv \(scratch("pid.tmp")) \(scratch("pid")); wait; exec sleep 1000",
                children: children)
            try loop.run(until: { scratch.read("pid") != nil })
            let pid = try #require(scratch.read("pid").flatMap { Int32($0.dropLast()) })
            let stranger = try ProcessHandle(pid: pid)
            var status: Vocabulary.ExitStatus?
            let watch = try children.watch(stranger) { status = $0 }
            try stranger.send(.kill)
            try loop.run(until: { status != nil })
            #expect(status == .unknown)
            try child.handle.send(.kill)
            _ = waitBlocking(child.pid)
            withExtendedLifetime(watch) {}
        }

        @Test(
            "a dead child whose own child traces it costs a few turns of the loop, ends with a status that is not known, and is reaped when it is let go"
        )
        func tracedZombie() throws {
            let script = """
                import ctypes, os, signal
                libc = ctypes.CDLL(None)
                libc.ptrace.argtypes = [ctypes.c_long] * 4
                libc.prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER, where Yama asks for it
                reading, writing = os.pipe()
                if os.fork() == 0:
                    traced = libc.ptrace(0x4206, os.getppid(), 0, 0) == 0  # PTRACE_SEIZE
                    os.write(writing, b"y" if traced else b"n")
                    signal.pause()
                os._exit(3 if os.read(reading, 1) == b"y" else 4)
                """
            holdfast_become_subreaper(1)
            let null = try OwnedDescriptor.null()
            let plan = SpawnPlan(
                program: "/usr/bin/python3", arguments: ["python3", "-c", script],
                environment: ["PATH": ProgramSearch.path], standardInput: null.raw, standardOutput: null.raw,
                standardError: 2)
            let child = try children.spawn(plan)
            let pid = child.pid
            var status: Vocabulary.ExitStatus?
            var turns = 0
            let watch = try children.watch(child.handle) { status = $0 }
            try loop.run(until: {
                turns += 1
                return status != nil
            })
            #expect(status == .unknown)
            #expect(turns < 40, "each look is followed by a longer pause")
            #expect(ProcessFacts.read(pid)?.state == "Z")
            // The tracer ends, and with it the trace.
            kill(-pid, SIGKILL)
            try loop.run(until: {
                children.reapOrphans()
                return waitpid(-1, nil, WNOHANG) == -1 && errno == ECHILD
            })
            #expect(ProcessFacts.read(pid) == nil)
            withExtendedLifetime(watch) {}
        }

        @Test("orphans are reaped, our own children are left to their dispatch")
        func orphans() throws {
            holdfast_become_subreaper(1)
            let scratch = try Scratch()
            let child = try shell(
                "(setsid sh -c 'echo $$ > \(scratch("t")); mv \(scratch("t")) \(scratch("pid"))') & exit 5",
                children: children)
            let pid = child.pid
            var status: Vocabulary.ExitStatus?
            try loop.run(until: {
                scratch.read("pid") != nil && ProcessFacts.read(pid)?.state == "Z"
            })
            let orphan = try #require(scratch.read("pid").flatMap { Int32($0.dropLast()) })
            try loop.run(until: { [nil, "Z"].contains(ProcessFacts.read(orphan)?.state) })
            children.reapOrphans()
            #expect(ProcessFacts.read(pid)?.state == "Z", "ours has not been dispatched, so it is still there")
            let watch = try children.watch(child.handle) { status = $0 }
            try loop.run(until: { status != nil })
            #expect(status == .exited(5))
            // The pass that met our child went on after its dispatch.
            #expect(ProcessFacts.read(orphan) == nil)
            #expect(waitpid(-1, nil, WNOHANG) == -1 && errno == ECHILD)
            withExtendedLifetime(watch) {}
        }

        @Test("a dead child of ours that nobody waits for hides no orphan")
        func behindOurs() throws {
            let first = try shell("exit 5", children: children)
            let pid = first.pid
            let null = try OwnedDescriptor.null()
            try loop.run(until: { ProcessFacts.read(pid)?.isDead == true })
            let plan = SpawnPlan(
                program: "/bin/true", arguments: ["true"], standardInput: null.raw, standardOutput: null.raw,
                standardError: 2)
            // Behind the back of `children`, more than one turn takes.
            var orphans: [Int32] = []
            for _ in 0..<100 { orphans.append(try ProcessSpawner.spawn(plan).pid) }
            try loop.run(until: { orphans.allSatisfy { ProcessFacts.read($0)?.isDead != false } })
            children.reapOrphans()
            try loop.run(until: { orphans.allSatisfy { ProcessFacts.read($0) == nil } })
            #expect(ProcessFacts.read(pid)?.isDead == true, "ours has not been dispatched, so it is still there")
            children.abandon(pid: pid)
            #expect(ProcessFacts.read(pid) == nil)
        }

        @Test("a process whose first thread alone has ended lives")
        func firstThread() throws {
            let program = """
                import ctypes, threading, time
                threading.Thread(target=lambda: ctypes.CDLL(None).sleep(1000)).start()
                ctypes.CDLL(None).pthread_exit(None)
                """
            let child = try shell("exec /usr/bin/python3 -c '\(program)'", children: children)
            let pid = child.pid
            try loop.run(until: { ProcessFacts.read(pid)?.state == "Z" })
            #expect(ProcessFacts.read(pid)?.isDead == false)
            let trees = ProcessTrees(name: "test-thread", useCgroups: false)
            let tree = try trees.make(name: "thread", cookie: "")
            tree.started(main: pid)
            #expect(tree.members() == [pid] && !tree.isEmpty)
            var status: Vocabulary.ExitStatus?
            let watch = try children.watch(child.handle) { status = $0 }
            tree.killAll()
            try loop.run(until: { status != nil })
            #expect(status == .signalled(.kill, coreDumped: false))
            #expect(tree.isEmpty)
            withExtendedLifetime(watch) {}
        }

        /// Lets so many descriptors be opened.
        private func withDescriptors(_ budget: Int, _ body: () throws -> Void) throws {
            var limit = rlimit()
            try #require(getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
            var free: [Int32] = []
            for _ in 0...budget { free.append(dup(2)) }
            for descriptor in free { close(descriptor) }
            var low = limit
            low.rlim_cur = rlim_t(free.last ?? 0)
            try #require(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &low) == 0)
            defer { setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) }
            try body()
        }

        @Test(
            "a control group that cannot be opened is not left; one that is ended goes when its processes have",
            .enabled(if: ProcessTrees(name: "test0-\(getpid())").usesCgroups))
        func noGroupLeft() throws {
            let trees = ProcessTrees(name: "test5-\(getpid())")
            let root = try #require(trees.rootPath)
            let path = root + "/app.service#1"
            try withDescriptors(0) {
                #expect(throws: SystemError.self) { try trees.make(name: "app.service#1", cookie: "") }
            }
            #expect(access(path, F_OK) != 0)
            let tree = try trees.make(name: "app.service#1", cookie: "")
            let child = try shell("sleep 1000 & exec sleep 1000", children: children) { $0.cgroup = tree.spawnCgroup }
            try loop.run(until: { tree.members().count == 2 })
            trees.end(tree, loop)
            try loop.run(until: { access(path, F_OK) != 0 })
            children.abandon(pid: child.pid)
            try loop.run(until: {
                children.reapOrphans()
                return waitpid(-1, nil, WNOHANG) == -1 && errno == ECHILD
            })
            trees.remove()
            #expect(access(root, F_OK) != 0)
        }

        @Test("SIGCHLD starts the reaping of orphans, and an unknown child is one")
        func reapsOnSignal() throws {
            EventLoop.blockSignals([.child])
            defer {
                var set = sigset_t()
                sigemptyset(&set)
                sigaddset(&set, SIGCHLD)
                pthread_sigmask(SIG_UNBLOCK, &set, nil)
            }
            try children.adoptOrphans()
            let null = try OwnedDescriptor.null()
            // Started behind the back of `children`, so it counts as an orphan.
            let plan = SpawnPlan(
                program: "/bin/true", arguments: ["true"], standardInput: null.raw, standardOutput: null.raw,
                standardError: 2)
            let child = try ProcessSpawner.spawn(plan)
            let pid = child.pid
            // WNOWAIT leaves the zombie for the loop to reap.
            var information = siginfo_t()
            #expect(waitid(P_PID, id_t(pid), &information, WEXITED | WNOWAIT) == 0)
            #expect(ProcessFacts.read(pid)?.state == "Z")
            // To this thread: other threads of the test process have not blocked it and may swallow the kernel's own.
            pthread_kill(pthread_self(), SIGCHLD)
            try loop.run(until: { ProcessFacts.read(pid) == nil })
        }

        @Test("start time and pid name a process; another start time is not it")
        func startTimes() throws {
            let own = try #require(ProcessFacts.startTime(of: getpid()))
            _ = try ProcessHandle(pid: getpid(), startTime: own)
            #expect(throws: SystemError.self) { _ = try ProcessHandle(pid: getpid(), startTime: own + 1) }
            #expect(ProcessFacts.read(getpid())?.parent == getppid())
            #expect(ProcessFacts(pid: 1, stat: Array("1 (a b) c) S 2 3".utf8)) == nil)
            #expect(try #require(MemoryFacts.read(getpid())).resident > 1 << 20)
            #expect(MemoryFacts.read(-1) == nil)
        }
    }
}
