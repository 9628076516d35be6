/// From running, or any step before it, to gone.
extension Instance {
    // MARK: - Events

    mutating func spawnFailed(_ token: Token, _ text: String, status: Int32?, _ context: inout Context) {
        let cause = Failure.Cause.spawn(text, status: status)
        switch state {
        case .condition(let index, token): conditionNotSpawned(index, text, status, &context)
        case .startPre(let index, token):
            if let end = endInPlaceOfSpawn(.startPre(index), status) { return startPreEnded(index, end, &context) }
            fail(failed(.startPre, cause), main: nil, &context)
        case .starting(main: token), .oneshot(_, main: token): mainNotSpawned(token, cause, status, &context)
        case .forking(control: token):
            if let end = endInPlaceOfSpawn(.start(0), status) { return forkingEnded(end, &context) }
            fail(failed(.start, cause), main: nil, &context)
        case .startPost(let index, control: token, let main):
            if let end = endInPlaceOfSpawn(.startPost(index), status) {
                return startPostEnded(index, end, main: main, &context)
            }
            fail(failed(.startPost, cause), main: main, &context)
        case .reloading(let index, control: token, let main):
            reloadEnded(index, endInPlaceOfSpawn(.reload(index), status) ?? .exited(255), main: main, &context)
            if reloadFailure != nil { reloadFailure = failed(.reload, cause) }
        case .stopping(let index, control: token, var ending):
            if endInPlaceOfSpawn(.stop(index), status) != nil { return stopStep(index &+ 1, ending, &context) }
            add(failed(.stop, cause), to: &ending, &context)
            windDown(ending, &context)
        case .stopPost(let index, control: token, var ending):
            if endInPlaceOfSpawn(.stopPost(index), status) != nil { return stopPostStep(index &+ 1, ending, &context) }
            add(failed(.stopPost, cause), to: &ending, &context)
            sweep(ending, &context)
        case .draining, .stopping, .terminating, .killing:
            // It was told to go before it was known that it never came.
            exited(token, .unknown, &context)
        case .waiting, .checking, .condition, .startPre, .starting, .oneshot, .forking, .awaitingMain, .probing,
            .startPost, .running, .exited, .reloading, .reloadSignalled, .reloadAnnounced, .stopPost, .sweeping,
            .restartWait, .inactive:
            break
        }
    }

    /// The program of `ExecStart=` cannot be executed.
    private mutating func mainNotSpawned(
        _ token: Token, _ cause: Failure.Cause, _ status: Int32?, _ context: inout Context
    ) {
        // On trial it is to stay, whatever its status may be.
        if mandate != .onTrial || spec.type == .oneshot, let end = endInPlaceOfSpawn(.start(startIndex), status) {
            // One that has ended as soon as it was there.
            spawned(token, &context)
            return exited(token, end, &context)
        }
        mainStatus = status.map { .exited($0) }
        fail(failed(.start, cause), main: nil, &context)
    }

    /// A process has ended for good.
    mutating func ended(_ token: Token, _ status: ExitStatus, _ context: inout Context) {
        if mainProcess == token, status != .unknown { mainStatus = status }
        switch state {
        case .condition(let index, token): conditionEnded(index, status, &context)
        case .startPre(let index, token): startPreEnded(index, status, &context)
        case .startPost(let index, control: token, let main): startPostEnded(index, status, main: main, &context)
        case .reloading(let index, control: token, let main): reloadEnded(index, status, main: main, &context)
        case .stopping(let index, control: token, let ending): stopEnded(index, status, ending, &context)
        case .stopPost(let index, control: token, let ending): stopPostEnded(index, status, ending, &context)
        case .oneshot(let index, main: token): oneshotEnded(index, status, &context)
        case .forking(control: token): forkingEnded(status, &context)
        case .startPost(let index, let control, main: token)
        where mandate != .onTrial && isClean(main: status) && !spec.lifecycle.endsWithTree:
            // That the commands after its start are done comes first; then it has ended, or stays without it.
            state = .startPost(index, control: control, main: nil)
        case .starting(main: token), .probing(main: token), .startPost(_, control: _, main: token):
            mainEnded(.readiness, status, &context)
        case .running(main: token), .reloading(_, control: _, main: token), .reloadSignalled(_, main: token),
            .reloadAnnounced(main: token):
            mainEnded(mandate == .onTrial ? .soak : .run, status, &context)
        case .draining(main: token):
            var ending = Ending(main: token, result: .clean(nil))
            _ = left(token, status, &ending, &context)
            windDown(ending, &context)
        case .stopping(let index, let control, var ending):
            guard left(token, status, &ending, &context) else { return }
            state = .stopping(index, control: control, ending)
        case .terminating(let watch, var ending):
            guard left(token, status, &ending, &context) else { return }
            state = .terminating(watch: watch, ending)
            // `mixed` kills the others only now; `process` would leave them, which I3 forbids.
            guard [.mixed, .process].contains(spec.killMode), ending.main == nil, ending.control == nil else { return }
            context.emit(.killTree(id))
        case .killing(let watch, var ending):
            guard left(token, status, &ending, &context) else { return }
            state = .killing(watch: watch, ending)
        case .waiting, .checking, .condition, .startPre, .starting, .oneshot, .forking, .awaitingMain, .probing,
            .startPost, .running, .exited, .reloading, .reloadSignalled, .reloadAnnounced, .draining, .stopPost,
            .sweeping, .restartWait, .inactive:
            break
        }
    }

