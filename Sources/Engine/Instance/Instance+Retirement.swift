/// Requests of the group that a service leaves.
extension Instance {
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
        case .stopping, .terminating, .killing, .stopPost, .sweeping: endExtension(context.now)
        case .draining, .inactive: break
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
        case .terminating(let watch, let ending):
            if stopsItself { stopWaiting(watch, ending, &context) } else { kill(watch, ending, &context) }
        case .waiting, .checking, .condition, .startPre, .starting, .oneshot, .forking, .awaitingMain, .probing,
            .startPost, .running, .exited, .reloading, .reloadSignalled, .reloadAnnounced, .killing, .stopPost,
            .sweeping, .restartWait, .inactive:
            break
        }
    }
}
