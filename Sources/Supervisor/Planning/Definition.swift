import Engine
import UnitFiles

/// A service as it was written when a generation was planned. Immutable: a file that changes later makes another
/// definition, and the running generation keeps this one.
final class Definition {
    let id: UInt64
    let unit: ServiceUnit
    let group: GroupID
    /// Sockets that are passed as descriptors 3, 4, …, in this order.
    let sockets: [SocketUnit]
    /// `X-Upstreams=`
    let upstreams: [SocketUnit]
    /// The socket that `ReadyProbe=` names.
    let probed: SocketUnit?
    /// The target whose member the service is.
    let target: TargetUnit?
    /// Network of the service, as its swap unit sets it.
    let network: GenerationNetwork
    /// Saved record of a unit whose text this version cannot parse, kept to be saved again. Its running processes are
    /// watched and can be stopped; none of its commands is executed.
    let unread: SavedDefinition?

    init(
        id: UInt64, unit: ServiceUnit, group: GroupID, sockets: [SocketUnit], upstreams: [SocketUnit],
        probed: SocketUnit?, target: TargetUnit?, network: GenerationNetwork, unread: SavedDefinition? = nil
    ) {
        self.id = id
        self.unit = unit
        self.group = group
        self.sockets = sockets
        self.upstreams = upstreams
        self.probed = probed
        self.target = target
        self.network = network
        self.unread = unread
    }

    /// All units that the definition is made of.
    var units: [any UnitDefinition] { [unit] + needed + (target.map { [$0] } ?? []) }

    /// All sockets that must be open before the service starts.
    var needed: [SocketUnit] { sockets + upstreams + (probed.map { [$0] } ?? []) }
}

extension ServiceSpec {
    /// Makes the engine's part of a definition.
    init(_ definition: Definition, in whole: SwapUnitDefinition) {
        let unit = definition.unit
        self.init(unit: unit.name.description, member: unit.name.identity.description, definition: definition.id)
        release = unit.name.instance
        startsAfter = Set((whole.startsAfter[unit.name] ?? []).map(\.description))
        acceptsShared = definition.sockets.contains { $0.scope == .shared }
        type = StartType(unit.type)
        lifecycle = Lifecycle(definition)
        triggers = Triggers(unit.unit)
        commands = CommandCounts(unit)
        hasProbe = unit.swap?.readyProbe != nil
        probeInterval = unit.swap?.effectiveReadyProbeInterval ?? .milliseconds(500)
        restart = RestartRules(unit)
        startTimeout = unit.timeoutStart.duration
        stopTimeout = unit.timeoutStop.duration
        killSignal = unit.killSignal
        finalKillSignal = unit.finalKillSignal
        sendsFinalKill = unit.sendSIGKILL
        killMode = unit.killMode
        notifyAccess = unit.notifyAccess
        drain = whole.isSwappable ? Drain(unit, whole) : nil
    }
}

extension ServiceSpec.Drain {
    fileprivate init(_ unit: ServiceUnit, _ whole: SwapUnitDefinition) {
        let timeout = (unit.swap?.drainTimeout ?? whole.drainTimeout).duration
        let hasOwnWay = unit.swap?.drainSignal == nil && !unit.execStop.isEmpty
        self.init(method: hasOwnWay ? .stopCommands : .signal(unit.drainSignal), timeout: timeout)
    }
}

extension CommandCounts {
    fileprivate init(_ unit: ServiceUnit) {
        self.init()
        condition = unit.execCondition.map(\.mayFail)
        startPre = unit.execStartPre.map(\.mayFail)
        start = unit.execStart.map(\.mayFail)
        startPost = unit.execStartPost.map(\.mayFail)
        reload = unit.execReload.map(\.mayFail)
        stop = unit.execStop.map(\.mayFail)
        stopPost = unit.execStopPost.map(\.mayFail)
    }
}

extension ExecCommand {
    var mayFail: CommandCounts.MayFail { prefixes.ignoreFailure ? .yes : .no }
}

extension RestartRules {
    fileprivate init(_ unit: ServiceUnit) {
        self.init(policy: unit.restart, delay: unit.restartDelay)
        success = unit.successExitStatus
        prevent = unit.restartPreventExitStatus
        force = unit.restartForceExitStatus
        steps = Int(clamping: unit.lifecycle.restartSteps)
        maxDelay = unit.lifecycle.restartMaxDelay.duration
        startLimitInterval = unit.unit.startLimitInterval.duration ?? .seconds(Int64.max / 2)
        startLimitBurst = Int(unit.unit.startLimitBurst)
    }
}