    private mutating func stopEnded(
        _ index: Int, _ status: ExitStatus, _ ending: Ending, _ context: inout Context
    ) {
        if status == .unknown || isClean(.stop(index), status) { return stopStep(index &+ 1, ending, &context) }
        var ending = ending
        add(failed(.stop, .exited(status)), to: &ending, &context)
        windDown(ending, &context)
    }

    private mutating func stopPostEnded(
        _ index: Int, _ status: ExitStatus, _ ending: Ending, _ context: inout Context
    ) {
        if status == .unknown || isClean(.stopPost(index), status) { return stopPostStep(index &+ 1, ending, &context) }
        var ending = ending
        add(failed(.stopPost, .exited(status)), to: &ending, &context)
        sweep(ending, &context)
    }

    /// The main process left by itself.
    mutating func mainEnded(_ step: Failure.Step, _ status: ExitStatus, _ context: inout Context) {
        let clean = isClean(main: status)
        // On trial even a clean exit is a failure: the generation was to stay. So is the clean exit of a notify
        // service that never said READY=1 (systemd calls it a protocol error).
        if clean, isUp, spec.lifecycle.endsWithTree {
            // Its other processes count as much.
            if case .running = state { state = .running(main: nil) } else { reloadIsOver(nil, &context) }
            watchWholeTree(&context)
        } else if clean, mandate != .onTrial, step == .run {
            if spec.lifecycle.remainsAfterExit { return enter(.exited(status), &context) }
            leave(Ending(main: nil, result: .clean(status)), &context)
        } else if clean, mandate != .onTrial, spec.type == .simple {
            windDown(Ending(main: nil, result: .clean(status)), &context)
        } else {
            var failure = failed(step, clean ? .endedEarly(status) : .exited(status))
            // Why it was not ready by then, if it had said so and was not allowed to.
            if step == .readiness, refusedReady != nil { failure.awaited = awaited }
            fail(failure, main: nil, &context)
        }
    }

    mutating func treeEmpty(_ token: Token, _ context: inout Context) {
        if wholeTreeWatch == token { return wholeTreeLeft(&context) }
        switch state {
        case .terminating(watch: token, let ending), .killing(watch: token, let ending):
            stopPostStep(0, ending, &context)
        case .sweeping(watch: token, let ending):
            conclude(ending.result, &context, mayRestart: true)
        case .waiting, .checking, .condition, .startPre, .starting, .oneshot, .forking, .awaitingMain, .probing,
            .startPost, .running, .exited, .reloading, .reloadSignalled, .reloadAnnounced, .draining, .stopping,
            .terminating, .killing, .stopPost, .sweeping, .restartWait, .inactive:
            break
        }
    }

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
            guard spec.sendsFinalKill else { return }
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

    // MARK: - Requests of the group

