import Engine
import UnitFiles

extension SocketSpec {
    /// Makes the engine's part of a socket unit.
    /// - Parameters:
    ///   - group: the group that the unit's traffic starts.
    ///   - service: the service that traffic starts, by itself or as a member of that group.
    init(_ unit: SocketUnit, group: GroupID?, service: ServiceUnit?) {
        self.init()
        let settings = unit.activation
        accepts = unit.acceptsItself
        self.service = group
        maxConnections = Int(settings.maxConnections)
        maxConnectionsPerSource = Int(settings.maxConnectionsPerSource)
        triggerLimit = Limit(settings.triggerLimit)
        pollLimit = Limit(settings.pollLimit)
        if let limits = service?.unit {
            let interval = limits.startLimitInterval.duration ?? .seconds(Int64.max / 2)
            failureLimit = Limit(interval: interval, burst: Int(limits.startLimitBurst))
        }
        flushPending = settings.flushPending
        idleStop = settings.idleStop
        startPre = settings.execStartPre.map(\.mayFail)
        startPost = settings.execStartPost.map(\.mayFail)
        stopPre = settings.execStopPre.map(\.mayFail)
        stopPost = settings.execStopPost.map(\.mayFail)
        timeout = settings.timeout.duration
    }
}

extension SocketSpec.Limit {
    fileprivate init(_ limit: SocketActivationSettings.Limit) {
        self.init(interval: limit.interval, burst: Int(limit.burst))
    }
}
