/// The jobs of a transaction that is being built, with the jobs that asked for them.
struct TransactionBuilder {
    /// A job by its unit and type; a unit may have several until they are merged.
    struct Key: Hashable {
        let unit: String
        let type: JobType
    }
    /// The reason for a job: another job asked for it.
    struct Link {
        let subject: Key
        let object: Key
        /// The subject fails without the object.
        let matters: Bool
        /// The subject conflicts with the object's unit.
        let isConflict: Bool
    }

    let graph: UnitGraph
    private(set) var jobs: Set<Key> = []
    /// Jobs in the order in which they were found; the order decides where no rule does.
    private(set) var order: [Key] = []
    private var from: [Key: [Link]] = [:]
    private var to: [Key: [Link]] = [:]
    private(set) var anchor: Key?
    private(set) var notes: [String] = []

    init(graph: UnitGraph) { self.graph = graph }

    // MARK: - Adding

    /// Adds a job with all jobs it brings. A work list instead of recursion, because a chain in the unit files may have
    /// any length.
    mutating func add(
        _ type: JobType, _ unit: String, followsDependencies: Bool, activity: (String) -> UnitActivity
    ) {
        let first = Key(unit: unit, type: type)
        anchor = first
        insert(first)
        guard followsDependencies else { return }
        var queue = [first]
        var next = 0
        while next < queue.count {
            let job = queue[next]
            next += 1
            guard [.real, .request].contains(graph.node(job.unit).kind) else { continue }
            for (object, matters, isConflict) in consequences(of: job, activity: activity) {
                let link = Link(subject: job, object: object, matters: matters, isConflict: isConflict)
                from[job, default: []].append(link)
                to[object, default: []].append(link)
                if insert(object) { queue.append(object) }
            }
        }
    }

    @discardableResult
    private mutating func insert(_ key: Key) -> Bool {
        guard jobs.insert(key).inserted else { return false }
        order.append(key)
        return true
    }

    /// The jobs that a job brings directly, by systemd's table of dependencies.
    private func consequences(
        of job: Key, activity: (String) -> UnitActivity
    ) -> [(Key, matters: Bool, isConflict: Bool)] {
        var found: [(Key, matters: Bool, isConflict: Bool)] = []
        func bring(_ type: JobType, _ units: [String], matters: Bool, isConflict: Bool = false) {
            found += units.filter { $0 != job.unit }.map { (Key(unit: $0, type: type), matters, isConflict) }
        }
        func named(_ relation: UnitRelation) -> [String] { graph.named(by: job.unit, relation) }
        func naming(_ relation: UnitRelation) -> [String] { graph.naming(job.unit, relation) }
        switch job.type {
        case .start, .restart, .reloadOrStart:
            bring(.start, named(.requires) + named(.bindsTo), matters: true)
            bring(.start, named(.wants) + named(.upholds), matters: false)
            bring(.verifyActive, named(.requisite), matters: true)
            bring(.stop, named(.conflicts), matters: true, isConflict: true)
            // A unit that names ours in its `Conflicts=` is stopped, if it can be.
            bring(.stop, naming(.conflicts), matters: false, isConflict: true)
        case .stop, .reload, .verifyActive: break
        }
        let dependents = naming(.requires) + naming(.bindsTo) + naming(.partOf)
        switch job.type {
        case .stop:
            bring(.stop, dependents + naming(.requisite), matters: true)
            bring(.stop, named(.propagatesStopTo) + naming(.stopPropagatedFrom), matters: true)
        case .restart:
            // Only units that run are restarted along.
            let running = dependents.filter { activity($0).isUp && graph.node($0).kind == .real }
            bring(.restart, running, matters: true)
        case .reload:
            let others = named(.propagatesReloadTo) + naming(.reloadPropagatedFrom)
            bring(.reload, others.filter { activity($0).isUp && graph.node($0).kind == .real }, matters: false)
        case .start, .reloadOrStart, .verifyActive: break
        }
        return found
    }

    // MARK: - Removing

    /// Removes jobs and the jobs that fail without them, then all jobs that no remaining job asks for.
    mutating func remove(_ keys: [Key]) {
        var queue = keys
        while let key = queue.popLast() {
            guard jobs.remove(key) != nil else { continue }
            queue += (to[key] ?? []).filter(\.matters).map(\.subject)
        }
        collectGarbage()
    }

