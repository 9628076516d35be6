import Engine
import Glibc
import Linux
import UnitFiles

/// Thresholds for records that are kept only for later requests; above them the next check drops some. Raised with the
/// number in use, so that each check has as much to drop as it costs.
struct Tidiness {
    /// Definitions, most of which belong to runs that have ended.
    var definitions = 64
    /// Groups, sockets and units that were read.
    var groups = Self.pastInstances
    var sockets = Self.pastInstances
    /// The next check, in a round of the loop without other events.
    var look: (any LoopSource)?

    /// Kept instances of templates (`t@7.service`) that have ended well, or have failed: `status`, `why` and similar
    /// commands show the newest. Names of instances come from traffic (`Accept=yes`) or from programs, which never stop
    /// making new ones.
    static let pastInstances = 256
    static let failedInstances = 1024
    /// Kept units that were read for names without files of their own.
    static let readInstances = 1024
}

/// Drops records that traffic leaves behind, without a request: definitions of ended runs, instances whose names may
/// never be used again, and the units read for them.
extension Supervisor {
    /// Schedules a check if records were added. Costs three comparisons.
    func tidyLater() {
        guard tidiness.look == nil, isUntidy else { return }
        tidiness.look = try? loop.callLater(priority: .idle) { [unowned self] in
            tidiness.look = nil
            tidy()
        }
    }

    private var isUntidy: Bool {
        planning.definitions.count > tidiness.definitions || engine.groupCount > tidiness.groups
            || socketUnits.started.count > tidiness.sockets
    }

    /// Runs only between events: while a request is handled, plans exist that the engine does not have yet. (When the
    /// first of a target's hundreds of services has started, the definitions of the others are not unused.)
    private func tidy() {
        // The backlog ends with another check.
        guard !hasBacklog else { return }
        dropPastInstances()
        dropPastSockets()
        planning.dropUnusedDefinitions()
        journal.forgetUnits()
        planning.forgetInstances(over: Tidiness.readInstances)
        tidiness.definitions = 2 * planning.definitions.count + 64
        tidiness.groups = engine.groupCount + Tidiness.pastInstances
        tidiness.sockets = socketUnits.started.count + Tidiness.pastInstances
    }

    private func dropPastInstances() {
        let stores = descriptorStores.groups
        let past = engine.inactiveGroups.filter { isPassing($0.id.name) && !stores.contains($0.id) }
        let failed = past.filter(\.hasFailed).dropLast(Tidiness.failedInstances)
        let ended = past.filter { !$0.hasFailed }.dropLast(Tidiness.pastInstances)
        for group in Array(failed) + Array(ended) { forget(group.id) }
    }

    /// Drops all records of a group whose name may never be used again.
    func forget(_ group: GroupID) {
        guard engine.discard(group) else { return }
        reports.forget(group)
        journal.end(.group(group))
    }

    /// Whether no unit file makes the unit permanent: it is an instance of a template that is not a swap unit, or has
    /// no file.
    private func isPassing(_ unit: String) -> Bool {
        guard let name = try? UnitName(unit) else { return true }
        return name.instance != nil || !planning.resolver.loader.exists(name)
    }

    private func dropPastSockets() {
        let past = socketUnits.activation.pastSockets.filter { isPassing($0.name) }
        for id in past.dropLast(Tidiness.pastInstances) { socketUnits.discard(id) }
    }
}
