/// Time limits of a service: one for each state, `RuntimeMaxSec=`, the watchdog, and the messages that prolong them.
extension Instance {
    mutating func deadlineReached(_ context: inout Context) {
        deadline = nil
        let late = spec.lifecycle.startFailureMode
        switch state {
        case .condition: failRun(timedOut(.condition), main: nil, by: late, &context)
        case .startPre: failRun(timedOut(.startPre), main: nil, by: late, &context)
        case .starting(let main): failRun(timedOut(.readiness), main: main, by: late, &context)
        case .oneshot(_, let main): failRun(timedOut(.start), main: main, by: late, &context)
        case .forking: failRun(timedOut(.start), main: namedMain, by: late, &context)
        case .awaitingMain: failRun(timedOut(.readiness), main: nil, by: late, &context)
        case .probing(let main):
            let cause = lastProbeAnswer.map { Failure.Cause.probe($0) } ?? .timedOut(spec.startTimeout ?? .zero)
            failRun(missed(.readiness, cause), main: main, by: late, &context)
        case .startPost(_, _, let main): failRun(timedOut(.startPost), main: main, by: late, &context)
        case .reloading(_, let control, let main):
            reloadFailure = timedOut(.reload)
            context.emit(.signal(control, spec.finalKillSignal))
            finishReload(main, &context)
        case .reloadSignalled(_, let main):
            reloadFailure = timedOut(.reload)
            finishReload(main, &context)
        case .reloadAnnounced(let main):
            reloadFailure = timedOut(.reload)
            finishReload(main, &context)
        case .draining(let main):
            hasExceededDrain = true
            cutConnections(&context)
            terminate(Ending(main: main, result: .clean(nil)), &context)
        case .stopping(_, _, var ending):
            // The end of `DrainTimeoutSec=` is no failure: it is the time at which the kill signal follows.
            if isDraining {
                hasExceededDrain = true
                cutConnections(&context)
            } else {
                addTimeout(.stop, to: &ending, &context)
            }
            end(ending, by: spec.lifecycle.stopFailureMode, &context)
        case .terminating(let watch, var ending):
            addTimeout(.leave, to: &ending, &context)
            state = .terminating(watch: watch, ending)
            if spec.lifecycle.stopFailureMode == .abort, !isAborting {
                unwatch(watch, &context)
                return end(ending, by: .abort, &context)
            }
            guard spec.sendsFinalKill else {
                // A service that stopped by itself has received no signal yet; it receives the kill signal now.
                if isStoppingByItself { signalStoppingService(watch, ending, &context) }
                return
            }
            kill(watch, ending, &context)
        case .killing:
            // Again, for processes forked during the first kill on hosts without cgroup.kill.
            killAgain(&context)
        case .stopPost(_, _, var ending):
            addTimeout(.stopPost, to: &ending, &context)
            sweepTree(ending, &context)
        case .sweeping: killAgain(&context)
        case .restartWait: beginRun(&context)
        case .waiting, .checking, .running, .exited, .inactive: break
        }
    }

    private mutating func killAgain(_ context: inout Context) {
        context.emit(.killTree(id))
        deadline = context.now + killInterval
    }

    /// The time until the next SIGKILL. At least a second, so that a time-out of zero does not repeat without end;
    /// never infinite, because a process forked during the kill does not end by itself.
    var killInterval: Duration { max(spec.stopTimeout ?? .seconds(90), .seconds(1)) }

    private func timedOut(_ step: Failure.Step) -> Failure {
        missed(step, .timedOut(spec.startTimeout ?? .zero))
    }

    // MARK: - Extensions

    /// Applies `EXTEND_TIMEOUT_USEC=` (sd_notify(3)): limits of the current state can only be prolonged. Not allowed
    /// for a swapped service while its generation drains or while it reloads, because an operator would wait without
    /// end and could not swap meanwhile. SIGKILL is never postponed.
    mutating func extendTimeouts(to time: Instant) {
        guard mandate != .leaving || spec.drain == nil else { return }
        switch state {
        case .killing, .sweeping: return
        case .reloading, .reloadSignalled, .reloadAnnounced:
            if spec.drain == nil { deadline = deadline.map { max($0, time) } }
        case .waiting, .checking, .condition, .startPre, .starting, .oneshot, .forking, .awaitingMain, .probing,
            .startPost,
            .running, .exited, .draining, .stopping, .terminating, .stopPost, .restartWait, .inactive:
            deadline = deadline.map { max($0, time) }
        }
        runtimeDeadline = runtimeDeadline.map { max($0, time) }
        watchdogDeadline = watchdogDeadline.map { max($0, time) }
    }

    /// Ends an extension that the service requested while it was ending by itself, because a swap now replaces its
    /// generation.
    mutating func endExtension(_ now: Instant) {
        guard spec.drain != nil, let limit = spec.stopTimeout else { return }
        let longest = now + (isAborting ? spec.lifecycle.abortTimeout ?? limit : limit)
        deadline = deadline.map { min($0, longest) }
    }

    // MARK: - Watchdog and RuntimeMaxSec=

    mutating func feedWatchdog(_ now: Instant) {
        guard hasWatchdog, let interval = watchdogInterval ?? spec.lifecycle.watchdog else { return }
        watchdogDeadline = interval > .zero ? now + interval : nil
    }

    mutating func watchdogExpired(_ context: inout Context) {
        watchdogDeadline = nil
        guard let step = watchdogStep else { return }
        let limit = watchdogInterval ?? spec.lifecycle.watchdog ?? .zero
        let bitten = failed(step, .watchdog(limit))
        let main = mainProcess
        failure = bitten
        context.emit(.report(.failure(group, bitten)))
        stopProbe(&context)
        end(Ending(main: main, result: .failed(bitten)), by: .abort, &context)
    }

    /// The step at which the watchdog ends the service; nil where there is nothing to end. `WATCHDOG=trigger` applies
    /// in every state (sd_notify(3)).
    private var watchdogStep: Failure.Step? {
        switch state {
        case .condition: .condition
        case .startPre: .startPre
        case .oneshot, .forking: .start
        case .starting, .awaitingMain, .probing: .readiness
        case .startPost: .startPost
        case .running, .reloading, .reloadSignalled, .reloadAnnounced: mandate == .onTrial ? .soak : .run
        case .waiting, .checking, .exited, .draining, .stopping, .terminating, .killing, .stopPost, .sweeping,
            .restartWait, .inactive:
            nil
        }
    }

    mutating func runtimeLimitReached(_ context: inout Context) {
        runtimeDeadline = nil
        guard isUp else { return }
        failRun(failed(.run, .timedOut(spec.lifecycle.runtimeMax ?? .zero)), main: mainProcess, &context)
    }
}