    private mutating func collectGarbage() {
        var reached: Set<Key> = []
        var queue = anchor.map { [$0] } ?? []
        while let key = queue.popLast() {
            guard jobs.contains(key), reached.insert(key).inserted else { continue }
            queue += (from[key] ?? []).map(\.object)
        }
        jobs = reached
        order.removeAll { !jobs.contains($0) }
    }

    /// The jobs without which the request itself would fail.
    var essential: Set<Key> {
        var reached: Set<Key> = []
        var queue = anchor.map { [$0] } ?? []
        while let key = queue.popLast() {
            guard jobs.contains(key), reached.insert(key).inserted else { continue }
            queue += (from[key] ?? []).filter(\.matters).map(\.object)
        }
        return reached
    }

    // MARK: - Checks

    /// Refuses jobs that cannot be done at all if the request needs them; otherwise drops them, with the jobs that need
    /// them.
    mutating func checkRequirements(activity: (String) -> UnitActivity) throws(TransactionError) {
        let starting = Set(jobs.filter { $0.type != .stop && $0.type != .verifyActive }.map(\.unit))
        for key in order where jobs.contains(key) {
            guard let problem = problem(key, starting, activity) else { continue }
            if essential.contains(key) { throw problem }
            notes.append("\(key.unit) skipped: \(problem.sentence)")
            remove([key])
        }
    }

    private func problem(
        _ key: Key, _ starting: Set<String>, _ activity: (String) -> UnitActivity
    ) -> TransactionError? {
        let subjects = (to[key] ?? []).filter { jobs.contains($0.subject) }.map(\.subject.unit)
        let subject = subjects.first { graph.node($0).kind != .request }
        switch (graph.node(key.unit).kind, key.type) {
        case (.missing, .stop), (.unusable, .stop), (.neverReached, .stop): return nil
        case (.missing, _): return .missing(unit: key.unit, neededBy: subject)
        case (.unusable(let reason), _): return .unusable(unit: key.unit, reason: reason, neededBy: subject)
        case (.neverReached, _): return .notActive(unit: key.unit, neededBy: subject ?? key.unit)
        case (.assumed, .stop): return .notOurs(unit: key.unit)
        case (.assumed, _): return nil
        case (.real, .verifyActive):
            if activity(key.unit).isUp || starting.contains(key.unit) { return nil }
            return .notActive(unit: key.unit, neededBy: subject ?? key.unit)
        case (.real, _), (.request, _): return nil
        }
    }

    /// Drops jobs whose result holds already, unless another job of the same unit contradicts them.
    mutating func dropRedundant(activity: (String) -> UnitActivity) {
        for key in order where key != anchor && jobs.contains(key) {
            guard key.type.collapsed(activity(key.unit)) == nil else { continue }
            let others = jobs.filter { $0.unit == key.unit && $0 != key }
            guard others.allSatisfy({ $0.type.merged(with: key.type) != nil }) else { continue }
            // The result holds already, so no other job fails without this one.
            jobs.remove(key)
        }
        collectGarbage()
    }

    // MARK: - Cycles

    /// Finds ordering cycles among the remaining jobs, and breaks each by dropping a unit that the request can do
    /// without.
    mutating func breakCycles() throws(TransactionError) {
        while let cycle = firstCycle() {
            let needed = Set(essential.map(\.unit))
            let path = cycle + cycle.prefix(1)
            guard let spare = cycle.last(where: { !needed.contains($0) }) else { throw .orderingCycle(path) }
            notes.append("ordering cycle: \(path.joined(separator: " after ")): \(spare) skipped")
            remove(jobs.filter { $0.unit == spare })
        }
    }

    private enum Mark { case open, done }

    private func firstCycle() -> [String]? {
        let units = Set(jobs.map(\.unit))
        var marks: [String: Mark] = [:]
        for root in order.map(\.unit) where marks[root] == nil {
            var path: [(unit: String, before: [String], next: Int)] = []
            func open(_ unit: String) {
                marks[unit] = .open
                path.append((unit, graph.predecessors(of: unit).filter { units.contains($0) && $0 != unit }, 0))
            }
            open(root)
            while let (unit, before, next) = path.last {
                guard next < before.count else {
                    marks[unit] = .done
                    path.removeLast()
                    continue
                }
                path[path.count - 1].next += 1
                switch marks[before[next]] {
                case nil: open(before[next])
                case .open: return path.drop { $0.unit != before[next] }.map(\.unit)
                case .done: break
                }
            }
        }
        return nil
    }

