import Vocabulary

/// The search for the main process: after a forking start, and after the end of a main process that may have a
/// successor.
extension Instance {
    /// Handles the end of a process. A daemon of any type may hand over to a successor if its PID file names the
    /// successor first.
    mutating func handleExit(_ token: Token, _ status: ExitStatus, _ context: inout Context) {
        if namedMain == token { namedMain = nil }
        guard mayHaveSuccessor(token) else { return handleEnd(token, status, &context) }
        // The result of an earlier search is older than this end.
        (endedMain, mainEnd) = (token, status)
        seekMain(&context)
    }

    private func mayHaveSuccessor(_ token: Token) -> Bool {
        guard spec.lifecycle.hasPidFile, mainProcess == token else { return false }
        switch state {
        case .starting, .oneshot, .probing, .startPost, .running, .reloading, .reloadSignalled, .reloadAnnounced,
            .draining, .stopping:
            return true
        case .waiting, .checking, .condition, .startPre, .forking, .awaitingMain, .exited, .terminating, .killing,
            .stopPost, .sweeping, .restartWait, .inactive:
            return false
        }
    }

    mutating func seekMain(_ context: inout Context) {
        stopSearch(&context)
        let token = context.newToken()
        search = token
        context.emit(.seekMain(token, id))
    }

    mutating func handleMainSearch(_ token: Token, _ answer: MainSearch, _ context: inout Context) {
        guard search == token else { return }
        if let ended = endedMain { return handleSuccessorSearch(ended, answer, &context) }
        switch (answer, state) {
        case (.found(let main), .awaitingMain(afterStartPost: false)):
            search = nil
            continueAfterStart(main, &context)
        case (.found(let main), .awaitingMain(afterStartPost: true)):
            search = nil
            stopTreeWatch(&context)
            started(main, &context)
        case (.found(let main), _):
            search = nil
            mainEnd = nil
            changeMainProcess(main, &context)
        case (.absent, .awaitingMain):
            search = nil
            continueAfterStart(nil, &context)
        case (.later, .awaitingMain(afterStartPost: true)), (.later, .startPost), (.later, .probing):
            watchWholeTree(&context)
        case (.later, .awaitingMain(afterStartPost: false)):
            // The supervisor sends `mainSought` again once the PID file appears, so the search stays open.
            if spec.commands.startPost.isEmpty { watchWholeTree(&context) } else { continueAfterStart(nil, &context) }
        case (.absent, _), (.later, _):
            stopSearch(&context)
            // The main process has ended, and no other process has taken its place.
            guard let status = mainEnd else { return }
            mainEnd = nil
            mainEnded(mandate == .onTrial ? .soak : .run, status, &context)
        }
    }

    mutating func recordSearchNote(_ token: Token, _ note: SearchNote, _ context: inout Context) {
        guard search == token else { return }
        searchNote = note
    }

    /// Handles the result of the search for a successor of the main process that ended.
    private mutating func handleSuccessorSearch(_ ended: Token, _ answer: MainSearch, _ context: inout Context) {
        let status = mainEnd ?? .unknown
        (endedMain, mainEnd) = (nil, nil)
        switch answer {
        case .found(let main):
            search = nil
            changeMainProcess(main, &context)
            // The drain signal went only to the predecessor.
            if case .draining = state, case .signal(let signal) = spec.drain?.method {
                context.emit(.signal(main, signal))
            }
        case .absent, .later:
            stopSearch(&context)
            handleEnd(ended, status, &context)
        }
    }

    mutating func stopSearch(_ context: inout Context) {
        guard let token = search else { return }
        search = nil
        context.invalidate(token)
        context.emit(.cancelSearch(token))
    }
}
