import Testing
import Vocabulary

@testable import Engine

@Suite("What holds between groups while they are up")
struct RelationTests {
    private func plan(
        _ unit: String, after: Set<String> = [], requires: Set<String> = [],
        _ relate: (inout Relations) -> Void = { _ in },
        _ change: (inout ServiceSpec) -> Void = { _ in }
    ) -> Plan {
        var plan = Plans.service(unit, after: after, requires: requires, change)
        relate(&plan.relations)
        return plan
    }

    private func target(_ name: String, after: Set<String> = []) -> Plan {
        var plan = Plan(group: GroupID(name), isSwapUnit: false, services: [], after: Set(after.map { GroupID($0) }))
        plan.settings = SwapSettings(readyTimeout: nil, soak: .zero)
        plan.isTarget = true
        return plan
    }

    private func isUp(_ bench: Bench, _ unit: String) -> Bool { bench.view(unit)?.serving != nil }

    @Test("BindsTo=: when the other ends by itself the group is stopped, and those that require it first")
    func bound() {
        var bench = Bench()
        bench.start(plan("store"))
        bench.start(plan("app", requires: ["store"], { $0.bindsTo = [GroupID("store")] }))
        bench.start(plan("tail", after: ["app"], requires: ["app"]))
        _ = bench.takeLog()
        bench.exit("store", .signalled(9, coreDumped: false))
        #expect(bench.takeLog("app stops") == ["app stops: lost(store)"])
        bench.exit("tail")
        bench.exit("app")
        #expect(!isUp(bench, "app") && !isUp(bench, "tail"))
    }

    @Test(
        "PropagatesStopTo= and StopPropagatedFrom=: an end by itself, a failed start and a request stop the others; PartOf=: only a request"
    )
    func propagatedStop() {
        let main = GroupID("main")
        for end in ["success", "failure", "request", "restart"] {
            var bench = Bench()
            bench.start(
                plan(
                    "main", { $0.stopsOthers = [GroupID("to")] },
                    { $0.restart.policy = end == "restart" ? .always : .no }))
            for unit in ["to", "idle"] { bench.start(plan(unit)) }
            bench.start(plan("from", { $0.endsWith = [main] }))
            bench.start(plan("part", { $0.stopsWith = [main] }))
            bench.start(plan("next", { $0.stopsWith = [GroupID("to")] }))
            _ = bench.takeLog()
            if end == "request" { bench.command(.stop(main)) }
            bench.exit("main", end == "failure" ? .exited(1) : .exited(0))
            if end == "restart" { bench.pass(.seconds(1)) }
            let stopped = ["to", "from", "next", "part", "idle"].filter { bench.view($0)?.operation?.kind == .stop }
            switch end {
            case "restart": #expect(stopped == [], "a restart by Restart= is no end")
            case "request": #expect(stopped == ["to", "from", "next", "part"])
            // A group that is stopped by a relation counts as stopped by a request.
            default: #expect(stopped == ["to", "from", "next"], "\(end)")
            }
        }
    }

    @Test(
        "PropagatesStopTo=: a start that fails is an end, one that does not begin is none, and what is not up stays down"
    )
    func propagatedFailedStart() {
        var bench = Bench()
        bench.start(plan("to"))
        bench.start(plan("main", requires: ["nobody"], { $0.stopsOthers = [GroupID("to"), GroupID("never")] }))
        #expect(bench.view("to")?.operation == nil)
        bench.notExecutable = ["start main"]
        bench.start(plan("main", { $0.stopsOthers = [GroupID("to"), GroupID("never")] }))
        #expect(bench.view("to")?.operation?.kind == .stop)
        #expect(bench.view("never") == nil)
    }

    @Test("BindsTo=: a restart by Restart= is no end")
    func boundToOneThatRestarts() {
        var bench = Bench()
        bench.start(plan("store", { _ in }, { $0.restart.policy = .always }))
        bench.start(plan("app", { $0.bindsTo = [GroupID("store")] }))
        bench.exit("store", .exited(1))
        bench.pass(.seconds(1))
        #expect(isUp(bench, "app") && isUp(bench, "store"))
    }