    /// It is to leave, gracefully: what it has accepted is finished first.
    mutating func retire(_ context: inout Context) {
        guard mandate != .leaving else { return }
        mandate = .leaving
        stopProbe(&context)
        switch state {
        case .waiting: conclude(.clean(nil), &context, mayRestart: false)
        // What it waits for is not to come any more: then its last run is no failure that would stay.
        case .restartWait: conclude(.clean(nil), &context, mayRestart: false)
        case .checking: conclude(.clean(nil), &context, mayRestart: false)
        case .condition(let index, let token): retireFrom(.condition(index), token, main: nil, &context)
        case .startPre(let index, let token): retireFrom(.startPre(index), token, main: nil, &context)
        case .forking(let token): retireFrom(.start(0), token, main: namedMain, &context)
        case .awaitingMain: terminate(Ending(main: nil, result: .clean(nil)), &context)
        case .oneshot(_, let main): terminate(Ending(main: main, result: .clean(nil)), &context)
        case .starting(let main): retireEarly(main, &context)
        case .probing(let main): retireEarly(main, &context)
        case .reloadSignalled(_, let main): drain(main, &context)
        case .startPost(let index, let token, let main):
            // It is not up yet, so that there is nothing that `ExecStop=` could stop; but it may have accepted connections.
            if spec.drain == nil {
                retireFrom(.startPost(index), token, main: main, &context)
            } else {
                drain(main, &context)
            }
        case .running(let main), .reloading(_, _, let main), .reloadAnnounced(let main): drain(main, &context)
        case .exited: leave(Ending(main: nil, result: .clean(nil)), &context)
        case .draining, .stopping, .terminating, .killing, .stopPost, .sweeping, .inactive: break
        }
    }

    /// While one of its commands runs: that is ended, too, and how it ends counts.
    private mutating func retireFrom(
        _ command: ServiceCommand, _ token: Token, main: Token?, _ context: inout Context
    ) {
        let control = Control(token: token, command: command)
        terminate(Ending(main: main, result: .clean(nil), control: control), &context)
    }

    private mutating func retireEarly(_ main: Token?, _ context: inout Context) {
        // Sharing starts at accept(), not at "ready": one that accepts from the public socket may have taken connections
        // already.
        if spec.acceptsShared {
            drain(main, &context)
        } else {
            terminate(Ending(main: main, result: .clean(nil)), &context)
        }
    }

    private mutating func drain(_ main: Token?, _ context: inout Context) {
        // One that ended a moment ago may have a successor, which is drained then.
        if endedMain == nil { stopSearch(&context) }
        stopTreeWatch(&context)
        guard let drain = spec.drain, let main else {
            return leave(Ending(main: main, result: .clean(nil)), &context)
        }
        switch drain.method {
        case .signal(let signal):
            isDraining = true
            context.emit(.signal(main, signal))
            deadline = drain.timeout.map { context.now + $0 }
            enter(.draining(main: main), &context)
        case .stopCommands:
            isDraining = true
            leave(Ending(main: main, result: .clean(nil)), &context)
            if case .stopping = state { deadline = drain.timeout.map { context.now + $0 } }
        }
    }

    /// Its time is up by an operator's word: no more patience, but the kill signal before SIGKILL.
    mutating func endNow(_ context: inout Context) {
        switch state {
        case .draining(let main): terminate(Ending(main: main, result: .clean(nil)), &context)
        case .stopping(_, _, let ending): terminate(ending, &context)
        case .terminating(let watch, let ending): kill(watch, ending, &context)
        case .waiting, .checking, .condition, .startPre, .starting, .oneshot, .forking, .awaitingMain, .probing,
            .startPost, .running, .exited, .reloading, .reloadSignalled, .reloadAnnounced, .killing, .stopPost,
            .sweeping, .restartWait, .inactive:
            break
        }
    }

    // MARK: - The way out

    mutating func fail(
        _ failure: Failure, main: Token?, by mode: TimeoutFailureMode = .terminate, _ context: inout Context
    ) {
        self.failure = failure
        context.emit(.report(.failure(group, failure)))
        let ending = Ending(main: main, result: .failed(failure))
        // ExecStop= is for services that came up (systemd.service(5)); what failed on the way there is only killed.
        guard isUp else {
            stopProbe(&context)
            return end(ending, by: mode, &context)
        }
        leave(ending, &context)
    }

    /// Out of a service that was up: `ExecStop=` first.
    mutating func leave(_ ending: Ending, _ context: inout Context) {
        stopProbe(&context)
        deadline = spec.stopTimeout.map { context.now + $0 }
        stopStep(0, ending, &context)
    }

