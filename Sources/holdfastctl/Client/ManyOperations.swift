import ControlProtocol
import Glibc

/// Several operations at once, each on a connection of its own: the daemon orders them, and slow ones need not be
/// waited for one after the other.
extension Session {
    /// The most operations at once; the daemon accepts more connections from one user than that.
    private static let maximumAtOnce = 24

    /// Runs one operation for each name. One name is shown with its progress; several get a line each at their end.
    /// - Returns: the first exit status, in the order of the names, that is not 0.
    func operateAll(
        _ names: [String], _ verb: OperationVerb, _ request: (String) -> Request
    ) throws(CommandFailure) -> CommandStatus {
        if names.isEmpty {
            show(["Nothing to \(verb.infinitive)"])
            return .ok
        }
        if names.count == 1 { return try operate(request(names[0]), verb, names[0]) }
        Interrupts.install()
        var statuses = [CommandStatus](repeating: .ok, count: names.count)
        var waiting = ArraySlice(names.indices)
        var running: [RunningCall] = []
        while !waiting.isEmpty || !running.isEmpty {
            while let next = waiting.first, running.count < Self.maximumAtOnce {
                waiting.removeFirst()
                do throws(CommandFailure) {
                    // Progress is not shown, so it is not requested.
                    running.append(RunningCall(index: next, try Conversation(self, request(names[next]))))
                } catch {
                    // Without a daemon the other operations would fail, too.
                    guard case .uncertain = error else { throw error }
                    statuses[next] = report(error) { _ in .failure }
                }
            }
            guard running.isEmpty || waitForAny(running) else {
                printError("detached: the operations continue")
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
            running.removeAll { $0.isFinished }
        }
        return statuses.first { $0 != .ok } ?? .ok
    }

    /// Waits until one of the connections is readable. False on ^C.
    private func waitForAny(_ calls: [RunningCall]) -> Bool {
        var entries = calls.map { pollfd(fd: $0.conversation.descriptor, events: Int16(POLLIN), revents: 0) }
        entries.append(pollfd(fd: Interrupts.readEnd ?? -1, events: Int16(POLLIN), revents: 0))
        while poll(&entries, nfds_t(entries.count), -1) < 0 {}
        for (call, entry) in zip(calls, entries) { call.isReadable = entry.revents != 0 }
        guard let interrupt = entries.last, interrupt.revents != 0 else { return true }
        Interrupts.clear()
        return false
    }
}

/// One call without a result so far.
private final class RunningCall {
    let index: Int
    let conversation: Conversation
    var isReadable = false
    private(set) var isFinished = false

    init(index: Int, _ conversation: Conversation) {
        self.index = index
        self.conversation = conversation
    }

    /// The result; nil if there is none yet.
    func result(_ session: Session) throws(CommandFailure) -> OperationResult? {
        isReadable = false
        isFinished = true
        guard let reply = try conversation.receiveReply(), !reply.continues else {
            isFinished = false
            return nil
        }
        if let refusal = reply.failure { throw .refused(refusal) }
        if session.json { session.printJSON(reply) }
        let answer: OperationReply = try session.decode(reply)
        guard let result = answer.result else { throw .unexpected("its last reply has no result") }
        return result
    }
}