    @Test(
        "a transaction that restarts a chain stops it from its end and starts it from its beginning, whatever the order of its jobs"
    )
    func restartChain() {
        for order in [["a", "b", "c"], ["c", "b", "a"], ["b", "c", "a"]] {
            var bench = Bench()
            let plans = [
                "a": plan("a"), "b": plan("b", after: ["a"], requires: ["a"]),
                "c": plan("c", after: ["b"], requires: ["b"]),
            ]
            for name in ["a", "b", "c"] { if let plan = plans[name] { bench.start(plan) } }
            _ = bench.takeLog()
            let jobs = order.enumerated().compactMap { index, name in
                plans[name].map {
                    Requested(.swap($0, SwapOptions(kind: .restart)), RequestID(number: UInt64(100 + index)))
                }
            }
            bench.tell(.commands(jobs))
            for name in ["c", "b", "a"] { bench.exit(name, generation: 1) }
            #expect(
                bench.takeLog("gone", "start ") == ["gone c", "gone b", "gone a", "start a", "start b", "start c"],
                "\(order)")
        }
    }

    @Test(
        "a restart of what others need that cannot start again fails them with the reason, and they are not brought back"
    )
    func restartFails() {
        var bench = Bench()
        bench.start(plan("a", { _ in }, { $0.type = .notify }))
        bench.ready("a")
        let b = plan("b", after: ["a"], requires: ["a"])
        bench.start(b)
        bench.notExecutable = ["start a"]
        bench.tell(
            .commands([
                Requested(.swap(plan("a"), SwapOptions(kind: .restart)), RequestID(number: 100)),
                Requested(.swap(b, SwapOptions(kind: .restart)), RequestID(number: 101)),
            ]))
        bench.exit("b")
        bench.exit("a")
        #expect(!isUp(bench, "a") && !isUp(bench, "b"))
        #expect(bench.view("b")?.lastFailure?.step == .dependency)
    }

    @Test("Conflicts=: what is started waits until what is stopped for it is gone")
    func conflict() {
        var bench = Bench()
        bench.start(plan("night"))
        _ = bench.takeLog()
        bench.tell(
            .commands([
                Requested(.start(plan("day", { $0.conflicts = [GroupID("night")] })), RequestID(number: 100)),
                Requested(.stop(GroupID("night")), RequestID(number: 101)),
            ]))
        #expect(!bench.takeLog("start ").contains("start day"))
        bench.exit("night")
        #expect(bench.takeLog("gone", "start day") == ["gone night", "start day"])
    }

    @Test("Upholds=: started again whenever it is down, at most 16 times within 10 s, and again after that")
    func upheld() {
        var bench = Bench()
        bench.start(plan("keeper", { $0.upholds = [.init(group: GroupID("worker"), unit: "worker")] }))
        #expect(bench.takeLog("wants") == ["wants worker: upheld by keeper"])
        bench.notExecutable = ["start worker"]
        var wanted = 0
        for _ in 0..<100 {
            bench.start(plan("worker"))
            let more = bench.takeLog("wants").count
            if more == 0 { break }
            wanted += more
        }
        #expect(wanted == 15)
        bench.pass(.seconds(10))
        #expect(bench.takeLog("wants") == ["wants worker: upheld by keeper"])
        bench.command(.stop(GroupID("keeper")))
        bench.exit("keeper")
        _ = bench.takeLog()
        bench.start(plan("worker"))
        #expect(bench.takeLog("wants") == [])
    }

    @Test("Upholds=: a start that was refused is tried again, after longer and longer pauses, until it is begun")
    func upheldRefused() {
        var bench = Bench()
        bench.start(plan("keeper", { $0.upholds = [.init(group: GroupID("worker"), unit: "worker")] }))
        #expect(bench.takeLog("wants") == ["wants worker: upheld by keeper"])
        // The worker is masked, so it is never started. Other events do not shorten the pause.
        bench.start(plan("other"))
        bench.exit("other")
        #expect(bench.takeLog("wants") == [])
        for pause in [1, 2, 4, 8, 16, 32, 64, 64] {
            bench.pass(.milliseconds(pause * 1000 - 1))
            #expect(bench.takeLog("wants") == [], "\(pause) s")
            bench.pass(.milliseconds(1))
            #expect(bench.takeLog("wants") == ["wants worker: upheld by keeper"], "\(pause) s")
        }
        bench.start(plan("worker"))
        bench.pass(.seconds(1000))
        #expect(bench.takeLog("wants") == [])
        bench.exit("worker")
        #expect(bench.takeLog("wants") == ["wants worker: upheld by keeper"], "at once")
    }

    @Test("StopWhenUnneeded=: stopped when the last group that needs it has gone, not while one is being started")
    func unneeded() {
        var bench = Bench()
        let helper = plan("helper", { $0.stopsWhenUnneeded = true })
        let needing = { (unit: String) in self.plan(unit, { $0.needs = [GroupID("helper")] }) }
        bench.tell(
            .commands([
                Requested(.start(needing("one")), RequestID(number: 100)),
                Requested(.start(helper), RequestID(number: 101)),
            ]))
        bench.start(needing("two"))
        #expect(isUp(bench, "helper"))
        for unit in ["one", "two"] {
            #expect(isUp(bench, "helper"))
            bench.command(.stop(GroupID(unit)))
            bench.exit(unit)
        }
        #expect(bench.takeLog("helper stops") == ["helper stops: unneeded"])
    }

    @Test(
        "OnFailure= and OnSuccess=: at the end for good, also of a stop; not at a restart, and not when a condition skips it"
    )
    func triggers() {
        func bench(_ change: @escaping (inout ServiceSpec) -> Void = { _ in }) -> Bench {
            var bench = Bench()
            bench.start(
                plan("job", { _ in }) { spec in
                    spec.triggers.onFailure = ["alert"]
                    spec.triggers.onSuccess = ["next"]
                    change(&spec)
                })
            return bench
        }
        var failing = bench()
        failing.exit("job", .exited(1))
        #expect(failing.takeLog("wants") == ["wants alert: failure of job"])
        var done = bench()
        done.exit("job")
        #expect(done.takeLog("wants") == ["wants next: success of job"])
        var stopped = bench()
        stopped.command(.stop(GroupID("job")))
        stopped.exit("job")
        #expect(stopped.takeLog("wants") == ["wants next: success of job"])
        var restarting = bench { spec in
            spec.restart.policy = .onFailure
            spec.restart.startLimitBurst = 2
        }
        restarting.exit("job", .exited(1))
        restarting.pass(.seconds(1))
        #expect(restarting.takeLog("wants") == [])
        restarting.exit("job", .exited(1))
        restarting.pass(.seconds(1))
        #expect(restarting.takeLog("wants") == ["wants alert: failure of job"])
        var skipped = Bench()
        skipped.verdicts = ["job": .unmet("ConditionPathExists=/x")]
        skipped.start(
            plan("job", { _ in }) { spec in
                spec.lifecycle.hasConditions = true
                spec.triggers.onSuccess = ["next"]
            })
        #expect(skipped.takeLog("wants") == [])
    }

    @Test("OnFailure=: a release that is rolled back was never there; that its dependency is missing counts")
    func triggersOfSwaps() {
        var bench = Bench.servingSite()
        var bad = Plans.site("v2")
        for index in bad.services.indices { bad.services[index].triggers.onFailure = ["alert"] }
        bench.swap(bad)
        bench.exit("app@v2.service", .exited(1))
        #expect(bench.results.last?.outcome == .rolledBack)
        #expect(bench.takeLog("wants") == [])
        bench.start(plan("late", requires: ["nobody"], { _ in }, { $0.triggers.onFailure = ["alert"] }))
        #expect(bench.takeLog("wants") == ["wants alert: failure of late"])
    }

    @Test("a target is up from its start to its stop, after what it starts after, and takes its parts along")
    func targets() {
        var bench = Bench()
        var stack = target("stack", after: ["web"])
        stack.relations.stopsOthers = [GroupID("web")]
        bench.tell(
            .commands([
                Requested(.start(stack), RequestID(number: 100)),
                Requested(.start(plan("web", { _ in }, { $0.type = .notify })), RequestID(number: 101)),
            ]))
        #expect(!isUp(bench, "stack"))
        bench.ready("web")
        #expect(isUp(bench, "stack") && bench.engine.isTarget(GroupID("stack")))
        bench.start(plan("user", requires: ["stack"]))
        #expect(isUp(bench, "user"))
        bench.command(.stop(GroupID("stack")))
        bench.exit("user")
        bench.exit("web")
        #expect(!isUp(bench, "stack") && !isUp(bench, "user") && !isUp(bench, "web"))
    }

    @Test("a reload of a service that stays after its exit runs ExecReload=, and it stays")
    func reloadOfExited() {
        var bench = Bench()
        bench.start(
            plan("rules", { _ in }) { spec in
                spec.type = .oneshot
                spec.lifecycle.remainsAfterExit = true
                spec.commands.reload = [.no]
            })
        bench.command(.reload(GroupID("rules")))
        #expect(bench.takeLog("reload rules", "reload of") == ["reload rules", "reload of rules completed for 1"])
        #expect(bench.view("rules")?.generations.first?.services.first?.phase == .exited)
    }
}
