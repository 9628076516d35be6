@testable import Engine
@testable import Supervisor

/// Properties that hold in every order of events.
extension OrderWorld {
    private mutating func fail(_ text: String) { violation = violation ?? text }

    /// Checks after every event.
    mutating func check() {
        for token in watch?.waits ?? [] where engine.owners[token] == nil {
            fail("a tree watch outlives its token (I6)")
        }
        for token in searches where engine.owners[token] == nil {
            fail("a search for the main process outlives its token (I6)")
        }
    }

    /// Checks that, when no event is left, the engine waits only for existing processes, or for a time.
    mutating func checkWaits() {
        guard isQuiet, let id = instance, let instance = engine.instances[id] else { return }
        for token in [instance.mainProcess, instance.controlProcess].compactMap(\.self) where alive[token] == nil {
            fail("waits for a process that is gone: \(instance.state)")
        }
        for token in [instance.treeWatch, instance.wholeTreeWatch].compactMap(\.self) {
            guard let watch, watch.waits.contains(token) else {
                fail("waits for a tree that nobody watches: \(instance.state)")
                continue
            }
            if alive.isEmpty, strays == 0 { fail("waits for a tree that is empty: \(instance.state)") }
        }
        if instance.isUp, ServicePhase(instance.state) != .exited, alive.isEmpty, strays == 0 {
            fail("shown as running, and nothing of it is left: \(instance.state)")
        }
        if let search = instance.search, !searches.contains(search) { fail("waits for a search that nobody makes") }
    }

    /// Ends the run: delivers all notices, obeys signals, stops the service. Afterwards nothing may be left.
    mutating func finish() {
        isStubborn = false
        settle()
        checkWaits()
        act(.command(.stop))
        for _ in 0..<8 where violation == nil {
            settle()
            checkWaits()
            if instance == nil { break }
            act(.time)
        }
        guard violation == nil else { return }
        if let id = instance, let left = engine.instances[id] { return fail("never ends: \(left.state)") }
        if !engine.owners.isEmpty { fail("tokens are left") }
        if !searches.isEmpty { fail("a search is left") }
        if engine.nextDeadline != nil { fail("a deadline is left") }
    }

    /// Delivers all notices in their order.
    mutating func settle() {
        var steps = 0
        while let choice = choices.first(where: { if case .act = $0 { false } else { true } }), violation == nil {
            steps += 1
            if steps > 1000 { return fail("no end after 1000 steps") }
            take(choice)
        }
    }
}

extension OrderWorld {
    /// All state that the future depends on; of the engine's state the parts that differ in these small worlds.
    struct Digest: Hashable {
        let engine: String
        let tree: [Token]
        let watch: [Token]
        let isArmed: Bool
        let alive: [Token: Bool]
        let strays: Int
        let outside: String
    }

    var digest: Digest {
        let service = instance.flatMap { engine.instances[$0] }
        let operation = engine.groups[plan.group]?.operation
        let parts: [Any?] = [
            service?.state, service?.mandate, service?.search, service?.wholeTreeWatch, service?.mainEnd,
            service?.exitedBefore, service?.hasAnnouncedReload, service?.isAborting, service?.deadline,
            service?.failure?.step,
            service?.restarts, operation?.kind, operation?.phase,
        ]
        return Digest(
            engine: "\(parts)", tree: (watch?.processes ?? []).sorted { $0.number < $1.number },
            watch: watch?.waits ?? [],
            isArmed: watch?.isArmed ?? false, alive: alive, strays: strays,
            outside: "\(notices) \(actions) \(searches.count) \(pidFile) \(isStubborn) \(violation ?? "")")
    }
}

/// Explores all orders. Of two that lead to the same state only one is continued.
struct OrderExplorer {
    /// The number of different states reached.
    var states = 0
    /// Violations, each with the shortest sequence of events that leads to it.
    var failures: [String: [String]] = [:]
    private var seen: Set<OrderWorld.Digest> = []

    mutating func explore(_ world: OrderWorld) {
        guard seen.insert(world.digest).inserted else { return }
        states += 1
        if let violation = world.violation {
            note(violation, world.trace)
            return
        }
        let choices = world.choices
        if world.isQuiet {
            var here = world
            here.checkWaits()
            if let violation = here.violation { note(violation, here.trace) }
        }
        guard !choices.isEmpty else {
            var end = world
            end.finish()
            if let violation = end.violation { note(violation, end.trace) }
            return
        }
        for choice in choices {
            var next = world
            next.take(choice)
            explore(next)
        }
    }

    private mutating func note(_ violation: String, _ trace: [String]) {
        if let known = failures[violation], known.count <= trace.count { return }
        failures[violation] = trace
    }
}