    private mutating func stopStep(_ index: Int, _ ending: Ending, _ context: inout Context) {
        guard index < spec.commands.stop.count else { return windDown(ending, &context) }
        let token = context.newToken()
        context.emit(.spawn(token, id, .stop(index)))
        enter(.stopping(index, control: token, ending), &context)
    }

    mutating func windDown(_ ending: Ending, _ context: inout Context) {
        stopProbe(&context)
        terminate(ending, &context)
    }

    /// Ends what is left as `TimeoutStartFailureMode=` and its siblings say.
    mutating func end(_ ending: Ending, by mode: TimeoutFailureMode, _ context: inout Context) {
        switch mode {
        case .terminate: terminate(ending, &context)
        case .abort:
            terminate(ending, signal: spec.lifecycle.watchdogSignal, &context)
            isAborting = true
            deadline = (spec.lifecycle.abortTimeout ?? spec.stopTimeout).map { context.now + $0 }
        case .kill:
            guard spec.sendsFinalKill else { return terminate(ending, &context) }
            let ending = stopSeeking(ending, &context)
            stopTreeWatch(&context)
            let watch = context.newToken()
            kill(watch, ending, &context)
            context.emit(.watchTree(watch, id))
        }
    }

    private mutating func terminate(_ ending: Ending, _ context: inout Context) {
        let signal = isRestarting ? spec.lifecycle.restartKillSignal ?? spec.killSignal : spec.killSignal
        terminate(ending, signal: signal, &context)
        guard spec.lifecycle.sendsHangup else { return }
        switch spec.killMode {
        case .controlGroup: context.emit(.signalTree(id, 1))
        case .mixed, .process: for token in ending.processes { context.emit(.signal(token, 1)) }
        case .none: break
        }
    }

    /// Nobody asks any more who the main process is. One whose end waited for that is gone.
    private mutating func stopSeeking(_ ending: Ending, _ context: inout Context) -> Ending {
        stopSearch(&context)
        var ending = ending
        if let ended = endedMain, ending.main == ended { ending.main = nil }
        (endedMain, mainEnd) = (nil, nil)
        return ending
    }

    /// The signal to what is left; `KillMode=` says to whom.
    private mutating func terminate(_ known: Ending, signal: Int32, _ context: inout Context) {
        let ending = stopSeeking(known, &context)
        stopTreeWatch(&context)
        isAborting = false
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

    private mutating func kill(_ watch: Token, _ ending: Ending, _ context: inout Context) {
        deadline = spec.stopTimeout.map { context.now + $0 }
        enter(.killing(watch: watch, ending), &context)
        if spec.finalKillSignal == 9 {
            context.emit(.killTree(id))
        } else {
            context.emit(.signalTree(id, spec.finalKillSignal))
        }
    }

    private mutating func stopPostStep(_ index: Int, _ left: Ending, _ context: inout Context) {
        // The tree is empty, so the main process is gone, also where its exit comes later than that word.
        var ending = left
        ending.main = nil
        guard index < spec.commands.stopPost.count else {
            if spec.commands.stopPost.isEmpty {
                conclude(ending.result, &context, mayRestart: true)
            } else {
                sweep(ending, &context)
            }
            return
        }
        if index == 0 { deadline = spec.stopTimeout.map { context.now + $0 } }
        let token = context.newToken()
        context.emit(.spawn(token, id, .stopPost(index)))
        enter(.stopPost(index, control: token, ending), &context)
    }

    private mutating func sweep(_ ending: Ending, _ context: inout Context) {
        let watch = context.newToken()
        deadline = spec.stopTimeout.map { context.now + $0 }
        enter(.sweeping(watch: watch, ending), &context)
        context.emit(.killTree(id))
        context.emit(.watchTree(watch, id))
    }

    /// No process is left. Another run, or the end.
    mutating func conclude(_ result: ServiceResult, _ context: inout Context, mayRestart: Bool) {
        stopProbe(&context)
        stopSearch(&context)
        stopTreeWatch(&context)
        deadline = nil
        guard mayRestart, mandate == .serving,
            spec.restart.restarts(after: ServiceEnd(result: result, main: mainStatus))
        else {
            enter(.inactive(result), &context)
            // What leaves because its group wants it to has not ended by itself, and what fails on trial was never there.
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
            begin(&context)
        }
    }
}
