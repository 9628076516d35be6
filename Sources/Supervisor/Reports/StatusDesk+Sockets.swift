import ControlProtocol
import Engine
import Linux
import UnitFiles

/// Socket units in the `Why` and `Show` calls.
extension StatusDesk {
    func why(ofSocket name: UnitName) -> WhyReply {
        let state = host.status(ofSocket: name).state
        let held = explanations.socketStatus().sockets.filter { $0.unit == name.description }
        var findings = held.flatMap { [finding($0)] + changes($0) }
        if held.isEmpty { findings = [Finding(text: "it is not open", hint: "holdfastctl start \(name)")] }
        findings += explanations.remarks(ofSocket: name).map { Finding(text: $0) }
        findings += self.findings(for: planning.resolver.load(name).diagnostics, of: name)
        return WhyReply(unit: name.description, state: state, findings: findings)
    }

    private func changes(_ socket: SocketStatus) -> [Finding] {
        (socket.changes ?? []).map { change in
            let text = "\(socket.address): \(change.sentence) (\(change.at))"
            guard change.problem != nil, let holder = socket.holders.last?.unit else { return Finding(text: text) }
            // A restarted unit gets another socket if this one cannot be repaired.
            return Finding(text: text, hint: "holdfastctl restart \(holder)")
        }
    }

    private func finding(_ socket: SocketStatus) -> Finding {
        if let reason = socket.reason { return Finding(text: reason, hint: "holdfastctl start \(socket.unit)") }
        var text: String
        let service = socket.service ?? "its service"
        switch socket.state {
        case .starting: text = "it is being opened: its commands run"
        case .stopping: text = "it is being closed: its commands run"
        case .listening: text = "a connection to \(socket.address) starts \(service)"
        case .cooling: text = "connections to \(socket.address) wait: its poll limit is reached (PollLimitBurst=)"
        case .running: text = "\(service) accepts connections at \(socket.address)"
        case .failed: text = "it has failed"
        case .held:
            let holders = Set(socket.holders.map(\.unit)).sorted()
            text =
                holders.isEmpty
                ? "it is held at \(socket.address), and no service has it: connections wait"
                : "it is held at \(socket.address); \(holders.joined(separator: ", ")) accept\(holders.count == 1 ? "s" : "") from it"
        }
        if let queued = socket.queued, queued > 0 { text += "; \(queued) connection\(queued == 1 ? "" : "s") wait" }
        guard socket.paused else { return Finding(text: text) }
        return Finding(text: "it is paused: new connections wait", hint: "holdfastctl resume \(socket.unit)")
    }

    /// Properties of a socket unit, with systemd's name where systemd has the same property (systemctl(1),
    /// org.freedesktop.systemd1(5)).
    func properties(ofSocket name: UnitName) -> [(name: String, value: String)] {
        let status = host.status(ofSocket: name)
        var list = [("State", status.state.rawValue)]
        if let since = status.since { list.append(("StateChangeTimestamp", since)) }
        for socket in explanations.socketStatus().sockets where socket.unit == name.description {
            let kind = socket.kind.rawValue.map { $0 == "_" ? " " : String($0) }.joined()
            list.append(("Listen", "\(socket.address) (\(kind))"))
            list.append(("SubState", socket.state.rawValue))
            list.append(("Scope", socket.scope.rawValue))
            list.append(("Paused", socket.paused ? "yes" : "no"))
            let numbers = [
                ("Generation", socket.generation), ("NQueued", socket.queued), ("NTriggered", socket.triggered),
                ("NConnections", socket.connections), ("NAccepted", socket.accepted),
            ]
            list += numbers.compactMap { name, number in number.map { (name, String($0)) } }
            if let service = socket.service { list.append(("Triggers", service)) }
            for holder in socket.holders {
                list.append(("HeldBy", holder.unit + (holder.generation.map { " (\($0))" } ?? "")))
            }
            if let reason = socket.reason { list.append(("Reason", reason)) }
        }
        return list
    }
}
