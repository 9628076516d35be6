/// What limits the time of a service: a time limit of each state, `RuntimeMaxSec=` and the watchdog, and what prolongs them.
extension Instance {
    mutating func deadlineReached(_ context: inout Context) {
        deadline = nil
        let late = spec.lifecycle.startFailureMode
        switch state {
        case .condition: fail(timedOut(.condition), main: nil, by: late, &context)
        case .startPre: fail(timedOut(.startPre), main: nil, by: late, &context)
        case .starting(let main): fail(timedOut(.readiness), main: main, by: late, &context)
        case .oneshot(_, let main): fail(timedOut(.start), main: main, by: late, &context)
        case .forking: fail(timedOut(.start), main: namedMain, by: late, &context)
        case .awaitingMain: fail(timedOut(.readiness), main: nil, by: late, &context)
        case .probing(let main):
            let cause = lastProbeAnswer.map { Failure.Cause.probe($0) } ?? .timedOut(spec.startTimeout ?? .zero)
            fail(missed(.readiness, cause), main: main, by: late, &context)
        case .startPost(_, _, let main): fail(timedOut(.startPost), main: main, by: late, &context)
        case .reloading(_, let control, let main):
            reloadFailure = timedOut(.reload)
            context.emit(.signal(control, spec.finalKillSignal))
            reloadIsOver(main, &context)
        case .reloadSignalled(_, let main):
            reloadFailure = timedOut(.reload)
            reloadIsOver(main, &context)
        case .reloadAnnounced(let main):
            reloadFailure = timedOut(.reload)
            reloadIsOver(main, &context)
        case .draining(let main): terminate(Ending(main: main, result: .clean(nil)), &context)
        case .stopping(_, _, var ending):
            // That `DrainTimeoutSec=` is over is no failure: it says when to stop being patient.
            if !isDraining { addTimeout(.stop, to: &ending, &context) }
            end(ending, by: spec.lifecycle.stopFailureMode, &context)
        case .terminating(let watch, var ending):
            addTimeout(.leave, to: &ending, &context)
            state = .terminating(watch: watch, ending)
            if spec.lifecycle.stopFailureMode == .abort, !isAborting {
                unwatch(watch, &context)
                return end(ending, by: .abort, &context)
            }
            guard spec.sendsFinalKill else {
                // One that was only waited for is asked now.
                if stopsItself { stopWaiting(watch, ending, &context) }
                return
            }
            kill(watch, ending, &context)
        case .killing:
            // Once more: what forked while it was killed, where there is no cgroup.kill.
            killAgain(&context)
        case .stopPost(_, _, var ending):
            addTimeout(.stopPost, to: &ending, &context)
            sweep(ending, &context)
        case .sweeping: killAgain(&context)
        case .restartWait: begin(&context)
        case .waiting, .checking, .running, .exited, .inactive: break
        }
    }

    /// At least a second later, so that a time-out of zero does not mean without end.
    private mutating func killAgain(_ context: inout Context) {
        context.emit(.killTree(id))
        deadline = spec.stopTimeout.map { context.now + max($0, .seconds(1)) }
    }

    private func timedOut(_ step: Failure.Step) -> Failure {
        missed(step, .timedOut(spec.startTimeout ?? .zero))
    }

    // MARK: - What prolongs them

    /// `EXTEND_TIMEOUT_USEC=` (sd_notify(3)): what limits the state that it is in can only be prolonged. Not where `DrainTimeoutSec=`
    /// is the limit: that is the operator's word, and a swap does not wait for ever for what it replaces.
    mutating func extendTimeouts(to time: Instant) {
        guard mandate != .leaving || spec.drain == nil else { return }
        deadline = deadline.map { max($0, time) }
        guard isUp else { return }
        runtimeDeadline = runtimeDeadline.map { max($0, time) }
        watchdogDeadline = watchdogDeadline.map { max($0, time) }
    }

    /// A generation that a swap replaces had asked for more time, when it was on its way out by itself: that no longer counts.
    mutating func endExtension(_ now: Instant) {
        guard spec.drain != nil, let limit = spec.stopTimeout else { return }
        let longest = now + (isAborting ? spec.lifecycle.abortTimeout ?? limit : limit)
        deadline = deadline.map { min($0, longest) }
    }

    // MARK: - Watchdog and RuntimeMaxSec=

    mutating func feedWatchdog(_ now: Instant) {
        guard isUp, let interval = watchdogInterval ?? spec.lifecycle.watchdog else { return }
        watchdogDeadline = interval > .zero ? now + interval : nil
    }

    mutating func watchdogBit(_ context: inout Context) {
        watchdogDeadline = nil
        guard isUp else { return }
        let limit = watchdogInterval ?? spec.lifecycle.watchdog ?? .zero
        let bitten = failed(mandate == .onTrial ? .soak : .run, .watchdog(limit))
        let main = mainProcess
        failure = bitten
        context.emit(.report(.failure(group, bitten)))
        stopProbe(&context)
        end(Ending(main: main, result: .failed(bitten)), by: .abort, &context)
    }

    mutating func runtimeIsOver(_ context: inout Context) {
        runtimeDeadline = nil
        guard isUp else { return }
        fail(failed(.run, .timedOut(spec.lifecycle.runtimeMax ?? .zero)), main: mainProcess, &context)
    }
}
