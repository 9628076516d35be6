// [Socket]: activation by traffic, and commands before and after opening and closing.

extension UnitBuilder {
    mutating func applyActivation(_ directive: SocketDirective, _ assignment: Assignment) {
        switch directive {
        case .service:
            let names = names(assignment, kinds: [.service], instantiate: true, .fatal)
            // As under systemd, an empty assignment resets nothing.
            if assignment.value.isEmpty {
                reject(assignment, ValueError("expected the name of a service"), .ignored)
            } else if names.count > 1 {
                reject(assignment, ValueError("expected the name of one service"), .fatal)
            } else {
                socket.service = names.first
            }
        case .accept:
            if let accept = value(assignment, .fatal, Value.boolean) { socket.activation.accept = accept }
        case .maxConnections: setCount(\.maxConnections, assignment)
        case .maxConnectionsPerSource: setCount(\.maxConnectionsPerSource, assignment)
        case .flushPending:
            if let flush = value(assignment, .ignored, Value.boolean) { socket.activation.flushPending = flush }
        case .triggerLimitIntervalSec:
            if let span = value(assignment, .ignored, TimeSpan.parse) { socket.activation.triggerInterval = span }
        case .pollLimitIntervalSec:
            if let span = value(assignment, .ignored, TimeSpan.parse) { socket.activation.pollInterval = span }
        case .triggerLimitBurst:
            if let burst = number(assignment, .ignored, in: 0...UInt32.max) { socket.activation.triggerBurst = burst }
        case .pollLimitBurst:
            if let burst = number(assignment, .ignored, in: 0...UInt32.max) { socket.activation.pollBurst = burst }
        case .idleStopSec: idleStop(assignment)
        default: break
        }
    }

    mutating func applySocketCommand(_ directive: SocketDirective, _ assignment: Assignment) {
        switch directive {
        case .execStartPre: add(\.execStartPre, assignment)
        case .execStartPost: add(\.execStartPost, assignment)
        case .execStopPre: add(\.execStopPre, assignment)
        case .execStopPost: add(\.execStopPost, assignment)
        case .timeoutSec:
            guard var limit = value(assignment, .ignored, TimeSpan.parse) else { return }
            if limit == .after(.zero) { limit = .infinite }
            socket.activation.timeout = limit
        default: break
        }
    }

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
