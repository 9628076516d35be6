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
        let began = Int64(time(nil))
        while !waiting.isEmpty || !running.isEmpty {
            while let next = waiting.first, running.count < Self.atOnce {
                waiting.removeFirst()
                do throws(CommandFailure) {
                    running.append(RunningCall(index: next, connection: try begin(request(names[next]))))
                } catch {
                    // Without a daemon there is no point in trying the others.
                    guard case .refused = error else { throw error }
                    statuses[next] = report(error) { _ in .failure }
                }
            }
            guard try awaitAny(running) else {
                complain("detached: what was begun goes on")
                return .interrupted
            }
            for call in running {
                do throws(CommandFailure) {
                    if let result = try call.result(self) { statuses[call.index] = show(result, verb) }
                } catch {
                    switch error {
                    case .refused: statuses[call.index] = report(error) { _ in .failure }
                    case .connection(.closed):
                        let result = try laterResult(error, names[call.index], since: began)
                        printJSON(OperationReply(result: result))
                        statuses[call.index] = show(result, verb)
                    case .connection, .failed, .unexpected, .interrupted, .local: throw error
                    }
                }
            }
            running.removeAll { $0.isOver }
        }
        return statuses.first { $0 != .ok } ?? .ok
    }

    private func begin(_ request: Request) throws(CommandFailure) -> Connection {
        do throws(ConnectionError) {
            let connection = try Connection(path: path)
            // No progress is shown, so none is asked for.
            try connection.send(request.call())
            return connection
        } catch {
            throw .connection(error)
        }
    }

    /// Waits until one of them has something to read. False on ^C.
    private func awaitAny(_ calls: [RunningCall]) throws(CommandFailure) -> Bool {
        var entries = calls.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
        entries.append(pollfd(fd: Interrupts.readEnd ?? -1, events: Int16(POLLIN), revents: 0))
        while poll(&entries, nfds_t(entries.count), -1) < 0 {}
        for (call, entry) in zip(calls, entries) { call.isReadable = entry.revents != 0 }
        guard let interrupt = entries.last, interrupt.revents != 0 else { return true }
        Interrupts.take()
        return false
    }
}

/// One call that is not answered yet. A class, because the noncopyable connection cannot live in an array.
private final class RunningCall {
    let index: Int
    private var connection: Connection
    var isReadable = false
    private(set) var isOver = false

    var descriptor: CInt { connection.descriptor }

    init(index: Int, connection: consuming Connection) {
        self.index = index
        self.connection = connection
    }

    /// The result, once it is there.
    func result(_ session: Session) throws(CommandFailure) -> OperationResult? {
        guard isReadable else { return nil }
        isReadable = false
        isOver = true
        let reply: Reply?
        do throws(ConnectionError) {
            reply = try connection.takeReply()
        } catch {
            throw .connection(error)
        }
        guard let reply else {
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
