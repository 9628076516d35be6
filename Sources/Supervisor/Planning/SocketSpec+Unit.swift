import Engine
import UnitFiles
import Vocabulary

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
        triggerLimit = settings.triggerLimit
        pollLimit = settings.pollLimit
        if let limits = service?.unit {
            let interval = limits.startLimitInterval.duration ?? .seconds(Int64.max / 2)
            failureLimit = RateLimit(interval: interval, burst: Int(limits.startLimitBurst))
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
