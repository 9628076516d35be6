/// Time limits that ran while no supervisor could listen: between the last thing that a killed one heard and now.
///
/// What a service said in the meantime is lost, and what it needed an answer for waits. So a limit on what a service does or
/// says goes on from where it was heard last; a watchdog has one whole interval, because the last sign of life may be lost.
/// What is due by the clock alone (a restart, a probe, SIGKILL once more) stays due. No limit ends earlier than it would have.
enum GapRule: Sendable, Equatable {
    /// The gap does not count.
    case shifted
    case unchanged
    /// This state has no time limit.
    case none
}

extension Instance {
    /// `deadline`, which each state uses for its own.
    var gapRule: GapRule {
        switch state {
        // READY=1 and EXTEND_TIMEOUT_USEC= may have been said to nobody (TimeoutStartSec=).
        case .condition, .startPre, .starting, .oneshot, .forking, .awaitingMain, .probing, .startPost: .shifted
        case .reloading, .reloadSignalled, .reloadAnnounced: .shifted
        // The signal may be sent only now; and it may have asked for more time (DrainTimeoutSec=, TimeoutStopSec=).
        case .draining, .stopping, .terminating, .stopPost: .shifted
        // SIGKILL needs nobody who listens, and a service that is down is to come back as soon as it may (RestartSec=).
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
        // It may have been prolonged, too.
        runtimeDeadline = runtimeDeadline.map { $0 + gap }
        // `probeDeadline`: the next question is due whoever asks it.
    }
}

extension Operation {
    /// Of the deadline of its group.
    var gapRule: GapRule {
        switch phase {
        // ReadyTimeoutSec= is a limit on what services say. A soak that nobody watched proves nothing.
        case .starting, .soaking: .shifted
        case .waiting, .preparing, .holding, .draining, .stoppingOld, .rollingBack, .stopping, .reloading: .none
        }
    }

    mutating func pass(_ gap: Duration) {
        // What is left of it is counted from the beginning of the phase.
        if case .starting = phase { readyTimeLeft = readyTimeLeft.map { $0 + gap } }
    }
}

extension Engine {
    /// Goes on at `now` with what another process has left. Before any event.
    ///
    /// - Parameter heard: when that process is known to have listened still.
    /// - Returns: how long nobody has.
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
    /// The same for socket units.
    public mutating func passGap(_ gap: Duration, until now: Instant) {
        guard gap > .zero else { return }
        self.now = now
        for (id, socket) in sockets {
            switch socket.state {
            // TimeoutSec= of its commands.
            case .startPre, .startPost, .stopPre, .stopPost, .ending:
                sockets[id]?.deadline = socket.deadline.map { $0 + gap }
            // The end of a poll limit is due by the clock.
            case .opening, .listening, .running, .releasing, .dead, .failed: break
            }
        }
        for (group, service) in services {
            switch service.idle {
            // Nobody knows what came meanwhile (X-IdleStopSec=).
            case .watching:
                services[group]?.deadline = service.deadline.map { $0 + gap }
                services[group]?.idle = .watching(arrived: true)
            case .unwatched, .looking, .confirming, .stopping: break
            }
        }
    }
}
