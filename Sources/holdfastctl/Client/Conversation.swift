import ControlProtocol
import Glibc

/// One request to the supervisor, from the call to its last reply, also across supervisors that die in between.
///
/// A request that changes something has a name of its own. If the connection ends before the last reply, the next
/// supervisor is asked by that name for the outcome of this very request. So a result is never that of another request,
/// and never a guess: it is the request's own, or it says that the request was never begun, or that its outcome is
/// unknown.
///
/// A class, because an array cannot hold the noncopyable connection.
final class Conversation {
    private let session: Session
    private let request: Request
    private let wantsProgress: Bool
    /// Nil for a request that only reads, and for a supervisor of a version without names of requests.
    private var identity: RequestIdentity?
    private var connection: Connection
    private var reconnectPolicy = ReconnectPolicy()
    /// The time at which the request was sent, on the clock of ``Clock``.
    private let sentAt: Double
    /// The present call on the connection is `Outcome`.
    private var asksOutcome = false
    /// Sends the request.
    init(_ session: Session, _ request: Request, more: Bool = false) throws(CommandFailure) {
        self.session = session
        self.request = request
        wantsProgress = more
        identity = request.method.changesSomething ? .random() : nil
        connection = try session.connect(for: request)
        sentAt = Clock.now()
        do throws(CommandFailure) {
            try session.send(request.call(more: more, as: identity), on: connection)
        } catch {
            try reconnect(from: error)
        }
    }

    /// The descriptor to `poll`.
    var descriptor: CInt { connection.descriptor }

    /// Waits for the next reply; after the last one there is none.
    /// - Parameter onDisconnect: called before the wait for another supervisor.
    func next(tick: Int?, onDisconnect: () -> Void = {}) throws(CommandFailure) -> Connection.Event {
        while true {
            do throws(CommandFailure) {
                let event = try session.receive(&connection, tick: tick)
                guard case .reply(let reply) = event else { return event }
                if let reply = try interpretReply(reply) { return .reply(reply) }
            } catch {
                onDisconnect()
                try reconnect(from: error)
            }
        }
    }

    /// Reads once from a connection that is readable.
    /// - Returns: a reply if one is complete.
    func receiveReply() throws(CommandFailure) -> Reply? {
        do throws(CommandFailure) {
            return try session.receiveReply(&connection).flatMap(interpretReply)
        } catch {
            try reconnect(from: error)
            return nil
        }
    }

    /// The request's reply in a reply of the connection; nil if that was only a step of this conversation.
    private func interpretReply(_ reply: Reply) throws(CommandFailure) -> Reply? {
        guard !asksOutcome else { return try interpretOutcome(reply) }
        if identity != nil, reply.failure == .invalidParameter(parameter: "request") {
            // A supervisor of an earlier version, which has done nothing so far.
            identity = nil
            try session.send(request.call(more: wantsProgress), on: connection)
            return nil
        }
        return reply
    }

    private func interpretOutcome(_ reply: Reply) throws(CommandFailure) -> Reply? {
        if reply.continues { return reply }
        switch reply.failure {
        case nil:
            guard let answer = reply.outcome else { throw .unexpected("its reply has no outcome") }
            return answer
        case .noSuchRequest(_, let since)?:
            // The records prove that nothing was done only if they reach back to the time of the request.
            throw uncertainFailure(Clock.now() - sentAt <= since ? .notBegun(since: since) : .unknown)
        case .outcomeUnknown?, .methodNotFound?: throw uncertainFailure(.unknown)
        case let error?: throw .refused(error)
        }
    }

    private func uncertainFailure(_ fate: Uncertainty.Fate) -> CommandFailure {
        .uncertain(Uncertainty(fate: fate, request: request, identity: identity))
    }

    /// Asks the next supervisor after the connection has ended.
    private func reconnect(from failure: CommandFailure) throws(CommandFailure) {
        guard session.mayBeRepeated(request), case .connection(let error) = failure, error.mayBeFollowedByAnother else {
            throw failure
        }
        do throws(CommandFailure) {
            guard let next = try reconnectPolicy.waitForSupervisor(after: failure, session) else { throw failure }
            connection = next
        } catch {
            guard request.method.changesSomething, case .connection(let reason) = error else { throw error }
            throw .uncertain(Uncertainty(fate: .unknown, request: request, identity: identity, reason: reason.message))
        }
        if request.method.changesSomething, identity == nil { throw uncertainFailure(.unknown) }
        asksOutcome = identity != nil
        let question = identity.map { Request.outcome(of: $0) } ?? request
        do throws(CommandFailure) {
            try session.send(question.call(more: wantsProgress), on: connection)
        } catch {
            try reconnect(from: error)
        }
    }
}

