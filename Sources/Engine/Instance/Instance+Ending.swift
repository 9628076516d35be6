import Vocabulary

/// The steps from running, or any earlier state, to gone.
extension Instance {
    // MARK: - Events

    mutating func handleSpawnFailure(_ token: Token, _ text: String, status: Int32?, _ context: inout Context) {
        let cause = Failure.Cause.spawn(text, status: status)
        switch state {
        case .condition(let index, token): conditionNotSpawned(index, text, status, &context)
        case .startPre(let index, token):
            if let end = endInPlaceOfSpawn(.startPre(index), status) { return startPreEnded(index, end, &context) }
            failRun(failed(.startPre, cause), main: nil, &context)
        case .starting(main: token), .oneshot(_, main: token): mainNotSpawned(token, cause, status, &context)
        case .forking(control: token):
            if let end = endInPlaceOfSpawn(.start(0), status) { return forkingEnded(end, &context) }
            failRun(failed(.start, cause), main: nil, &context)
        case .startPost(let index, control: token, let main):
            if let end = endInPlaceOfSpawn(.startPost(index), status) {
                return startPostEnded(index, end, main: main, &context)
            }
            failRun(failed(.startPost, cause), main: main, &context)
        case .reloading(let index, control: token, let main):
            reloadEnded(index, endInPlaceOfSpawn(.reload(index), status) ?? .exited(255), main: main, &context)
            if reloadFailure != nil { reloadFailure = failed(.reload, cause) }
        case .stopping(let index, control: token, var ending):
            if endInPlaceOfSpawn(.stop(index), status) != nil { return stopStep(index &+ 1, ending, &context) }
            add(failed(.stop, cause), to: &ending, &context)
            endProcesses(ending, &context)
        case .stopPost(let index, control: token, var ending):
            if endInPlaceOfSpawn(.stopPost(index), status) != nil { return stopPostStep(index &+ 1, ending, &context) }
            add(failed(.stopPost, cause), to: &ending, &context)
            sweepTree(ending, &context)
        case .draining, .stopping, .terminating, .killing:
            // The stop began before it was known that the spawn had failed.
            handleExit(token, .unknown, &context)
        case .waiting, .checking, .condition, .startPre, .starting, .oneshot, .forking, .awaitingMain, .probing,
            .startPost, .running, .exited, .reloading, .reloadSignalled, .reloadAnnounced, .stopPost, .sweeping,
            .restartWait, .inactive:
            break
        }
    }

    /// Handles a program of `ExecStart=` that cannot be executed.
    private mutating func mainNotSpawned(
        _ token: Token, _ cause: Failure.Cause, _ status: Int32?, _ context: inout Context
    ) {
        // A service on trial is expected to stay, so a clean status does not help it.
        if mandate != .onTrial || spec.type == .oneshot, let end = endInPlaceOfSpawn(.start(startIndex), status) {
            // Treated as a process that ended as soon as it was started.
            handleSpawned(token, &context)
            return handleExit(token, end, &context)
        }
        mainStatus = status.map { .exited($0) }
        failRun(failed(.start, cause), main: nil, &context)
    }

    /// Handles the end of a process that has no successor.
    mutating func handleEnd(_ token: Token, _ status: ExitStatus, _ context: inout Context) {
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
            // The commands of `ExecStartPost=` finish first; then the service ends, or stays without a main process.
            state = .startPost(index, control: control, main: nil)
        case .starting(main: token), .probing(main: token), .startPost(_, control: _, main: token):
            mainEnded(.readiness, status, &context)
        case .running(main: token), .reloading(_, control: _, main: token), .reloadSignalled(_, main: token),
            .reloadAnnounced(main: token):
            mainEnded(mandate == .onTrial ? .soak : .run, status, &context)
        case .draining(main: token):
            var ending = Ending(main: token, result: .clean(nil))
            _ = recordExitWhileEnding(token, status, &ending, &context)
            endProcesses(ending, &context)
        case .stopping(let index, let control, var ending):
            guard recordExitWhileEnding(token, status, &ending, &context) else { return }
            state = .stopping(index, control: control, ending)
        case .terminating(let watch, var ending):
            guard recordExitWhileEnding(token, status, &ending, &context) else { return }
            state = .terminating(watch: watch, ending)
            // The remaining processes have not received any signal yet.
            if isStoppingByItself { return signalStoppingService(watch, ending, &context) }
            // `mixed` kills the other processes only now; `process` would leave them running, which I3 forbids.
            guard [.mixed, .process].contains(spec.killMode), ending.main == nil, ending.control == nil else { return }
            context.emit(.killTree(id))
        case .killing(let watch, var ending):
            guard recordExitWhileEnding(token, status, &ending, &context) else { return }
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
        endProcesses(ending, &context)
    }

    private mutating func stopPostEnded(
        _ index: Int, _ status: ExitStatus, _ ending: Ending, _ context: inout Context
    ) {
        if status == .unknown || isClean(.stopPost(index), status) { return stopPostStep(index &+ 1, ending, &context) }
        var ending = ending
        add(failed(.stopPost, .exited(status)), to: &ending, &context)
        sweepTree(ending, &context)
    }

    /// Handles the end of a main process that was not asked to end.
    mutating func mainEnded(_ step: Failure.Step, _ status: ExitStatus, _ context: inout Context) {
        let clean = isClean(main: status)
        // On trial even a clean exit is a failure: the generation was to stay. So is the clean exit of a notify service
        // that never sent READY=1 (systemd calls it a protocol error).
        if clean, isUp, spec.lifecycle.endsWithTree {
            // `ExitType=cgroup`: the service stays up as long as its other processes live.
            if case .running = state { state = .running(main: nil) } else { finishReload(nil, &context) }
            watchWholeTree(&context)
        } else if clean, mandate != .onTrial, step == .run {
            if spec.lifecycle.remainsAfterExit { return enter(.exited(status), &context) }
            stopRun(Ending(main: nil, result: .clean(status)), &context)
        } else if clean, mandate != .onTrial, spec.type == .simple {
            endProcesses(Ending(main: nil, result: .clean(status)), &context)
        } else {
            var failure = failed(step, clean ? .endedEarly(status) : .exited(status))
            // The reason for "not ready": `READY=1` was sent by a process that `NotifyAccess=` does not allow.
            if step == .readiness, refusedReady != nil { failure.awaited = awaited }
            failRun(failure, main: nil, &context)
        }
    }

    mutating func handleTreeEmpty(_ token: Token, _ context: inout Context) {
        if wholeTreeWatch == token { return handleEmptyTree(&context) }
        switch state {
        case .terminating(watch: token, let ending), .killing(watch: token, let ending):
            stopPostStep(0, ending, &context)
        case .sweeping(watch: token, let ending):
            finishRun(ending.result, &context, mayRestart: true)
        case .waiting, .checking, .condition, .startPre, .starting, .oneshot, .forking, .awaitingMain, .probing,
            .startPost, .running, .exited, .reloading, .reloadSignalled, .reloadAnnounced, .draining, .stopping,
            .terminating, .killing, .stopPost, .sweeping, .restartWait, .inactive:
            break
        }
    }
}
