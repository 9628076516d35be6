import Vocabulary

/// A running service: its main process, stops that it announces, reloads, and the detection of its end.
extension Instance {
    // MARK: - Main process

    /// Handles a new main process, named by `MAINPID=` or by the PID file.
    mutating func changeMainProcess(_ token: Token, _ context: inout Context) {
        stopTreeWatch(&context)
        switch state {
        // A simple service waits only for its execution, and its successor has been executed.
        case .starting:
            if spec.type == .simple { continueAfterStart(token, &context) } else { state = .starting(main: token) }
        case .oneshot(let index, _): state = .oneshot(index, main: token)
        case .forking: namedMain = token
        case .awaitingMain(let afterStartPost):
            stopSearch(&context)
            if afterStartPost { started(token, &context) } else { continueAfterStart(token, &context) }
        case .probing: state = .probing(main: token)
        case .startPost(let index, let control, _): state = .startPost(index, control: control, main: token)
        case .running:
            state = .running(main: token)
            mainStatus = nil
        case .reloading(let index, let control, _): state = .reloading(index, control: control, main: token)
        case .reloadSignalled(let since, _): state = .reloadSignalled(since: since, main: token)
        case .reloadAnnounced: state = .reloadAnnounced(main: token)
        case .draining: state = .draining(main: token)
        case .stopping(let index, let control, var ending):
            ending.main = token
            state = .stopping(index, control: control, ending)
        case .terminating(let watch, var ending):
            ending.main = token
            state = .terminating(watch: watch, ending)
        case .waiting, .checking, .condition, .startPre, .exited, .killing, .stopPost, .sweeping, .restartWait,
            .inactive:
            break
        }
    }

    // MARK: - Without a main process

    /// Watches the whole tree; its end is the end of the service from now on.
    mutating func watchWholeTree(_ context: inout Context) {
        guard wholeTreeWatch == nil else { return }
        let token = context.newToken()
        wholeTreeWatch = token
        context.emit(.watchTree(token, id))
    }

    mutating func stopTreeWatch(_ context: inout Context) {
        guard let token = wholeTreeWatch else { return }
        wholeTreeWatch = nil
        unwatch(token, &context)
    }

    /// Ends a watch together with its token: a remaining watch would answer the wrong wait, or replace a later one.
    func unwatch(_ token: Token, _ context: inout Context) {
        context.invalidate(token)
        context.emit(.unwatchTree(token, id))
    }

    /// Handles an empty process tree of a service that had no main process.
    mutating func handleEmptyTree(_ context: inout Context) {
        wholeTreeWatch = nil
        let gone = Ending(main: nil, result: .clean(nil))
        switch state {
        case .awaitingMain:
            failRun(missed(.readiness, .protocolError("all processes exited")), main: nil, &context)
        case .running(main: nil), .reloadAnnounced(main: nil):
            if mandate == .onTrial {
                failRun(failed(.soak, .text("all processes exited")), main: nil, &context)
            } else if spec.lifecycle.remainsAfterExit {
                enter(.exited(nil), &context)
            } else {
                stopRun(gone, &context)
            }
        case .probing(main: nil):
            failRun(failed(.readiness, .protocolError("all processes exited")), main: nil, &context)
        case .startPost(let index, let control, main: nil):
            // The command of `ExecStartPost=` was in the tree until now; its exit is handled first.
            state = .startPost(index, control: control, main: nil)
            watchWholeTree(&context)
        case .reloading(_, _, main: nil): watchWholeTree(&context)
        case .waiting, .checking, .condition, .startPre, .starting, .oneshot, .forking, .probing, .startPost, .running,
            .exited, .reloading, .reloadSignalled, .reloadAnnounced, .draining, .stopping, .terminating, .killing,
            .stopPost, .sweeping, .restartWait, .inactive:
            break
        }
    }

    // MARK: - Stops announced by the service

    /// Handles `STOPPING=1`. Before the service is up, and during a reload, it takes effect when the service is
    /// running; `READY=1` revokes it.
    mutating func handleStopping(_ context: inout Context) {
        (hasAnnouncedReload, hasAnnouncedStop) = (false, true)
        if case .running(let main) = state { stopByItself(main, &context) }
    }

