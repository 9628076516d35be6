import Vocabulary

/// Messages of services by sd_notify(3): which of them count, and their effects.
extension Instance {
    mutating func handleNotification(_ sender: Event.Sender, _ message: NotifyMessage, _ context: inout Context) {
        guard hasProcesses else { return }
        guard accepts(sender) else {
            if message.ready { refusedReady = message.sender ?? refusedReady }
            return
        }
        if let text = message.status { statusText = text }
        if let number = message.errno { errno = number }
        if message.restartReset { restarts = 0 }
        if message.reloading { handleReloading(message, &context) }
        if message.ready { handleReady(&context) }
        if message.stopping { handleStopping(&context) }
        // Applied after the state messages: `STOPPING=1` with `EXTEND_TIMEOUT_USEC=` prolongs `TimeoutStopSec=`.
        if let prolonged = message.extendTimeout { extendTimeouts(to: context.now + prolonged) }
        if let interval = message.watchdogInterval {
            watchdogInterval = interval
            feedWatchdog(context.now)
        }
        switch message.watchdog {
        case .keepAlive: feedWatchdog(context.now)
        case .trigger: watchdogExpired(&context)
        case nil: break
        }
    }

    private mutating func handleReady(_ context: inout Context) {
        (hasAnnouncedReload, hasAnnouncedStop) = (false, false)
        switch state {
        case .starting(let main):
            if spec.type == .notify || spec.type == .notifyReload { continueAfterStart(main, &context) }
        case .reloadAnnounced(let main): finishReload(main, &context)
        case .waiting, .checking, .condition, .startPre, .oneshot, .forking, .awaitingMain, .probing, .startPost,
            .running, .exited, .reloading, .reloadSignalled, .draining, .stopping, .terminating, .killing, .stopPost,
            .sweeping, .restartWait, .inactive:
            break
        }
    }

    /// False before a run has begun and after it is over: a message is then too late (I6).
    private var hasProcesses: Bool {
        switch state {
        case .waiting, .checking, .restartWait, .inactive: false
        case .condition, .startPre, .starting, .oneshot, .forking, .awaitingMain, .probing, .startPost, .running,
            .exited, .reloading, .reloadSignalled, .reloadAnnounced, .draining, .stopping, .terminating, .killing,
            .stopPost, .sweeping:
            true
        }
    }

    /// True if `NotifyAccess=` lets messages of this sender count.
    func accepts(_ sender: Event.Sender) -> Bool {
        role(of: sender).map(spec.notifyAccess.allows) ?? false
    }

    /// nil for a process whose end has been handled (I6).
    private func role(of sender: Event.Sender) -> NotifyAccess.SenderRole? {
        guard case .process(let token) = sender else { return .other }
        // It has ended, and its successor is being searched for.
        if token == endedMain { return nil }
        if token == mainProcess { return .main }
        if token == controlProcess { return .command }
        // A main process that has handed over to another one may still send.
        return openTokens.contains(token) ? .other : nil
    }
}

extension NotifyAccess {
    /// The part that the sender of a message has in its service.
    public enum SenderRole: Sendable, CaseIterable { case main, command, other }

    /// True if messages of such a process count; only then it gets `$NOTIFY_SOCKET`. The table of systemd's
    /// service_exec_needs_notify_socket().
    public func allows(_ role: SenderRole) -> Bool {
        switch (self, role) {
        case (.none, _), (.main, .command), (.main, .other), (.exec, .other): false
        case (.main, .main), (.exec, .main), (.exec, .command), (.all, _): true
        }
    }
}

extension ServiceCommand {
    /// The part that the command's process has as a sender of messages.
    public var senderRole: NotifyAccess.SenderRole {
        switch self {
        case .start: .main
        case .condition, .startPre, .startPost, .reload, .stop, .stopPost: .command
        }
    }
}

extension Engine {
    /// True if `NotifyAccess=` of the service lets messages of this sender count. The engine applies it to `notified` by
    /// itself; the supervisor asks for fields that it handles (`MAINPID=`, `FDSTORE=1`).
    public func accepts(messagesFrom sender: Event.Sender, of id: InstanceID) -> Bool {
        instances[id]?.accepts(sender) ?? false
    }
}
