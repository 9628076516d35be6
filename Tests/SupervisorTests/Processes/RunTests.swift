import Engine
import SystemPackage
import Testing
import Vocabulary

@testable import Linux
@testable import Supervisor

private let simple = "[Service]\nExecStart=/srv/app --port 80\nEnvironment=COLOR=red\n"

@Suite("Runs of services without a process") struct RunTests {
    @Test("A start is reported with its environment, tree and output; the end of the process and of the tree follow")
    func run() throws {
        let bench = try ProcessesBench()
        let instance = try bench.instance(simple)
        let token = bench.start(instance)
        #expect(bench.takeEvents() == [.spawned(token)])
        let process = try #require(bench.world.processes.running("/srv/app").first)
        #expect(process.arguments == ["/srv/app", "--port", "80"])
        #expect(process.environment["COLOR"] == "red")
        #expect(process.environment["INVOCATION_ID"] == instance.invocation)
        #expect(process.environment["SYSTEMD_EXEC_PID"] == "\(process.pid)")
        #expect(process.tree == "app.service#1.1")
        #expect(bench.recorded == [token])
        process.print("hello")
        let wait = bench.token()
        bench.processes.watchTree(wait, of: instance.id)
        process.exit(3)
        bench.run()
        #expect(bench.takeEvents() == [.exited(token, .exited(3)), .treeEmpty(wait)])
        #expect(bench.world.logs.texts(of: "app.service") == ["hello"])
        #expect(instance.tree == nil)
        #expect(bench.world.processes.trees.isEmpty)
        #expect(bench.processes[token] == nil)
    }

    @Test(
        "The tree counts as empty after the end of its process is reported, whichever the kernel reports first",
        arguments: [0, 10_000_000] as [Int64], [0, 10_000_000] as [Int64])
    func orders(exitDelay: Int64, emptyDelay: Int64) throws {
        let bench = try ProcessesBench()
        bench.world.processes.exitDelay = { _ in exitDelay }
        bench.world.processes.emptyDelay = { _ in emptyDelay }
        let instance = try bench.instance(simple)
        let token = bench.start(instance)
        let wait = bench.token()
        bench.processes.watchTree(wait, of: instance.id)
        bench.world.processes.running("/srv/app").first?.exit()
        bench.run()
        #expect(bench.takeEvents() == [.spawned(token), .exited(token, .exited(0)), .treeEmpty(wait)])
    }

    @Test("Children that outlive the main process keep the tree until the last has ended, reparented or not")
    func children() throws {
        let bench = try ProcessesBench()
        let instance = try bench.instance(simple)
        let token = bench.start(instance)
        let main = try #require(bench.world.processes.running("/srv/app").first)
        let child = try main.fork()
        let grandchild = try child.fork()
        let wait = bench.token()
        bench.processes.watchTree(wait, of: instance.id)
        main.exit()
        child.exit()
        bench.run()
        #expect(bench.takeEvents() == [.spawned(token), .exited(token, .exited(0))])
        #expect(bench.machine.processes.facts(of: grandchild.pid)?.parent == bench.machine.processes.ownPid)
        grandchild.exit()
        bench.run()
        #expect(bench.takeEvents() == [.treeEmpty(wait)])
    }

    @Test("A wait that was given up is not answered")
    func givenUp() throws {
        let bench = try ProcessesBench()
        let instance = try bench.instance(simple)
        let token = bench.start(instance)
        let wait = bench.token()
        bench.processes.watchTree(wait, of: instance.id)
        bench.processes.unwatchTree(wait, of: instance.id)
        bench.world.processes.running("/srv/app").first?.exit()
        bench.run()
        #expect(bench.takeEvents() == [.spawned(token), .exited(token, .exited(0))])
    }

    @Test("SIGTERM to a tree is followed by SIGCONT; a process that ignores it ends by SIGKILL")
    func signals() throws {
        let bench = try ProcessesBench()
        let instance = try bench.instance(simple)
        let token = bench.start(instance)
        let main = try #require(bench.world.processes.running("/srv/app").first)
        main.onSignal = { _ in }
        bench.processes.signalTree(of: instance.id, .terminate)
        bench.run()
        #expect(main.signals == [.terminate, .continue])
        #expect(main.end == nil)
        bench.processes.killTree(of: instance.id)
        bench.run()
        #expect(bench.takeEvents() == [.spawned(token), .exited(token, .signalled(.kill, coreDumped: false))])
    }