/// A request whose outcome no supervisor has reported.
struct Uncertainty {
    enum Fate {
        /// Nothing was done. The supervisor's records reach back this many seconds.
        case notBegun(since: Double)
        /// The request was begun, or may have been.
        case unknown
    }
    var fate: Fate
    var request: Request
    var identity: RequestIdentity?
    /// The reason for which no supervisor could be asked.
    var reason: String?

    var exitStatus: CommandStatus {
        switch fate {
        case .notBegun: .notBegun
        case .unknown: .outcomeUnknown
        }
    }

    /// `stop z: not begun: …`
    var message: String {
        let title = Text.harmless(request.title)
        switch fate {
        case .notBegun:
            return
                "\(title): not begun: the supervisor ended before it began this request; nothing was done, try again"
        case .unknown:
            let cause = reason.map { " (\($0))" } ?? ""
            let hint = request.followUpCommand.map { "; see " + Text.harmless($0) } ?? ""
            return "\(title): outcome unknown: the supervisor ended during the request\(cause)\(hint)"
        }
    }

    /// The error for `--json`.
    var error: ControlError {
        let name = identity?.description ?? ""
        return switch fate {
        case .notBegun(let since): .noSuchRequest(request: name, since: since)
        case .unknown: .outcomeUnknown(request: name)
        }
    }
}

extension Request {
    /// The request as the command that was typed: `stop z`.
    var title: String {
        switch self {
        case .start(let name, _): "start \(name)"
        case .stop(let name, _): "stop \(name)"
        case .restart(let name, _): "restart \(name)"
        case .reload(let name): "reload-or-restart \(name)"
        case .swap(let name, _): "swap \(name)"
        case .promote(let name): "promote \(name)"
        case .abort(let name): "abort \(name)"
        case .rollback(let name): "rollback \(name)"
        case .drain(let name, _, _): "drain \(name)"
        case .signal(let name, let signal, _): "signal \(signal) \(name)"
        case .pause(let name): "pause \(name)"
        case .resume(let name): "resume \(name)"
        case .adopt(let name): "adopt \(name)"
        case .forget(let name): "remove \(name)"
        case .resetFailed(let names): (["reset-failed"] + (names ?? [])).joined(separator: " ")
        case .update: "reread"
        case .reexec: "daemon-reexec"
        case .clearLogs(let name): "clear \(name)"
        case .install(let verb, let names, _): ([verb.rawValue] + names).joined(separator: " ")
        case .input(let name, _): "input of \(name)"
        case .shutdown: "shutdown"
        case .getInfo, .getInterfaceDescription, .describe, .status, .history, .generations, .sockets, .cat, .list,
            .why,
            .show, .events, .logs, .verify, .dependencies, .unitFileStates, .outcome:
            String(method.name.split(separator: ".").last ?? "")
        }
    }

    /// The command that shows the present state.
    fileprivate var followUpCommand: String? {
        switch self {
        case .start(let name, _), .stop(let name, _), .restart(let name, _), .reload(let name), .swap(let name, _),
            .promote(let name), .abort(let name), .rollback(let name), .drain(let name, _, _), .signal(let name, _, _),
            .adopt(let name), .forget(let name), .input(let name, _):
            "holdfastctl status \(name)"
        case .resetFailed: "holdfastctl status"
        case .pause, .resume: "holdfastctl sockets"
        case .update: "holdfastctl reread"
        case .reexec: "holdfastctl version"
        case .clearLogs(let name): "holdfastctl logs \(name)"
        case .install(_, let names, _): (["holdfastctl is-enabled"] + names).joined(separator: " ")
        case .shutdown: "holdfastctl status"
        case .getInfo, .getInterfaceDescription, .describe, .status, .history, .generations, .sockets, .cat, .list,
            .why,
            .show, .events, .logs, .verify, .dependencies, .unitFileStates, .outcome:
            nil
        }
    }
}
