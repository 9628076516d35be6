import ControlProtocol
import Engine
import Linux
import UnitFiles

/// Requests for socket units, and their answers.
extension Supervisor {
    func pauseSocket(_ name: String, _ call: ControlSessions.CallID, _ peer: Peer) throws(ControlError) {
        let id = SocketID(try planning.unitName(name, kinds: [.socket]).description)
        let held = socketUnits.allSockets(id)
        if held.isEmpty, generations.values.contains(where: { $0.sockets[id.name] != nil }) {
            throw .failed(
                message: "cannot pause \(id): each generation has its own; pause the shared socket in front of it")
        }
        socketUnits.pause(id, users: users(of: held), newRequest(call: call, peer: peer))
    }

    func resumeSocket(_ name: String, _ call: ControlSessions.CallID, _ peer: Peer) throws(ControlError) {
        let id = SocketID(try planning.unitName(name, kinds: [.socket]).description)
        socketUnits.handle(.resume(id, newRequest(call: call, peer: peer)))
    }

    /// Names of services with processes that have one of the sockets.
    private func users(of held: [HeldSocket]) -> [String] {
        let users = instances.values.filter { instance in
            instance.tree != nil
                && generations.sockets(of: instance).contains { socket in held.contains { $0 === socket } }
        }
        return Set(users.map(\.name)).sorted()
    }

    func answerSocketRequest(_ request: RequestID, _ id: SocketID, _ answer: SocketAnswer) {
        guard let pending = requests.remove(request) else { return }
        func done(_ outcome: OperationOutcome, _ notes: [String] = []) {
            requests.end(
                pending, request, OperationResult(outcome: outcome, unit: id.name, notes: notes + pending.notes))
        }
        switch answer {
        case .started:
            let places = socketUnits.heldSockets(id).map(\.endpoint.text).joined(separator: ", ")
            done(.started, ["listening on \(places)"] + (socketUnits.started[id]?.remarks ?? []))
        case .stopped: done(.stopped)
        case .unchanged: done(.unchanged)
        case .paused, .resumed: done(.completed)
        case .failed(let failure): fail(pending, request, "cannot start \(id): \(Wording.sentence(failure))", id)
        case .notOpen: fail(pending, request, "cannot pause \(id): it is not open", id)
        case .notPaused: fail(pending, request, "\(id) is not paused", id)
        case .cannotPause(let users):
            let text = """
                cannot pause \(id): \(users.joined(separator: ", ")) accepts from it, and only new TCP connections can be held \
                back from a process that does; stop it first, then connections queue
                """
            fail(pending, request, text, id)
        }
    }

    private func fail(_ pending: PendingRequest, _ request: RequestID, _ text: String, _ id: SocketID) {
        guard pending.batch == nil else {
            let report = FailureReport(unit: id.name, phase: .prepare, message: text)
            return requests.end(pending, request, OperationResult(outcome: .failed, unit: id.name, reason: report))
        }
        requests.conclude(pending, Reply(.failed(message: text)))
    }
}