    // MARK: - Merging

    /// Merges the jobs of each unit into one. Of two that contradict each other, the one that is not essential is
    /// dropped; if neither is essential, the stop is, unless a unit that is being started conflicts with this one.
    mutating func merge(activity: (String) -> UnitActivity) throws(TransactionError) {
        while let (one, other) = contradiction() {
            let needed = essential
            let loser: Key
            switch (needed.contains(one), needed.contains(other)) {
            case (true, true): throw .contradiction(unit: one.unit)
            case (true, false): loser = other
            case (false, true): loser = one
            case (false, false):
                let stop = one.type == .stop ? one : other
                let start = one.type == .stop ? other : one
                loser = (to[stop] ?? []).contains { $0.isConflict && jobs.contains($0.subject) } ? start : stop
            }
            notes.append("\(loser.unit) is both started and stopped by dependencies: \(loser.type) skipped")
            remove([loser])
        }
    }

    private func contradiction() -> (Key, Key)? {
        var seen: [String: Key] = [:]
        for key in order where jobs.contains(key) {
            guard let other = seen[key.unit] else {
                seen[key.unit] = key
                continue
            }
            if other.type.merged(with: key.type) == nil { return (other, key) }
        }
        return nil
    }

    // MARK: - The result

    /// One job for each unit, stops first, each start after the starts that it is ordered after.
    func ordered(activity: (String) -> UnitActivity) -> [Transaction.Job] {
        var types: [String: JobType] = [:]
        var units: [String] = []
        for key in order {
            if types[key.unit] == nil { units.append(key.unit) }
            types[key.unit] = types[key.unit].map { $0.merged(with: key.type) ?? $0 } ?? key.type
        }
        var seen: Set<String> = []
        var sorted: [String] = []
        // Depth first, the deepest predecessor first; there are no cycles any more.
        for root in units where seen.insert(root).inserted {
            var path: [(unit: String, before: [String])] = [(root, graph.predecessors(of: root))]
            while var top = path.popLast() {
                guard let before = top.before.popLast() else {
                    sorted.append(top.unit)
                    continue
                }
                path.append(top)
                if types[before] != nil, seen.insert(before).inserted {
                    path.append((before, graph.predecessors(of: before)))
                }
            }
        }
        let jobs = sorted.compactMap { unit -> Transaction.Job? in
            guard let type = types[unit], graph.node(unit).kind == .real else { return nil }
            // The requested job itself is kept even if its result holds already: the unit answers the request.
            let collapsed =
                unit == anchor?.unit ? type.collapsed(activity(unit)) ?? type : type.collapsed(activity(unit))
            guard let collapsed, collapsed != .verifyActive else { return nil }
            return Transaction.Job(unit, collapsed)
        }
        return jobs.filter { $0.type == .stop }.reversed() + jobs.filter { $0.type != .stop }
    }
}

extension TransactionError {
    /// The error as a message for users.
    public var sentence: String {
        switch self {
        case .missing(let unit, nil): "\(unit) has no unit file"
        case .missing(let unit, let by?): "cannot start \(by): \(unit) has no unit file"
        case .unusable(let unit, let reason, nil): "\(unit): \(reason)"
        case .unusable(let unit, let reason, let by?): "cannot start \(by): \(unit): \(reason)"
        case .notActive(let unit, let by): "cannot start \(by): \(unit) is not active (Requisite=)"
        case .orderingCycle(let path): "ordering cycle: \(path.joined(separator: " after "))"
        case .contradiction(let unit):
            "\(unit) would have to be both started and stopped: its dependencies contradict each other"
        case .refused(let unit, .stop): "cannot stop \(unit): RefuseManualStop=yes"
        case .refused(let unit, _): "cannot start \(unit): RefuseManualStart=yes"
        case .notOurs(let unit): "cannot stop \(unit): it is a unit of the host, not of Holdfast"
        }
    }
}
