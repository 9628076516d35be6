import ControlProtocol
import Glibc

/// Several operations at once, each on a connection of its own: what is ordered among them the daemon knows, and nobody
/// should wait for the slow ones one after the other.
extension Session {
    /// The daemon takes more connections than that from one user.
    private static let atOnce = 24

    /// One name is shown with its progress; several get a line each when they are done.
    /// - Returns: the exit status of the first, in the order of the names, that is not 0.
    func operateAll(
        _ names: [String], _ verb: OperationVerb, _ request: (String) -> Request
    ) throws(CommandFailure) -> ExitStatus {
        if names.isEmpty {
            show(["Nothing to \(verb.infinitive)"])
            return .ok
        }
        if names.count == 1 { return try operate(request(names[0]), verb, names[0]) }
        Interrupts.catchThem()
        var statuses = [ExitStatus](repeating: .ok, count: names.count)
        var waiting = ArraySlice(names.indices)
        var running: [RunningCall] = []
        while !waiting.isEmpty || !running.isEmpty {
            while let next = waiting.first, running.count < Self.atOnce {
                waiting.removeFirst()
                do throws(CommandFailure) {
                    // No progress is shown, so none is asked for.
                    running.append(RunningCall(index: next, try Conversation(self, request(names[next]))))
                } catch {
                    // Without a daemon there is no point in trying the others.
                    guard case .uncertain = error else { throw error }
                    statuses[next] = report(error) { _ in .failure }
                }
            }
            guard running.isEmpty || awaitAny(running) else {
                complain("detached: what was begun goes on")
                return .interrupted
            }
            for call in running where call.isReadable {
                do throws(CommandFailure) {
                    if let result = try call.result(self) { statuses[call.index] = show(result, verb) }
                } catch {
                    switch error {
                    case .refused, .uncertain: statuses[call.index] = report(error) { _ in .failure }
                    case .connection, .failed, .unexpected, .interrupted, .local: throw error
                    }
                }
            }
            running.removeAll { $0.isOver }
        }
        return statuses.first { $0 != .ok } ?? .ok
    }

    /// Waits until one of them has something to read. False on ^C.
    private func awaitAny(_ calls: [RunningCall]) -> Bool {
        var entries = calls.map { pollfd(fd: $0.conversation.descriptor, events: Int16(POLLIN), revents: 0) }
        entries.append(pollfd(fd: Interrupts.readEnd ?? -1, events: Int16(POLLIN), revents: 0))
        while poll(&entries, nfds_t(entries.count), -1) < 0 {}
        for (call, entry) in zip(calls, entries) { call.isReadable = entry.revents != 0 }
        guard let interrupt = entries.last, interrupt.revents != 0 else { return true }
        Interrupts.take()
        return false
    }
}

/// One call that is not answered yet.
private final class RunningCall {
    let index: Int
    let conversation: Conversation
    var isReadable = false
    private(set) var isOver = false

    init(index: Int, _ conversation: Conversation) {
        self.index = index
        self.conversation = conversation
    }

    /// The result, once it is there.
    func result(_ session: Session) throws(CommandFailure) -> OperationResult? {
        isReadable = false
        isOver = true
        guard let reply = try conversation.take(), !reply.continues else {
            isOver = false
            return nil
        }
        if let refusal = reply.failure { throw .refused(refusal) }
        if session.json { session.printJSON(reply) }
        let answer: OperationReply = try session.decode(reply)
        guard let result = answer.result else { throw .unexpected("its last reply has no result") }
        return result
    }
}
