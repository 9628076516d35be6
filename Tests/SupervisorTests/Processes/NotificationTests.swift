import Engine
import SystemPackage
import Testing
import Vocabulary

@testable import Linux
@testable import Supervisor

private let notifying = "[Service]\nType=notify\nNotifyAccess=all\nExecStart=/srv/app\n"

@Suite("Notifications and main processes without a process") struct NotificationTests {
    private func notified(_ events: [Event]) -> [(sender: Event.Sender, ready: Bool)] {
        events.compactMap {
            if case .notified(_, let sender, let message) = $0 { (sender, message.ready) } else { nil }
        }
    }

    @Test("READY=1 of the main process names it, of a child another process, of a stranger nobody")
    func senders() throws {
        let bench = try ProcessesBench()
        let instance = try bench.instance(notifying)
        let token = bench.start(instance)
        let main = try #require(bench.world.processes.running("/srv/app").first)
        let child = try main.fork()
        child.leaveSession()
        main.notify("READY=1")
        child.notify("STATUS=child")
        bench.run()
        let heard = notified(bench.takeEvents())
        #expect(heard.map(\.sender) == [.process(token), .other])
        #expect(heard.map(\.ready) == [true, false])
        bench.world.processes.send(
            NotifySocket.Datagram(pid: 4711, uid: 0, gid: 0, messages: [.ready]))
        bench.run()
        #expect(notified(bench.takeEvents()).isEmpty)
        #expect(bench.log.contains { $0.contains("process 4711, which belongs to no service") })
    }

    @Test("READY=1 right before the exit is handled before it")
    func lastWords() throws {
        let bench = try ProcessesBench()
        let instance = try bench.instance(notifying)
        let token = bench.start(instance)
        let main = try #require(bench.world.processes.running("/srv/app").first)
        main.notify("READY=1")
        main.exit()
        bench.run()
        let events = bench.takeEvents()
        let ready = try #require(events.firstIndex { if case .notified = $0 { true } else { false } })
        let exit = try #require(events.firstIndex { if case .exited(token, _) = $0 { true } else { false } })
        #expect(ready < exit)
    }

    @Test("MAINPID= of a child makes it the main process; its end is reported, also after that of the launcher")
    func mainPid() throws {
        let bench = try ProcessesBench()
        let instance = try bench.instance(notifying)
        let token = bench.start(instance)
        let main = try #require(bench.world.processes.running("/srv/app").first)
        let child = try main.fork()
        main.notify("MAINPID=\(child.pid)\nREADY=1")
        bench.run()
        let events = bench.takeEvents()
        let named = try #require(
            events.compactMap { if case .mainProcessChanged(_, let token) = $0 { token } else { nil } }.first)
        #expect(notified(events).map(\.sender) == [.process(named)])
        bench.mains[instance.id] = named
        main.exit()
        child.exit(7)
        bench.run()
        // The child was adopted after its parent's end, so its status is known.
        #expect(bench.takeEvents() == [.exited(token, .exited(0)), .exited(named, .exited(7))])
    }

    @Test("MAINPID= of another service's process, of none, or from a sender without access changes nothing")
    func foreignMainPid() throws {
        let bench = try ProcessesBench()
        let instance = try bench.instance(notifying)
        bench.start(instance)
        let other = try bench.instance("[Service]\nExecStart=/srv/other\n", named: "other.service", number: 2)
        bench.start(other)
        let main = try #require(bench.world.processes.running("/srv/app").first)
        let foreign = try #require(bench.world.processes.running("/srv/other").first)
        for pid in [foreign.pid, 4711] { main.notify("MAINPID=\(pid)") }
        bench.run()
        bench.isPermitted = false
        main.notify("MAINPID=\(try main.fork().pid)")
        bench.run()
        #expect(!bench.takeEvents().contains { if case .mainProcessChanged = $0 { true } else { false } })
        #expect(bench.log.filter { $0.contains("is not a process of this service; ignored") }.count == 2)
    }

    @Test("A forking service's main process is the one of its PID file, also if the file appears later")
    func pidFile() throws {
        let bench = try ProcessesBench()
        let instance = try bench.instance(
            "[Service]\nType=forking\nPIDFile=/run/app.pid\nExecStart=/srv/app\n")
        bench.start(instance)
        let launcher = try #require(bench.world.processes.running("/srv/app").first)
        let daemon = try launcher.fork()
        launcher.exit()
        bench.run()
        _ = bench.takeEvents()
        let search = bench.token()
        bench.mainDesk.seek(search, of: instance.id)
        #expect(
            bench.takeEvents() == [
                .mainSought(search, .later),
                .searchNoted(search, SearchNote(pidFile: "/run/app.pid", finding: "it does not exist")),
            ])
        try bench.world.writeFile("/run/app.pid", "4711\n")
        bench.run()
        #expect(
            bench.takeEvents() == [
                .searchNoted(
                    search, SearchNote(pidFile: "/run/app.pid", finding: "it names 4711, which does not run"))
            ])
        try bench.world.writeFile("/run/app.pid", "\(daemon.pid)\n")
        bench.run()
        guard case .mainSought(search, .found(let main))? = bench.takeEvents().first else {
            return #expect(Bool(false), "no main process")
        }
        daemon.exit(1)
        bench.run()
        #expect(bench.takeEvents() == [.exited(main, .exited(1))])
    }

    @Test("Without a PID file the only process with a parent outside is the main one; of two, none is")
    func guess() throws {
        for count in 1...2 {
            let bench = try ProcessesBench()
            let instance = try bench.instance("[Service]\nType=forking\nExecStart=/srv/app\n")
            bench.start(instance)
            let launcher = try #require(bench.world.processes.running("/srv/app").first)
            for _ in 0..<count { try launcher.fork() }
            launcher.exit()
            bench.run()
            _ = bench.takeEvents()
            let search = bench.token()
            bench.mainDesk.seek(search, of: instance.id)
            let answer = bench.takeEvents().first
            if count == 1 {
                guard case .mainSought(search, .found)? = answer else { return #expect(Bool(false)) }
            } else {
                #expect(answer == .mainSought(search, .absent))
            }
        }
    }
}
