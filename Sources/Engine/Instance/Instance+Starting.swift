import Vocabulary

/// The steps from waiting to running.
extension Instance {
    /// Begins a run: the first one, or one after `Restart=`.
    mutating func beginRun(_ context: inout Context) {
        errno = nil
        reloadFailure = nil
        statusText = nil
        (lastProbeAnswer, refusedReady, searchNote) = (nil, nil, nil)
        watchdogInterval = nil
        (endedMain, mainEnd, namedMain) = (nil, nil, nil)
        skippedBy = nil
        (startIndex, repetitions) = (0, 0)
        (hasBegun, hasStarted) = (false, false)
        (hasAnnouncedReload, hasAnnouncedStop) = (false, false)
        guard admitsStart(at: context.now) else {
            let rules = spec.restart
            let refused = failed(.start, .startLimit(rules.startLimitBurst, rules.startLimitInterval))
            context.emit(.report(.failure(group, refused)))
            // The failure that caused the restarts is more informative than the limit that ended them.
            let cause = failure ?? refused
            failure = cause
            finishRun(.failed(cause), &context, mayRestart: false)
            return
        }
        // If the limit refuses this run, OnFailure= units receive the exit status of the run before it
        // (MONITOR_EXIT_STATUS).
        mainStatus = nil
        guard spec.lifecycle.hasConditions else { return beginCommands(&context) }
        // The check does not depend on the service, so the start time-out begins only after it.
        deadline = nil
        let token = context.newToken()
        enter(.checking(token), &context)
        context.emit(.checkConditions(token, id))
    }

    /// Counts a start against `StartLimitIntervalSec=` and `StartLimitBurst=`; false if the limit is reached.
    private mutating func admitsStart(at now: Instant) -> Bool {
        let rules = spec.restart
        guard rules.startLimitInterval > .zero, rules.startLimitBurst > 0 else { return true }
        recentStarts.removeAll { now - $0 >= rules.startLimitInterval }
        guard recentStarts.count < rules.startLimitBurst else { return false }
        recentStarts.append(now)
        return true
    }

    /// `reset-failed`: clears the counted starts and restarts.
    ///
    /// - Parameter forgetsFailure: true if no operation is under way that depends on the failure of this instance.
    mutating func resetFailed(forgetsFailure: Bool) {
        recentStarts = []
        restarts = 0
        guard forgetsFailure else { return }
        if case .inactive(.failed) = state { state = .inactive(.clean(nil)) }
        if isUp || isGone { (failure, reloadFailure) = (nil, nil) }
    }

    /// Handles the result of `Condition…=` and `Assert…=`: no process was started, so none has to be ended.
    mutating func handleConditions(_ token: Token, _ verdict: ConditionVerdict, _ context: inout Context) {
        guard case .checking(token) = state else { return }
        switch verdict {
        case .met: beginCommands(&context)
        case .unmet(let text):
            reportSkip(text, &context)
            finishRun(.skipped, &context, mayRestart: false)
        case .assertFailed(let text):
            let refused = failed(.condition, .text(text))
            failure = refused
            context.emit(.report(.failure(group, refused)))
            finishRun(.failed(refused), &context, mayRestart: false)
        }
    }

    private mutating func reportSkip(_ condition: String, _ context: inout Context) {
        skippedBy = condition
        context.emit(.report(.skipped(id, condition)))
    }

    private mutating func beginCommands(_ context: inout Context) {
        hasBegun = true
        deadline = spec.startTimeout.map { context.now + $0 }
        condition(0, &context)
    }

    private mutating func condition(_ index: Int, _ context: inout Context) {
        guard index < spec.commands.condition.count else { return startPre(0, &context) }
        let token = spawn(.condition(index), &context)
        enter(.condition(index, token), &context)
    }

    private mutating func startPre(_ index: Int, _ context: inout Context) {
        guard index < spec.commands.startPre.count else { return startMain(&context) }
        let token = spawn(.startPre(index), &context)
        enter(.startPre(index, token), &context)
    }

    private mutating func startMain(_ context: inout Context) {
        switch spec.type {
        case .simple, .notify, .notifyReload: enter(.starting(main: spawn(.start(0), &context)), &context)
        case .oneshot: oneshot(0, &context)
        case .forking: enter(.forking(control: spawn(.start(0), &context)), &context)
        }
    }

