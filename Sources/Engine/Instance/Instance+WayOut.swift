import Vocabulary

/// The steps of ending a run: `ExecStop=`, kill signal, SIGKILL, `ExecStopPost=`, then another run or the final state.
extension Instance {
    mutating func failRun(
        _ failure: Failure, main: Token?, by mode: TimeoutFailureMode = .terminate, _ context: inout Context
    ) {
        self.failure = failure
        context.emit(.report(.failure(group, failure)))
        let ending = Ending(main: main, result: .failed(failure))
        // `ExecStop=` is for services that came up (systemd.service(5)); a service that failed before that is only
        // killed.
        guard isUp else {
            stopProbe(&context)
            return end(ending, by: mode, &context)
        }
        stopRun(ending, &context)
    }

    /// Ends a service that was up: `ExecStop=` first.
    mutating func stopRun(_ ending: Ending, _ context: inout Context) {
        stopProbe(&context)
        deadline = spec.stopTimeout.map { context.now + $0 }
        stopStep(0, ending, &context)
    }

    mutating func stopStep(_ index: Int, _ ending: Ending, _ context: inout Context) {
        guard index < spec.commands.stop.count else { return endProcesses(ending, &context) }
        // Each command has the whole of TimeoutStopSec= (systemd.service(5)); a drain has one time limit for all of them.
        if index > 0, !isDraining { deadline = spec.stopTimeout.map { context.now + $0 } }
        let token = context.newToken()
        context.emit(.spawn(token, id, .stop(index)))
        enter(.stopping(index, control: token, ending), &context)
    }

    mutating func endProcesses(_ ending: Ending, _ context: inout Context) {
        stopProbe(&context)
        terminate(ending, &context)
    }

    /// Ends the remaining processes as `TimeoutStartFailureMode=` and similar settings say.
    mutating func end(_ ending: Ending, by mode: TimeoutFailureMode, _ context: inout Context) {
        switch mode {
        case .terminate: terminate(ending, &context)
        case .abort:
            terminate(ending, signal: spec.lifecycle.watchdogSignal, &context)
            isAborting = true
            deadline = (spec.lifecycle.abortTimeout ?? spec.stopTimeout).map { context.now + $0 }
        case .kill:
            guard spec.sendsFinalKill else { return terminate(ending, &context) }
            let ending = endMainSearch(ending, &context)
            stopTreeWatch(&context)
            let watch = context.newToken()
            kill(watch, ending, &context)
            context.emit(.watchTree(watch, id))
        }
    }

    /// Sends the kill signal to the remaining processes of a service that was stopping by itself.
    mutating func signalStoppingService(_ watch: Token, _ ending: Ending, _ context: inout Context) {
        unwatch(watch, &context)
        terminate(ending, &context)
    }

    mutating func terminate(_ ending: Ending, _ context: inout Context) {
        let signal = isRestarting ? spec.lifecycle.restartKillSignal ?? spec.killSignal : spec.killSignal
        terminate(ending, signal: signal, &context)
        guard spec.lifecycle.sendsHangup else { return }
        switch spec.killMode {
        case .controlGroup: context.emit(.signalTree(id, .hangUp))
        case .mixed, .process: for token in ending.processes { context.emit(.signal(token, .hangUp)) }
        case .none: break
        }
    }

    /// Ends the search for the main process. A main process whose end was held back for that search is recorded as
    /// ended.
    private mutating func endMainSearch(_ ending: Ending, _ context: inout Context) -> Ending {
        stopSearch(&context)
        var ending = ending
        if let ended = endedMain, ending.main == ended {
            let status = mainEnd ?? .unknown
            if status != .unknown { mainStatus = status }
            _ = recordExitWhileEnding(ended, status, &ending, &context)
        }
        (endedMain, mainEnd) = (nil, nil)
        return ending
    }

    /// Sends the signal to the remaining processes that `KillMode=` selects.
    private mutating func terminate(_ known: Ending, signal: Signal, _ context: inout Context) {
        let ending = endMainSearch(known, &context)
        stopTreeWatch(&context)
        (isAborting, isStoppingByItself) = (false, false)
        let watch = context.newToken()
        deadline = spec.stopTimeout.map { context.now + $0 }
        enter(.terminating(watch: watch, ending), &context)
        switch spec.killMode {
        case .controlGroup:
            context.emit(.signalTree(id, signal))
        case .mixed, .process:
            for token in ending.processes { context.emit(.signal(token, signal)) }
            if ending.processes.isEmpty { context.emit(.killTree(id)) }
        case .none:
            break
        }
        context.emit(.watchTree(watch, id))
    }

    mutating func kill(_ watch: Token, _ ending: Ending, _ context: inout Context) {
        deadline = context.now + (spec.stopTimeout ?? killInterval)
        enter(.killing(watch: watch, ending), &context)
        if spec.finalKillSignal == .kill {
            context.emit(.killTree(id))
        } else {
            context.emit(.signalTree(id, spec.finalKillSignal))
        }
    }

    mutating func stopPostStep(_ index: Int, _ left: Ending, _ context: inout Context) {
        // The tree is empty, so the main process has ended, even if its exit event arrives later than `treeEmpty`.
        var ending = left
        ending.main = nil
        guard index < spec.commands.stopPost.count else {
            if spec.commands.stopPost.isEmpty {
                finishRun(ending.result, &context, mayRestart: true)
            } else {
                sweepTree(ending, &context)
            }
            return
        }
        deadline = spec.stopTimeout.map { context.now + $0 }
        let token = context.newToken()
        context.emit(.spawn(token, id, .stopPost(index)))
        enter(.stopPost(index, control: token, ending), &context)
    }

    mutating func sweepTree(_ ending: Ending, _ context: inout Context) {
        let watch = context.newToken()
        deadline = context.now + (spec.stopTimeout ?? killInterval)
        enter(.sweeping(watch: watch, ending), &context)
        context.emit(.killTree(id))
        context.emit(.watchTree(watch, id))
    }

    /// Starts another run or enters the final state, once no process is left.
    mutating func finishRun(_ result: ServiceResult, _ context: inout Context, mayRestart: Bool) {
        stopProbe(&context)
        stopSearch(&context)
        stopTreeWatch(&context)
        deadline = nil
        guard mayRestart, mandate == .serving,
            spec.restart.restarts(after: ServiceEnd(result: result, main: mainStatus))
        else {
            enter(.inactive(result), &context)
            // An instance that leaves at its group's request has not ended by itself, and one that fails on trial never
            // served.
            if mandate == .serving, let cause = startCause {
                let units = spec.triggers.units(cause)
                if !units.isEmpty { context.emit(.startUnits(units, cause)) }
            }
            return
        }
        restarts &+= 1
        enter(.restartWait(result), &context)
        let delay = spec.restart.delay(beforeRestart: restarts)
        if delay > .zero {
            deadline = context.now + delay
        } else {
            beginRun(&context)
        }
    }
}
