/// Time limits across a gap in which no supervisor listened: from the last event that a killed one received until now.
///
/// Messages that a service sent in the gap are lost, and answers that it needed are late. So a limit on a service's
/// actions or messages is extended by the gap; a watchdog gets one whole interval, because the last sign of life may be
/// lost. Limits that depend on the clock alone (a restart, a probe, the next SIGKILL) are unchanged. No limit ends
/// earlier than without the gap.
enum GapRule: Sendable, Equatable {
    /// The gap does not count: the deadline is moved by its length.
    case shifted
    case unchanged
    /// This state has no time limit.
    case none
}

extension Instance {
    /// The rule for `deadline`, by the state that has set it.
    var gapRule: GapRule {
        switch state {
        // READY=1 and EXTEND_TIMEOUT_USEC= may have been sent in the gap (TimeoutStartSec=).
        case .condition, .startPre, .starting, .oneshot, .forking, .awaitingMain, .probing, .startPost: .shifted
        case .reloading, .reloadSignalled, .reloadAnnounced: .shifted
        // The signal may be sent only now; and the service may have asked for more time (DrainTimeoutSec=,
        // TimeoutStopSec=).
        case .draining, .stopping, .terminating, .stopPost: .shifted
        // SIGKILL needs no listener, and a service that is down is to be restarted as soon as it may (RestartSec=).
        case .killing, .sweeping, .restartWait: .unchanged
        case .waiting, .checking, .running, .exited, .inactive: .none
        }
    }

    mutating func pass(_ gap: Duration, until now: Instant) {
        switch gapRule {
        case .shifted: deadline = deadline.map { $0 + gap }
        case .unchanged, .none: break
        }
        if watchdogDeadline != nil { feedWatchdog(now) }
        // The run may have been prolonged in the gap.
        runtimeDeadline = runtimeDeadline.map { $0 + gap }
        // `probeDeadline` is unchanged: the next probe is due by the clock.
    }
}

extension Operation {
    /// The rule for the deadline of the operation's group.
    var gapRule: GapRule {
        switch phase {
        // ReadyTimeoutSec= limits the time until messages arrive. An unobserved soak proves nothing.
        case .starting, .soaking: .shifted
        case .waiting, .preparing, .holding, .draining, .stoppingOld, .rollingBack, .stopping, .reloading: .none
        }
    }

    mutating func pass(_ gap: Duration) {
        // The rest of the time is counted from the beginning of the phase.
        if case .starting = phase { readyTimeLeft = readyTimeLeft.map { $0 + gap } }
    }
}

extension Engine {
    /// Continues at `now` with the state of another process. Called before any event.
    ///
    /// - Parameter heard: the last time at which that process is known to have listened.
    /// - Returns: the length of the gap.
    @discardableResult
    public mutating func passGap(until now: Instant, heard: Instant?) -> Duration {
        let gap = now - max(context.now, heard ?? context.now)
        guard gap > .zero else { return .zero }
        context.now = now
        for id in instances.keys.sorted() {
            instances[id]?.pass(gap, until: now)
            guard let instance = instances[id] else { continue }
            setDeadlines(of: instance)
        }
        for id in groups.keys.sorted() {
            guard let operation = groups[id]?.operation else { continue }
            groups[id]?.operation?.pass(gap)
            switch operation.gapRule {
            case .shifted: deadlines.set(.group(id), deadlines.deadline(of: .group(id)).map { $0 + gap })
            case .unchanged, .none: break
            }
        }
        return gap
    }
}

extension SocketActivation {
    /// Moves the deadlines of socket units across the gap.
    public mutating func passGap(_ gap: Duration, until now: Instant) {
        guard gap > .zero else { return }
        self.now = now
        for (id, socket) in sockets {
            switch socket.state {
            // TimeoutSec= of the socket's commands.
            case .startPre, .startPost, .stopPre, .stopPost, .ending:
                sockets[id]?.deadline = socket.deadline.map { $0 + gap }
            // The end of a poll limit is due by the clock.
            case .opening, .listening, .running, .releasing, .dead, .failed: break
            }
        }
        for (group, service) in services {
            switch service.idle {
            // Arrivals in the gap are unknown (X-IdleStopSec=).
            case .watching:
                services[group]?.deadline = service.deadline.map { $0 + gap }
                services[group]?.idle = .watching(arrived: true)
            case .unwatched, .looking, .confirming, .stopping: break
            }
        }
    }
}