    mutating func spawn(_ command: ServiceCommand, _ context: inout Context) -> Token {
        let token = context.newToken()
        context.emit(.spawn(token, id, command))
        return token
    }

    /// Handles a successful execve(2). A service without a readiness protocol waits for nothing else.
    mutating func handleSpawned(_ token: Token, _ context: inout Context) {
        if case .starting(let main) = state, main == token, spec.type == .simple { continueAfterStart(main, &context) }
    }

    /// Handles a service that reports itself up; the probe comes next, if there is one.
    mutating func continueAfterStart(_ main: Token?, _ context: inout Context) {
        if main != nil { stopTreeWatch(&context) } else if spec.type != .oneshot { watchWholeTree(&context) }
        guard spec.hasProbe else { return startPost(0, main, &context) }
        enter(.probing(main: main), &context)
        startProbe(&context)
    }

    private mutating func startPost(_ index: Int, _ main: Token?, _ context: inout Context) {
        guard index < spec.commands.startPost.count else { return started(main, &context) }
        let token = spawn(.startPost(index), &context)
        enter(.startPost(index, control: token, main: main), &context)
        if watchdogDeadline == nil { feedWatchdog(context.now) }
    }

    /// Handles the end of the last step of a start.
    mutating func started(_ main: Token?, _ context: inout Context) {
        if main == nil, search != nil { return enter(.awaitingMain(afterStartPost: true), &context) }
        deadline = nil
        failure = nil
        hasStarted = true
        if main == nil, spec.type == .oneshot {
            // systemd.service(5): "ExecStop= is run when the unit is stopped"; a oneshot that does not stay is stopped
            // at once.
            if spec.lifecycle.remainsAfterExit { return enter(.exited(.exited(0)), &context) }
            return stopRun(Ending(main: nil, result: .clean(.exited(0))), &context)
        }
        // The main process ended while `ExecStartPost=` ran.
        if main == nil, let status = mainStatus {
            if spec.lifecycle.remainsAfterExit { return enter(.exited(status), &context) }
            return stopRun(Ending(main: nil, result: .clean(status)), &context)
        }
        enter(.running(main: main), &context)
        runtimeDeadline = spec.lifecycle.runtimeMax.map { context.now + $0 }
        feedWatchdog(context.now)
        if hasAnnouncedStop { return stopByItself(main, &context) }
        // `ExecStartPost=` may have replaced the main process.
        if main != nil, spec.type != .forking, spec.lifecycle.hasPidFile, !spec.commands.startPost.isEmpty,
            search == nil
        {
            seekMain(&context)
        }
        if mandate == .onTrial, spec.hasProbe { probeDeadline = context.now + spec.probeInterval }
    }

    // MARK: - Oneshot

    private mutating func oneshot(_ index: Int, _ context: inout Context) {
        guard index < spec.commands.start.count else { return continueAfterStart(nil, &context) }
        startIndex = index
        enter(.oneshot(index, main: spawn(.start(index), &context)), &context)
    }

    mutating func oneshotEnded(_ index: Int, _ status: ExitStatus, _ context: inout Context) {
        if isClean(main: status) {
            oneshot(index &+ 1, &context)
        } else {
            failRun(failed(.start, .exited(status)), main: nil, &context)
        }
    }

    // MARK: - Forking

    /// Handles the end of the program that a forking service executed; its daemon is expected to stay.
    mutating func forkingEnded(_ status: ExitStatus, _ context: inout Context) {
        // If the exit status is lost, the daemon decides: either it exists, or no process of the service does.
        guard status == .unknown || isClean(.start(0), status) else {
            return failRun(failed(.start, .exited(status)), main: nil, &context)
        }
        if let main = namedMain {
            namedMain = nil
            return continueAfterStart(main, &context)
        }
        enter(.awaitingMain(afterStartPost: false), &context)
        seekMain(&context)
    }

    // MARK: - Probe

    private mutating func startProbe(_ context: inout Context) {
        let token = context.newToken()
        probe = token
        probeDeadline = nil
        context.emit(.probe(token, id))
    }

    mutating func stopProbe(_ context: inout Context) {
        probeDeadline = nil
        guard let token = probe else { return }
        probe = nil
        context.invalidate(token)
        context.emit(.cancelProbe(token))
    }

