import Engine
import Glibc
import Linux
import UnitFiles

/// How much may be kept only in case somebody asks for it, before it is looked what of it can go. Raised with what is in use, so
/// that each look has as much to drop as it costs.
struct Tidiness {
    /// Definitions, most of which are of runs that are over.
    var definitions = 64
    /// Groups, sockets and units that were read.
    var groups = Self.pastInstances
    var sockets = Self.pastInstances
    /// The next look, in a round of the loop in which nothing else is to be done.
    var look: DeferredSource?

    /// Instances of templates (`t@7.service`) that have ended well, or have failed: the newest are shown by `status`, `why` and
    /// their siblings. Names of instances come from traffic (`Accept=yes`) or from programs, which never stop making new ones.
    static let pastInstances = 256
    static let failedInstances = 1024
    /// Units that were read for names without files of their own.
    static let readInstances = 1024
}

/// What traffic leaves behind is dropped without anybody asking for anything: definitions of runs that are over, instances with
/// names that may never come again, and what was read for them.
extension Supervisor {
    /// To be called when something may have been added. Costs three comparisons.
    func tidyLater() {
        guard tidiness.look == nil, isUntidy else { return }
        tidiness.look = try? loop.addDeferred(priority: .idle) { [unowned self] in
            tidiness.look = nil
            tidy()
        }
    }

    private var isUntidy: Bool {
        definitions.count > tidiness.definitions || engine.groupCount > tidiness.groups
            || socketUnits.count > tidiness.sockets
    }

    /// Only between events: while a request is carried out, plans exist of which the engine does not know yet. (When the first of
    /// a target's hundreds of services has started, those of the others are not unused.)
    private func tidy() {
        // What is in the backlog ends with another look.
        guard !hasBacklog else { return }
        dropPastInstances()
        dropPastSockets()
        dropUnusedDefinitions()
        for name in resolver.forgetInstances(over: Tidiness.readInstances) { knownNodes[name] = nil }
        tidiness.definitions = 2 * definitions.count + 64
        tidiness.groups = engine.groupCount + Tidiness.pastInstances
        tidiness.sockets = socketUnits.count + Tidiness.pastInstances
    }

    private func dropUnusedDefinitions() {
        let used = engine.definitionsInUse
        for id in definitions.keys where !used.contains(id) {
            definitions[id] = nil
            outdated[id] = nil
            journal.end(.definition(id))
        }
        forgetUnits()
    }

    private func dropPastInstances() {
        let stores = Set(keptStores.keys.map(\.group))
        let past = engine.inactiveGroups.filter { isPassing($0.id.name) && !stores.contains($0.id) }
        let failed = past.filter(\.hasFailed).dropLast(Tidiness.failedInstances)
        let ended = past.filter { !$0.hasFailed }.dropLast(Tidiness.pastInstances)
        for group in Array(failed) + Array(ended) { forget(group.id) }
    }

    /// Everything that is known of a group whose name may never come again.
    func forget(_ group: GroupID) {
        guard engine.discard(group) else { return }
        (evidence[group], triggers[group], causes[group], toldStates[group]) = (nil, nil, nil, nil)
        journal.end(.group(group))
    }

    /// An instance of a template that is not swapped as one, or a unit without a file: it is not there because a file says so.
    private func isPassing(_ unit: String) -> Bool {
        guard let name = try? UnitName(unit) else { return true }
        return name.instance != nil || !resolver.loader.exists(name)
    }

    private func dropPastSockets() {
        for id in activation.pastSockets.filter({ isPassing($0.name) }).dropLast(Tidiness.pastInstances) {
            guard heldSockets(id).isEmpty, activation.discard(id) else { continue }
            socketUnits[id] = nil
        }
    }
}
