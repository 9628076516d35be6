/// From waiting to running.
extension Instance {
    /// Begins a run: the first one, or one after `Restart=`.
    mutating func begin(_ context: inout Context) {
        errno = nil
        statusText = nil
        lastProbeAnswer = nil
        guard admitsStart(at: context.now) else {
            let rules = spec.restart
            let refused = failed(.start, .startLimit(rules.startLimitBurst, rules.startLimitInterval))
            context.emit(.report(.failure(group, refused)))
            // What made it start so often tells more than the limit that ended it.
            let cause = failure ?? refused
            failure = cause
            conclude(.failed(cause), &context, mayRestart: false)
            return
        }
        deadline = spec.startTimeout.map { context.now + $0 }
        condition(0, &context)
    }

    /// `StartLimitIntervalSec=` and `StartLimitBurst=`, counted per instance.
    private mutating func admitsStart(at now: Instant) -> Bool {
        let rules = spec.restart
        guard rules.startLimitInterval > .zero, rules.startLimitBurst > 0 else { return true }
        recentStarts.removeAll { now - $0 >= rules.startLimitInterval }
        guard recentStarts.count < rules.startLimitBurst else { return false }
        recentStarts.append(now)
        return true
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
        let token = spawn(.start, &context)
        enter(.starting(main: token), &context)
    }

    private mutating func spawn(_ command: ServiceCommand, _ context: inout Context) -> Token {
        let token = context.newToken()
        context.emit(.spawn(token, id, command))
        return token
    }

    /// execve(2) succeeded. For a service without a readiness protocol that is all there is to wait for.
    mutating func spawned(_ token: Token, _ context: inout Context) {
        if case .starting(let main) = state, main == token, spec.type == .simple { cameUp(main, &context) }
    }

    /// Up by its own word; now by the probe's.
    private mutating func cameUp(_ main: Token, _ context: inout Context) {
        guard spec.hasProbe else { return startPost(0, main, &context) }
        enter(.probing(main: main), &context)
        startProbe(&context)
    }

    private mutating func startPost(_ index: Int, _ main: Token, _ context: inout Context) {
        guard index < spec.commands.startPost.count else {
            deadline = nil
            failure = nil
            enter(.running(main: main), &context)
            if mandate == .onTrial, spec.hasProbe { probeDeadline = context.now + spec.probeInterval }
            return
        }
        let token = spawn(.startPost(index), &context)
        enter(.startPost(index, control: token, main: main), &context)
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
        context.drop(token)
        context.emit(.cancelProbe(token))
    }

    mutating func probeDeadlineReached(_ context: inout Context) {
        probeDeadline = nil
        switch state {
        case .probing: startProbe(&context)
        case .running where mandate == .onTrial: startProbe(&context)
        case .running, .waiting, .condition, .startPre, .starting, .startPost, .reloading, .draining, .stopping,
            .terminating, .killing, .stopPost, .sweeping, .restartWait, .inactive:
            break
        }
    }