    @Test("A signal to a process that has ended reaches nobody")
    func lateSignal() throws {
        let bench = try ProcessesBench()
        let instance = try bench.instance(simple)
        let token = bench.start(instance)
        bench.world.processes.running("/srv/app").first?.exit()
        bench.run()
        #expect(!bench.processes.signal(token, .terminate))
    }

    @Test("A program that cannot be started is reported with its step; nothing is left of the attempt")
    func spawnFailure() throws {
        let bench = try ProcessesBench()
        bench.world.verdict = { call, _ in call == "spawn" ? .fail(.permissionDenied) : .succeed }
        let instance = try bench.instance(simple)
        let token = bench.start(instance)
        guard case .spawnFailed(token, let text, _)? = bench.takeEvents().first else {
            return #expect(Bool(false), "no spawnFailed")
        }
        #expect(text.contains("Permission denied"))
        #expect(bench.world.processes.running.isEmpty)
        let wait = bench.token()
        bench.processes.watchTree(wait, of: instance.id)
        bench.run()
        #expect(bench.takeEvents() == [.treeEmpty(wait)])
    }

    @Test("A process that cannot be watched is killed, and its start has failed")
    func watchFailure() throws {
        let bench = try ProcessesBench()
        bench.world.verdict = { call, _ in call == "watch process" ? .fail(.tooManyOpenFiles) : .succeed }
        let instance = try bench.instance(simple)
        let token = bench.start(instance)
        guard case .spawnFailed(token, _, _)? = bench.takeEvents().first else {
            return #expect(Bool(false), "no spawnFailed")
        }
        #expect(bench.world.processes.running.isEmpty)
        bench.run()
        #expect(bench.takeEvents().isEmpty)
    }

    @Test("A restart that lacks descriptors is tried again every second, and logged once, until it is given up")
    func shortage() throws {
        let bench = try ProcessesBench()
        bench.mayPostpone = true
        var attempts = 0
        bench.world.verdict = { call, _ in
            guard call == "spawn" else { return .succeed }
            attempts += 1
            return attempts < 4 ? .fail(.tooManyOpenFiles) : .succeed
        }
        let instance = try bench.instance(simple)
        let token = bench.start(instance)
        bench.run(2.5)
        #expect(attempts == 3)
        #expect(bench.log.filter { $0.contains("retrying every second") }.count == 1)
        #expect(bench.takeEvents().isEmpty)
        bench.run(1)
        #expect(bench.takeEvents() == [.spawned(token)])
        attempts = 0
        let other = try bench.instance(simple, named: "other.service", number: 2)
        let second = bench.start(other)
        bench.processes.killTree(of: other.id)
        guard case .spawnFailed(second, _, _)? = bench.takeEvents().first else {
            return #expect(Bool(false), "no spawnFailed")
        }
        bench.run(5)
        #expect(attempts == 1)
    }

    @Test("A tree whose emptiness the kernel cannot report is checked once a second")
    func polled() throws {
        let bench = try ProcessesBench()
        bench.world.verdict = { call, _ in call == "watch tree" ? .fail(.tooManyOpenFiles) : .succeed }
        let instance = try bench.instance(simple)
        let token = bench.start(instance)
        let main = try #require(bench.world.processes.running("/srv/app").first)
        let child = try main.fork()
        main.exit()
        let wait = bench.token()
        bench.processes.watchTree(wait, of: instance.id)
        bench.run(3)
        #expect(bench.takeEvents() == [.spawned(token), .exited(token, .exited(0))])
        #expect(bench.log.filter { $0.contains("checking them once a second") }.count == 1)
        child.exit()
        bench.run(1.5)
        #expect(bench.takeEvents() == [.treeEmpty(wait)])
    }

    @Test("A crash at any call of a start leaves no process that a successor's tree does not show")
    func crash() throws {
        for number in 1..<60 {
            let world = World()
            world.processes.programs["/srv/app"] = { _ in }
            let bench = try ProcessesBench(world)
            let before = world.calls
            world.verdict = { _, call in call == before + number ? .crash : .succeed }
            let instance = try bench.instance(simple)
            bench.start(instance)
            world.killSupervisor()
            for process in world.processes.running {
                #expect(process.tree == instance.treeName, "call \(number): \(world.recentCalls.suffix(3))")
                #expect(process.parent == 1)
            }
            world.verdict = { _, _ in .succeed }
            let successor = world.boot()
            let left = successor.trees.leftovers(kept: [])
            #expect(left.flatMap(\.members) == world.processes.running.map(\.pid))
        }
    }
}
