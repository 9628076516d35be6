import Testing

@testable import Engine

@Suite("Transactions: what a request comes to, checked whole")
struct TransactionTests {
    /// A graph of units given as `a: requires b, after b`; units that only occur on the right exist too.
    private func graph(_ units: [String: [UnitRelation: [String]]], _ more: [UnitNode] = []) -> UnitGraph {
        var graph = UnitGraph(more)
        for (name, relations) in units.sorted(by: { $0.key < $1.key }) { graph.add(UnitNode(name, .real, relations)) }
        for other in Set(units.values.flatMap(\.values).joined()).sorted() { graph.add(UnitNode(other)) }
        return graph
    }

    private func jobs(
        _ type: JobType, _ unit: String, _ graph: UnitGraph, active: Set<String> = []
    ) throws(TransactionError) -> [String] {
        let transaction = try Transaction(type, unit, in: graph) { active.contains($0) ? .active : .inactive }
        return transaction.jobs.map { "\($0.type) \($0.unit)" }
    }

    // MARK: - Merging

    /// The table of systemd's job.c.
    @Test(
        "jobs of one unit merge as systemd merges them",
        arguments: [
            (JobType.start, JobType.verifyActive, JobType.start), (.start, .stop, nil),
            (.start, .reload, .reloadOrStart),
            (.start, .restart, .restart), (.verifyActive, .stop, nil), (.verifyActive, .reload, .reload),
            (.verifyActive, .restart, .restart), (.stop, .reload, nil), (.stop, .restart, nil),
            (.reload, .restart, .restart),
        ] as [(JobType, JobType, JobType?)])
    func mergeTable(_ one: JobType, _ other: JobType, _ merged: JobType?) {
        #expect(one.merged(with: other) == merged)
    }

    @Test("merging is commutative, associative and idempotent: the order in which jobs meet does not matter")
    func algebra() {
        let all = JobType.allCases
        for a in all {
            #expect(a.merged(with: a) == a)
            for b in all {
                #expect(a.merged(with: b) == b.merged(with: a), "\(a) \(b)")
                for c in all {
                    let left = a.merged(with: b).flatMap { $0.merged(with: c) }
                    let right = b.merged(with: c).flatMap { $0.merged(with: a) }
                    #expect(left == right, "\(a) \(b) \(c)")
                }
            }
        }
    }

    @Test("a job comes to nothing where it is so already", arguments: JobType.allCases, UnitActivity.allCases)
    func collapse(_ type: JobType, _ activity: UnitActivity) {
        let isUp = activity == .active || activity == .activating
        let expected: JobType? =
            switch type {
            case .start: isUp ? nil : .start
            case .verifyActive: isUp ? nil : .verifyActive
            case .stop: activity == .inactive ? nil : .stop
            case .reload: .reload
            case .restart: activity == .inactive ? .start : .restart
            case .reloadOrStart: isUp ? .reload : .start
            }
        #expect(type.collapsed(activity) == expected)
    }

    // MARK: - Starts

    @Test("a start brings what it requires, binds to, wants and upholds, each behind what it starts after")
    func start() throws {
        let graph = graph([
            "a": [.requires: ["b"], .wants: ["c"], .bindsTo: ["d"], .upholds: ["e"], .after: ["b", "c"]],
            "b": [.after: ["c"]], "d": [.before: ["b"]],
        ])
        let found = try jobs(.start, "a", graph)
        #expect(Set(found) == ["start a", "start b", "start c", "start d", "start e"])
        func place(_ unit: String) -> Int { found.firstIndex(of: "start \(unit)") ?? -1 }
        #expect(place("c") < place("b") && place("d") < place("b") && place("b") < place("a"))
        #expect(try jobs(.start, "a", graph, active: ["b", "c", "e"]).count == 2)
    }