    /// Until it is ready, "not ready" means ask again; afterwards, on trial, it means that it broke.
    mutating func probeAnswered(_ token: Token, _ answer: ProbeAnswer, _ context: inout Context) {
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
            // Not signalled here: a proxy of its generation may live, and leaves first (I4). The group rolls back.
            lastProbeAnswer = text
            failure = failed(.soak, .probe(text))
        case (.waiting, _), (.condition, _), (.startPre, _), (.starting, _), (.startPost, _), (.reloading, _),
            (.draining, _), (.stopping, _), (.terminating, _), (.killing, _), (.stopPost, _), (.sweeping, _),
            (.restartWait, _), (.inactive, _):
            break
        }
    }

    // MARK: - Notify

    mutating func notified(_ sender: Event.Sender, _ message: NotifyMessage, _ context: inout Context) {
        guard hasProcesses, accepts(sender) else { return }
        if let text = message.status { statusText = text }
        if let number = message.errno { errno = number }
        // It can only be prolonged (`EXTEND_TIMEOUT_USEC=` in sd_notify(3)).
        if let prolonged = message.extendTimeout, let limit = deadline {
            deadline = max(limit, context.now + prolonged)
        }
        if message.ready, case .starting(let main) = state, spec.type == .notify { cameUp(main, &context) }
    }

    /// What is said about a run that is over, or has not begun, comes too late (I6).
    private var hasProcesses: Bool {
        switch state {
        case .waiting, .restartWait, .inactive: false
        case .condition, .startPre, .starting, .probing, .startPost, .running, .reloading, .draining, .stopping,
            .terminating, .killing, .stopPost, .sweeping:
            true
        }
    }

    private func accepts(_ sender: Event.Sender) -> Bool {
        switch (spec.notifyAccess, sender) {
        case (.none, _): false
        case (.main, .process(let token)): token == mainProcess
        case (.exec, .process(let token)): token == mainProcess || token == controlProcess
        case (.main, .other), (.exec, .other): false
        case (.all, .process(let token)): token == mainProcess || token == controlProcess
        case (.all, .other): true
        }
    }

    /// `MAINPID=` named another process of the tree.
    mutating func mainProcessChanged(_ token: Token, _ context: inout Context) {
        switch state {
        case .starting: state = .starting(main: token)
        case .probing: state = .probing(main: token)
        case .startPost(let index, let control, _): state = .startPost(index, control: control, main: token)
        case .running: state = .running(main: token)
        case .reloading(let index, let control, _): state = .reloading(index, control: control, main: token)
        case .draining: state = .draining(main: token)
        case .stopping(let index, let control, var ending):
            ending.main = token
            state = .stopping(index, control: control, ending)
        case .terminating(let watch, var ending):
            ending.main = token
            state = .terminating(watch: watch, ending)
        case .waiting, .condition, .startPre, .killing, .stopPost, .sweeping, .restartWait, .inactive:
            break
        }
    }

    // MARK: - Steps that ended

    /// A condition ended: 0 goes on, 1 to 254 skips the service without failing it, the rest is a failure
    /// (`ExecCondition=` in systemd.service(5)).
    mutating func conditionEnded(_ index: Int, _ status: ExitStatus, _ context: inout Context) {
        switch status {
        // Nobody saw how it ended (the supervisor was killed meanwhile): asked once more.
        case .unknown: condition(index, &context)
        case .exited(0): condition(index + 1, &context)
        case .exited(1...254): windDown(Ending(main: nil, result: .skipped), &context)
        case .exited, .signalled:
            if spec.commands.condition[safely: index] == .yes {
                condition(index + 1, &context)
            } else {
                fail(failed(.condition, .exited(status)), main: nil, &context)
            }
        }
    }

    mutating func startPreEnded(_ index: Int, _ status: ExitStatus, _ context: inout Context) {
        if status == .unknown {
            startPre(index, &context)
        } else if spec.restart.isClean(status) || spec.commands.startPre[safely: index] == .yes {
            startPre(index + 1, &context)
        } else {
            fail(failed(.startPre, .exited(status)), main: nil, &context)
        }
    }

    mutating func startPostEnded(_ index: Int, _ status: ExitStatus, main: Token, _ context: inout Context) {
        if status == .unknown {
            startPost(index, main, &context)
        } else if spec.restart.isClean(status) || spec.commands.startPost[safely: index] == .yes {
            startPost(index + 1, main, &context)
        } else {
            fail(failed(.startPost, .exited(status)), main: main, &context)
        }
    }

    // MARK: - Reload

    /// Runs `ExecReload=`; false if there is none or the service is not in a state for it.
    mutating func reload(_ context: inout Context) -> Bool {
        guard case .running(let main) = state, !spec.commands.reload.isEmpty else { return false }
        failure = nil
        let token = spawn(.reload(0), &context)
        deadline = spec.startTimeout.map { context.now + $0 }
        enter(.reloading(0, control: token, main: main), &context)
        return true
    }

    /// A reload that fails leaves the service running as it was; the failure is told.
    mutating func reloadEnded(_ index: Int, _ status: ExitStatus, main: Token, _ context: inout Context) {
        // Once more, if nobody saw how it ended.
        let next = status == .unknown ? index : index + 1
        if status != .unknown, !spec.restart.isClean(status), spec.commands.reload[safely: index] != .yes {
            failure = failed(.reload, .exited(status))
        } else if next < spec.commands.reload.count {
            let token = spawn(.reload(next), &context)
            enter(.reloading(next, control: token, main: main), &context)
            return
        }
        deadline = nil
        enter(.running(main: main), &context)
    }
}

extension Array where Element == CommandCounts.MayFail {
    subscript(safely index: Int) -> Element { indices.contains(index) ? self[index] : .no }
}
