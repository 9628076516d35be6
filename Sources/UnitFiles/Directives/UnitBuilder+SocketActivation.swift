// [Socket]: activation by traffic, and commands before and after opening and closing.

extension UnitBuilder {
    /// [Socket]: activation by traffic, and commands before and after opening and closing.
    static let activationDirectives: [Directive] = [
        Directive("Service", .socket, in: .socket) {
            let names = $0.names($1, kinds: [.service], instantiate: true, .fatal)
            // As under systemd, an empty $1 resets nothing.
            if $1.value.isEmpty {
                $0.reject($1, ValueError("expected the name of a service"), .ignored)
            } else if names.count > 1 {
                $0.reject($1, ValueError("expected the name of one service"), .fatal)
            } else {
                $0.socket.service = names.first
            }
        },
        Directive("Accept", .socket, in: .socket) {
            if let accept = $0.value($1, .fatal, Value.boolean) { $0.socket.activation.accept = accept }
        },
        Directive("MaxConnections", .socket, in: .socket) { $0.setCount(\.maxConnections, $1) },
        Directive("MaxConnectionsPerSource", .socket, in: .socket) { $0.setCount(\.maxConnectionsPerSource, $1) },
        Directive("FlushPending", .socket, in: .socket) {
            if let flush = $0.value($1, .ignored, Value.boolean) { $0.socket.activation.flushPending = flush }
        },
        Directive("TriggerLimitIntervalSec", .socket, in: .socket) {
            if let span = $0.value($1, .ignored, TimeSpan.parse) { $0.socket.activation.triggerInterval = span }
        },
        Directive("PollLimitIntervalSec", .socket, in: .socket) {
            if let span = $0.value($1, .ignored, TimeSpan.parse) { $0.socket.activation.pollInterval = span }
        },
        Directive("TriggerLimitBurst", .socket, in: .socket) {
            if let burst = $0.number($1, .ignored, in: 0...UInt32.max) { $0.socket.activation.triggerBurst = burst }
        },
        Directive("PollLimitBurst", .socket, in: .socket) {
            if let burst = $0.number($1, .ignored, in: 0...UInt32.max) { $0.socket.activation.pollBurst = burst }
        },
        Directive("X-IdleStopSec", .holdfast, in: .socket) { $0.idleStop($1) },
        Directive("ExecStartPre", .socket, in: .socket) { $0.add(\.execStartPre, $1) },
        Directive("ExecStartPost", .socket, in: .socket) { $0.add(\.execStartPost, $1) },
        Directive("ExecStopPre", .socket, in: .socket) { $0.add(\.execStopPre, $1) },
        Directive("ExecStopPost", .socket, in: .socket) { $0.add(\.execStopPost, $1) },
        Directive("TimeoutSec", .socket, in: .socket) {
            guard var limit = $0.value($1, .ignored, TimeSpan.parse) else { return }
            if limit == .after(.zero) { limit = .infinite }
            $0.socket.activation.timeout = limit
        },
    ]

    private mutating func add(
        _ path: WritableKeyPath<SocketActivationSettings, [ExecCommand]>, _ assignment: Assignment
    ) {
        if assignment.value.isEmpty {
            socket.activation[keyPath: path] = []
        } else {
            socket.activation[keyPath: path] += commands(assignment)
        }
    }

    private mutating func setCount(
        _ path: WritableKeyPath<SocketActivationSettings, UInt32>, _ assignment: Assignment
    ) {
        if let count = number(assignment, .ignored, in: 0...UInt32.max) {
            socket.activation[keyPath: path] = count
        }
    }

    private mutating func idleStop(_ assignment: Assignment) {
        if assignment.value.isEmpty {
            socket.activation.idleStop = nil
            return
        }
        guard let limit = value(assignment, .ignored, TimeSpan.parse) else { return }
        switch limit {
        case .infinite, .after(.zero): socket.activation.idleStop = nil
        // The lower bound keeps the supervisor from spending its time on counting connections.
        case .after(let span): socket.activation.idleStop = max(span, .milliseconds(100))
        }
    }
}