    @Test("what is required and missing refuses the whole; what is wanted is left out, with those that need it")
    func missing() throws {
        let missing = UnitNode("gone", .missing)
        let required = graph(["a": [.requires: ["b"]], "b": [.requires: ["gone"]]], [missing])
        #expect(throws: TransactionError.missing(unit: "gone", neededBy: "b")) { _ = try jobs(.start, "a", required) }
        let wanted = graph(["a": [.wants: ["b", "c"]], "b": [.requires: ["gone", "d"]]], [missing])
        #expect(Set(try jobs(.start, "a", wanted)) == ["start a", "start c"])
        let broken = graph(["a": [.requires: ["x"]]], [UnitNode("x", .unusable("it is masked"))])
        #expect(throws: TransactionError.unusable(unit: "x", reason: "it is masked", neededBy: "a")) {
            _ = try jobs(.start, "a", broken)
        }
    }

    @Test("the host's own units are active and need nothing; one that stands for its end is never active")
    func assumed() throws {
        let special = [UnitNode("network.target", .assumed), UnitNode("shutdown.target", .neverReached)]
        let graph = graph(
            ["a": [.requires: ["network.target"], .conflicts: ["shutdown.target"], .before: ["shutdown.target"]]],
            special)
        #expect(try jobs(.start, "a", graph) == ["start a"])
    }

    @Test("Requisite= needs a unit that is active or being started, and never starts it itself")
    func requisite() throws {
        let graph = graph(["a": [.requisite: ["b"]], "c": [.requisite: ["b"], .requires: ["b"]]])
        #expect(throws: TransactionError.notActive(unit: "b", neededBy: "a")) { _ = try jobs(.start, "a", graph) }
        #expect(try jobs(.start, "a", graph, active: ["b"]) == ["start a"])
        #expect(Set(try jobs(.start, "c", graph)) == ["start b", "start c"])
    }

    @Test("Conflicts= works both ways: who is started stops the other")
    func conflicts() throws {
        let graph = graph(["a": [.conflicts: ["b"]], "c": [.requires: ["b"]]])
        #expect(try jobs(.start, "a", graph, active: ["b", "c"]) == ["stop c", "stop b", "start a"])
        #expect(try jobs(.start, "b", graph, active: ["a"]) == ["stop a", "start b"])
        #expect(try jobs(.start, "a", graph) == ["start a"])
    }

    @Test("what would have to be both started and stopped refuses the request, or gives way where it is only wanted")
    func contradiction() throws {
        let both = graph(["a": [.requires: ["b"], .conflicts: ["b"]]])
        #expect(throws: TransactionError.contradiction(unit: "b")) { _ = try jobs(.start, "a", both, active: ["b"]) }
        // b is wanted, and the required c conflicts with it: b gives way.
        let one = graph(["a": [.wants: ["b"], .requires: ["c"]], "c": [.conflicts: ["b"]]])
        #expect(Set(try jobs(.start, "a", one)) == ["start a", "start c"])
    }

    // MARK: - Order

    @Test("an ordering cycle that the request can do without is broken; one that it cannot is told whole")
    func cycles() throws {
        let breakable = graph(["a": [.wants: ["b"], .after: ["b"]], "b": [.after: ["a"]]])
        let transaction = try Transaction(.start, "a", in: breakable) { _ in .inactive }
        #expect(transaction.jobs == [.init("a", .start)] && transaction.notes.count == 1)
        let whole = graph([
            "a": [.requires: ["b"], .after: ["b"]], "b": [.requires: ["c"], .after: ["c"]], "c": [.after: ["a"]],
        ])
        #expect(throws: TransactionError.orderingCycle(["a", "b", "c", "a"])) { _ = try jobs(.start, "a", whole) }
        #expect(
            TransactionError.orderingCycle(["a", "b", "c", "a"]).sentence
                == "ordering cycle: a after b after c after a")
    }

    @Test("a chain of 5,000 units needs no stack")
    func chain() throws {
        var units: [String: [UnitRelation: [String]]] = [:]
        for index in 0..<5000 { units["u\(index)"] = [.requires: ["u\(index + 1)"], .after: ["u\(index + 1)"]] }
        let found = try jobs(.start, "u0", graph(units))
        #expect(found.first == "start u5000" && found.last == "start u0" && found.count == 5001)
    }

    // MARK: - Stops, restarts, reloads

    @Test(
        "a stop takes along who requires, binds to or is part of the unit, and where stops are propagated to; not what it wants"
    )
    func stop() throws {
        let graph = graph([
            "x": [.requires: ["a"], .after: ["a"]], "y": [.bindsTo: ["a"]], "z": [.partOf: ["a"]], "w": [.wants: ["a"]],
            "a": [.requires: ["base"], .propagatesStopTo: ["p"]], "q": [.stopPropagatedFrom: ["a"]],
            "v": [.requisite: ["a"]],
        ])
        let active: Set<String> = ["a", "x", "y", "z", "w", "p", "q", "v", "base"]
        let found = try jobs(.stop, "a", graph, active: active)
        #expect(Set(found) == ["stop a", "stop x", "stop y", "stop z", "stop p", "stop q", "stop v"])
        #expect(found.firstIndex(of: "stop x") ?? 9 < found.firstIndex(of: "stop a") ?? 0)
        #expect(try jobs(.stop, "a", graph, active: ["a", "z"]).count == 2)
    }

    @Test("a restart restarts who depends on the unit and runs, and starts nobody else")
    func restart() throws {
        let graph = graph(["x": [.requires: ["a"]], "y": [.partOf: ["a"]], "a": [:]])
        #expect(Set(try jobs(.restart, "a", graph, active: ["a", "y"])) == ["restart a", "restart y"])
        #expect(try jobs(.restart, "a", graph) == ["start a"])
    }

    @Test("a reload is propagated to those that run")
    func reload() throws {
        let graph = graph(["a": [.propagatesReloadTo: ["b", "c"]], "d": [.reloadPropagatedFrom: ["a"]]])
        #expect(Set(try jobs(.reload, "a", graph, active: ["a", "b", "d"])) == ["reload a", "reload b", "reload d"])
    }

    @Test("RefuseManualStart= and RefuseManualStop= refuse people, not dependencies")
    func refusals() throws {
        var node = UnitNode("b")
        node.refusesManualStart = true
        node.refusesManualStop = true
        let graph = graph(["a": [.requires: ["b"]]], [node])
        #expect(throws: TransactionError.refused(unit: "b", .start)) { _ = try jobs(.start, "b", graph) }
        #expect(throws: TransactionError.refused(unit: "b", .stop)) { _ = try jobs(.stop, "b", graph, active: ["b"]) }
        #expect(Set(try jobs(.start, "a", graph)) == ["start a", "start b"])
    }

    // MARK: - All graphs

    @Test(
        "in random graphs: no unit twice, order kept, all that is required active or started, and the same result again"
    )
    func randomGraphs() {
        var random = SplitMix64(seed: 11)
        var accepted = 0
        for _ in 0..<3000 {
            let names = (0..<(2 + random.below(8))).map { "u\($0)" }
            var units: [String: [UnitRelation: [String]]] = [:]
            for name in names {
                var relations: [UnitRelation: [String]] = [:]
                for relation in UnitRelation.allCases where random.chance(22) {
                    relations[relation] = [random.pick(names)].filter { $0 != name }
                }
                units[name] = relations
            }
            let graph = graph(units)
            let active = Set(names.filter { _ in random.chance(40) })
            let type = random.pick([JobType.start, .start, .stop, .restart, .reload])
            let unit = random.pick(names)
            func make() throws(TransactionError) -> Transaction {
                try Transaction(type, unit, in: graph) { active.contains($0) ? .active : .inactive }
            }
            guard let transaction = try? make() else { continue }
            accepted += 1
            #expect((try? make()) == transaction)
            check(transaction, graph, active)
        }
        #expect(accepted > 1500)
    }

    private func check(_ transaction: Transaction, _ graph: UnitGraph, _ active: Set<String>) {
        let units = transaction.jobs.map(\.unit)
        #expect(Set(units).count == units.count)
        let types = Dictionary(uniqueKeysWithValues: transaction.jobs.map { ($0.unit, $0.type) })
        let starts = transaction.jobs.filter { $0.type != .stop }.map(\.unit)
        for (index, unit) in starts.enumerated() {
            let later = Set(starts[(index + 1)...])
            #expect(graph.predecessors(of: unit).allSatisfy { !later.contains($0) || $0 == unit })
        }
        for job in transaction.jobs where job.type == .start || job.type == .restart {
            for required in graph.named(by: job.unit, .requires) + graph.named(by: job.unit, .bindsTo) {
                let willBeUp = types[required].map { $0 != .stop } ?? active.contains(required)
                #expect(willBeUp, "\(job.unit) requires \(required)")
            }
            for other in graph.named(by: job.unit, .conflicts) where active.contains(other) && other != job.unit {
                #expect(types[other] == .stop, "\(job.unit) conflicts with \(other)")
            }
        }
        for job in transaction.jobs where job.type == .stop {
            for dependent in graph.naming(job.unit, .requires) where active.contains(dependent) {
                #expect(types[dependent] == .stop, "\(dependent) requires \(job.unit), which is stopped")
            }
        }
    }
}
