/// Requests of the group that a service leave.
extension Instance {
    /// Asks the instance to leave gracefully: it finishes the work it has accepted.
    mutating func retire(_ context: inout Context) {
        guard mandate != .leaving else { return }
        mandate = .leaving
        stopProbe(&context)
        switch state {
        case .waiting: finishRun(.clean(nil), &context, mayRestart: false)
        // The restart it waits for is cancelled, so the failure of its last run does not remain as its final state.
        case .restartWait: finishRun(.clean(nil), &context, mayRestart: false)
        case .checking: finishRun(.clean(nil), &context, mayRestart: false)
        case .condition(let index, let token): retireFrom(.condition(index), token, main: nil, &context)
        case .startPre(let index, let token): retireFrom(.startPre(index), token, main: nil, &context)
        case .forking(let token): retireFrom(.start(0), token, main: namedMain, &context)
        case .awaitingMain: terminate(Ending(main: nil, result: .clean(nil)), &context)
        case .oneshot(_, let main): terminate(Ending(main: main, result: .clean(nil)), &context)
        case .starting(let main): retireEarly(main, &context)
        case .probing(let main): retireEarly(main, &context)
        case .reloadSignalled(_, let main): drain(main, &context)
        case .startPost(let index, let token, let main):
            // The service is not up yet, so there is nothing for `ExecStop=` to stop; but it may have accepted
            // connections.
            if spec.drain == nil {
                retireFrom(.startPost(index), token, main: main, &context)
            } else {
                drain(main, &context)
            }
        case .running(let main), .reloading(_, _, let main), .reloadAnnounced(let main): drain(main, &context)
        case .exited: stopRun(Ending(main: nil, result: .clean(nil)), &context)
        case .stopping, .terminating, .killing, .stopPost, .sweeping: endExtension(context.now)
        case .draining, .inactive: break
        }
    }

    /// Retires an instance while one of its commands runs: that command is ended too, and its exit status counts.
    private mutating func retireFrom(
        _ command: ServiceCommand, _ token: Token, main: Token?, _ context: inout Context
    ) {
        let control = Control(token: token, command: command)
        terminate(Ending(main: main, result: .clean(nil), control: control), &context)
    }

    private mutating func retireEarly(_ main: Token?, _ context: inout Context) {
        // Sharing starts at accept(), not at "ready": a service that accepts from the public socket may have taken
        // connections already.
        if spec.acceptsShared {
            drain(main, &context)
        } else {
            terminate(Ending(main: main, result: .clean(nil)), &context)
        }
    }

    private mutating func drain(_ main: Token?, _ context: inout Context) {
        // A main process that has just ended may have a successor, which is drained when it is found.
        if endedMain == nil { stopSearch(&context) }
        stopTreeWatch(&context)
        guard let drain = spec.drain, let main else {
            return stopRun(Ending(main: main, result: .clean(nil)), &context)
        }
        switch drain.method {
        case .signal(let signal):
            isDraining = true
            context.emit(.signal(main, signal))
            deadline = drain.timeout.map { context.now + $0 }
            enter(.draining(main: main), &context)
        case .stopCommands:
            isDraining = true
            stopRun(Ending(main: main, result: .clean(nil)), &context)
            if case .stopping = state { deadline = drain.timeout.map { context.now + $0 } }
        }
    }

    /// Announces the kill signal to a service that drains, while its connections are still open.
    func cutConnections(_ context: inout Context) {
        context.emit(.report(.cutting(id)))
    }

    /// Ends the wait at an operator's request: the kill signal now, or SIGKILL if that was sent already.
    mutating func endNow(_ context: inout Context) {
        switch state {
        case .draining(let main):
            cutConnections(&context)
            terminate(Ending(main: main, result: .clean(nil)), &context)
        case .stopping(_, _, let ending):
            if isDraining { cutConnections(&context) }
            terminate(ending, &context)
        case .terminating(let watch, let ending):
            if isStoppingByItself {
                signalStoppingService(watch, ending, &context)
            } else {
                kill(watch, ending, &context)
            }
        case .waiting, .checking, .condition, .startPre, .starting, .oneshot, .forking, .awaitingMain, .probing,
            .startPost, .running, .exited, .reloading, .reloadSignalled, .reloadAnnounced, .killing, .stopPost,
            .sweeping, .restartWait, .inactive:
            break
        }
    }
}