    /// Enters *terminating* without the kill signal and without `ExecStop=`: `TimeoutStopSec=` applies from now on,
    /// `RuntimeMaxSec=` and the watchdog no longer do.
    mutating func stopByItself(_ main: Token?, _ context: inout Context) {
        // The end of the main process is being handled already, and a successor sends its own messages.
        guard endedMain == nil else { return }
        if mandate == .onTrial {
            // The generation was to stay. Its group rolls back, in the right order (I4).
            if failure == nil { failure = failed(.soak, .text("sent STOPPING=1 during the soak")) }
            return
        }
        stopProbe(&context)
        stopSearch(&context)
        stopTreeWatch(&context)
        (isAborting, isStoppingByItself) = (false, true)
        deadline = spec.stopTimeout.map { context.now + $0 }
        let watch = context.newToken()
        enter(.terminating(watch: watch, Ending(main: main, result: .clean(nil))), &context)
        context.emit(.watchTree(watch, id))
    }

    // MARK: - Reload

    /// Runs `ExecReload=` or sends `ReloadSignal=`; false if the unit has neither or the state does not allow a reload.
    mutating func reload(_ context: inout Context) -> Bool {
        let main: Token?
        var exited: ExitStatus?
        if case .running(let running) = state {
            main = running
        } else if case .exited(let status) = state {
            // A service that stays after its exit is as active as any other (`RemainAfterExit=`).
            (main, exited) = (nil, status)
        } else {
            return false
        }
        let isSignalled = spec.type == .notifyReload && main != nil
        guard isSignalled || !spec.commands.reload.isEmpty else { return false }
        reloadFailure = nil
        repetitions = 0
        exitedBefore = exited
        deadline = spec.startTimeout.map { context.now + $0 }
        if isSignalled, let main { context.emit(.signal(main, spec.lifecycle.reloadSignal)) }
        if !spec.commands.reload.isEmpty {
            let token = spawn(.reload(0), &context)
            enter(.reloading(0, control: token, main: main), &context)
        } else if let main {
            enter(.reloadSignalled(since: context.now, main: main), &context)
        }
        return true
    }

    /// Handles `RELOADING=1`. It answers our signal only if it was sent after the signal, by its `MONOTONIC_USEC=`.
    mutating func handleReloading(_ message: NotifyMessage, _ context: inout Context) {
        (hasAnnouncedReload, hasAnnouncedStop) = (true, false)
        switch state {
        case .reloadSignalled(let since, let main):
            guard let said = message.monotonic, said.wholeNanoseconds / 1000 >= since.nanoseconds / 1000 else { return }
            enter(.reloadAnnounced(main: main), &context)
        case .running(let main):
            deadline = spec.startTimeout.map { context.now + $0 }
            enter(.reloadAnnounced(main: main), &context)
        case .waiting, .checking, .condition, .startPre, .starting, .oneshot, .forking, .awaitingMain, .probing,
            .startPost, .exited, .reloading, .reloadAnnounced, .draining, .stopping, .terminating, .killing, .stopPost,
            .sweeping, .restartWait, .inactive:
            break
        }
    }

    /// Handles the end of a reload command. After a failed reload the service keeps running, and the failure is
    /// reported.
    mutating func reloadEnded(_ index: Int, _ status: ExitStatus, main: Token?, _ context: inout Context) {
        let isRepeated = mayRepeat(status)
        let next = isRepeated ? index : index &+ 1
        if !isRepeated, !isClean(.reload(index), status) {
            reloadFailure = failed(.reload, .exited(status))
        } else if next < spec.commands.reload.count {
            let token = spawn(.reload(next), &context)
            enter(.reloading(next, control: token, main: main), &context)
            return
        }
        // The service has announced that it is still reloading.
        if hasAnnouncedReload, reloadFailure == nil { return enter(.reloadAnnounced(main: main), &context) }
        finishReload(main, &context)
        // The daemon may have replaced itself.
        if case .running = state, spec.lifecycle.hasPidFile, search == nil { seekMain(&context) }
    }

    mutating func finishReload(_ main: Token?, _ context: inout Context) {
        deadline = nil
        hasAnnouncedReload = false
        if main == nil, let status = exitedBefore {
            exitedBefore = nil
            return enter(.exited(status), &context)
        }
        enter(.running(main: main), &context)
        if hasAnnouncedStop { stopByItself(main, &context) }
    }
}