    mutating func probeDeadlineReached(_ context: inout Context) {
        probeDeadline = nil
        switch state {
        case .probing: startProbe(&context)
        case .running where mandate == .onTrial: startProbe(&context)
        case .running, .exited, .waiting, .checking, .condition, .startPre, .starting, .oneshot, .forking,
            .awaitingMain, .startPost, .reloading, .reloadSignalled, .reloadAnnounced, .draining, .stopping,
            .terminating, .killing, .stopPost, .sweeping, .restartWait, .inactive:
            break
        }
    }

    /// Handles an answer of the probe. Before the service is ready, "not ready" repeats the probe; later, on trial, it
    /// is a failure.
    mutating func handleProbeAnswer(_ token: Token, _ answer: ProbeAnswer, _ context: inout Context) {
        guard probe == token else { return }
        probe = nil
        switch (state, answer) {
        case (.probing(let main), .ready):
            lastProbeAnswer = nil
            startPost(0, main, &context)
        case (.probing, .notReady(let text)):
            lastProbeAnswer = text
            probeDeadline = context.now + spec.probeInterval
        case (.running, .ready):
            if mandate == .onTrial { probeDeadline = context.now + spec.probeInterval }
        case (.running, .notReady(let text)):
            guard mandate == .onTrial else { return }
            // Not signalled here: a proxy of its generation may live and must leave first (I4). The group rolls back.
            lastProbeAnswer = text
            failure = failed(.soak, .probe(text))
        case (.waiting, _), (.checking, _), (.condition, _), (.startPre, _), (.starting, _), (.oneshot, _),
            (.forking, _), (.awaitingMain, _), (.startPost, _), (.exited, _), (.reloading, _), (.reloadSignalled, _),
            (.reloadAnnounced, _), (.draining, _), (.stopping, _), (.terminating, _), (.killing, _), (.stopPost, _),
            (.sweeping, _), (.restartWait, _), (.inactive, _):
            break
        }
    }

    // MARK: - Ends of commands

    /// Handles the end of an `ExecCondition=` command: 0 continues, 1 to 254 skips the service without failing it,
    /// anything else is a failure (systemd.service(5)).
    mutating func conditionEnded(_ index: Int, _ status: ExitStatus, _ context: inout Context) {
        if mayRepeat(status) {
            condition(index, &context)
        } else if isClean(.condition(index), status) {
            condition(index &+ 1, &context)
        } else if case .exited(let code) = status, (1...254).contains(code) {
            if skippedBy == nil { reportSkip("ExecCondition= (exited with status \(code))", &context) }
            endProcesses(Ending(main: nil, result: .skipped), &context)
        } else {
            failRun(failed(.condition, .exited(status)), main: nil, &context)
        }
    }

    /// Handles an `ExecCondition=` that cannot be executed: the status for the failed step skips the service like any
    /// other status.
    mutating func conditionNotSpawned(_ index: Int, _ text: String, _ status: Int32?, _ context: inout Context) {
        if let end = endInPlaceOfSpawn(.condition(index), status) { return conditionEnded(index, end, &context) }
        guard let status, (1...254).contains(status) else {
            return failRun(failed(.condition, .spawn(text, status: status)), main: nil, &context)
        }
        reportSkip("ExecCondition= (\(text))", &context)
        conditionEnded(index, .exited(status), &context)
    }

    mutating func startPreEnded(_ index: Int, _ status: ExitStatus, _ context: inout Context) {
        if mayRepeat(status) {
            startPre(index, &context)
        } else if isClean(.startPre(index), status) {
            startPre(index &+ 1, &context)
        } else {
            failRun(failed(.startPre, .exited(status)), main: nil, &context)
        }
    }

    mutating func startPostEnded(_ index: Int, _ status: ExitStatus, main: Token?, _ context: inout Context) {
        if mayRepeat(status) {
            startPost(index, main, &context)
        } else if isClean(.startPost(index), status) {
            startPost(index &+ 1, main, &context)
        } else {
            failRun(failed(.startPost, .exited(status)), main: main, &context)
        }
    }
}

extension Array where Element == CommandCounts.MayFail {
    subscript(safely index: Int) -> Element { indices.contains(index) ? self[index] : .no }
}
