import ControlProtocol
import Glibc

/// The reason for which a command failed.
enum CommandFailure: Error {
    case connection(ConnectionError)
    /// The daemon answered with an error.
    case refused(ControlError)
    /// A local failure, as a sentence.
    case failed(String)
    /// The daemon's answer is not of the type that the method promises.
    case unexpected(String)
    /// ^C during the wait for an answer.
    case interrupted
    /// A failure of a command that works without the daemon: unit files that cannot be used or changed.
    case local(String)
    /// The supervisor died, and the next one has no record of the outcome.
    case uncertain(Uncertainty)
}

/// One run of holdfastctl: the control socket and the outputs.
struct Session {
    let path: String
    let json: Bool
    let output: Screen
    let errors: Screen
    /// The command's earlier connections with the supervisor.
    private let connections: ConnectionHistory

    private final class ConnectionHistory {
        /// A connection was made: if the supervisor has gone since, a successor may be starting.
        var hasConnected = false
        /// A change was requested. Later calls of this command that only read are then repeated.
        var hasRequestedChange = false
        /// Calls that only read are repeated now.
        var repeatsReads = false
    }

    init(path: String, json: Bool, output: Screen, errors: Screen) {
        self.init(path: path, json: json, output: output, errors: errors, ConnectionHistory())
    }

    private init(path: String, json: Bool, output: Screen, errors: Screen, _ connections: ConnectionHistory) {
        self.connections = connections
        self.path = path
        self.json = json
        self.output = output
        self.errors = errors
    }

    /// The same session without printing answers.
    var quiet: Session { Session(path: path, json: false, output: output, errors: errors, connections) }

    /// Calls a method that has one reply. With `--json` the reply is printed as received.
    func ask<R: Decodable>(_ request: Request, _: R.Type) throws(CommandFailure) -> R {
        try decode(try answer(to: request))
    }

    /// Calls a method whose reply is optional for the command: nil if no supervisor runs, or none that answers this
    /// caller. If the supervisor dies before it has answered, the call is repeated.
    func askIfRunning<R: Decodable>(_ request: Request, _: R.Type) throws(CommandFailure) -> R? {
        connections.repeatsReads = true
        defer { connections.repeatsReads = false }
        do throws(CommandFailure) {
            return try ask(request, R.self)
        } catch {
            switch error {
            case .connection where !connections.hasConnected: return nil
            case .refused: return nil
            case .connection, .failed, .unexpected, .interrupted, .local, .uncertain: throw error
            }
        }
    }

    private func answer(to request: Request) throws(CommandFailure) -> Reply {
        let conversation = try Conversation(self, request)
        while true {
            switch try conversation.next(tick: nil) {
            case .tick: continue
            case .interrupted: throw .interrupted
            case .reply(let reply):
                if let refusal = reply.failure { throw .refused(refusal) }
                if json { printJSON(reply) }
                return reply
            }
        }
    }

    /// The same as ``ask(_:_:)`` for the one large reply: read without `Codable`.
    func askStatus(_ names: [String]) throws(CommandFailure) -> StatusReply {
        let reply = try answer(to: .status(names: names.isEmpty ? nil : names))
        do {
            return try reply.parameters.decodeStatus()
        } catch {
            throw Self.unreadable(error)
        }
    }

    /// The moment at which a command about an operation returns.
    enum Until: Equatable {
        /// The daemon has accepted the request.
        case begun
        /// The operation has reached its hold.
        case hold
        /// The operation has ended, or also the drain that it began. nil: on a terminal the drain is shown until ^C.
        case end(SwapWait.Moment?)
    }

    /// Calls a method that takes time, and shows its progress.
    func operate(
        _ request: Request, _ verb: OperationVerb, _ name: String, until: Until = .end(.cutover)
    ) throws(CommandFailure) -> CommandStatus {
        Interrupts.install()
        let conversation = try Conversation(self, request, more: true)
        var live = LiveProgress(output, silent: json)
        defer { live.erase() }
        while true {
            switch try next(conversation, &live) {
            case .tick: live.redraw()
            case .interrupted:
                live.erase()
                if isatty(STDIN_FILENO) == 1 { emit("\n", to: STDERR_FILENO) }
                printError(ResultText.detached(verb, name))
                return .interrupted
            case .reply(let reply):
                if let refusal = reply.failure { throw .refused(refusal) }
                let answer: OperationReply = try decode(reply)
                if json { printJSON(reply) }
                if let result = answer.result {
                    live.finish(total: result.durations.total)
                    let status = show(result, verb)
                    guard case .end(let moment) = until else { return status }
                    return try followDrain(after: result, moment, status)
                }
                guard reply.continues else { throw .unexpected("its last reply has no result") }
                guard let progress = answer.progress else { continue }
                live.show(progress)
                if progress.phase == .hold && until == .hold {
                    live.finish(total: progress.elapsed)
                    if !json { emit(ResultText.held(progress) + "\n") }
                    return .ok
                }
                if until == .begun {
                    live.erase()
                    if !json { emit("\(Text.harmless(name)): \(verb.rawValue) begun\n") }
                    return .ok
                }
            }
        }
    }

    /// The next reply of an operation whose progress is on the screen.
    private func next(
        _ conversation: Conversation, _ live: inout LiveProgress
    ) throws(CommandFailure) -> Connection.Event {
        try conversation.next(tick: live.interval) { live.erase() }
    }

    /// Shuts the supervisor down and shows the draining units.
    func shutdown() throws(CommandFailure) -> ShutdownReply {
        Interrupts.install()
        let conversation = try Conversation(self, .shutdown, more: true)
        var live = LiveProgress(output, silent: json)
        defer { live.erase() }
        while true {
            switch try next(conversation, &live) {
            case .tick: live.redraw()
            case .interrupted:
                printError("detached: the shutdown continues")
                throw .interrupted
            case .reply(let reply):
                if let refusal = reply.failure { throw .refused(refusal) }
                if json { printJSON(reply) }
                let answer: ShutdownReply = try decode(reply)
                if let progress = answer.progress { live.show(progress) }
                guard reply.continues else { return answer }
            }
        }
    }

    /// Reports a failure on standard error.
    func report(_ failure: CommandFailure, refusal status: (ControlError) -> CommandStatus) -> CommandStatus {
        switch failure {
        case .connection(let error):
            printError(error.message)
            return .unreachable
        case .failed(let what):
            printError(Text.harmless(what))
            return .failure
        case .interrupted: return .interrupted
        case .uncertain(let uncertainty):
            if json { emitError(uncertainty.error) }
            printError(uncertainty.message)
            return uncertainty.exitStatus
        case .unexpected(let what):
            printError("the daemon sent an unexpected reply: \(what)")
            return .failure
        case .local(let what):
            printError(what)
            return .failure
        case .refused(let error):
            if json { emitError(error) }
            printError(Text.harmless(error.localizedMessage))
            if case .invalidUnit(_, let diagnostics) = error, diagnostics.count > 1 {
                for diagnostic in diagnostics {
                    emit("  \(InventoryText.diagnostic(diagnostic, errors))\n", to: STDERR_FILENO)
                }
            }
            return status(error)
        }
    }

    private func emitError(_ error: ControlError) {
        emit("{\"error\":\(JSONText.quoted(error.name)),\"parameters\":\(error.parameters)}\n")
    }

    /// Prints lines on standard output, except with `--json`, which has printed its reply already.
    func show(_ lines: [String]) {
        guard !json, !lines.isEmpty else { return }
        emit(lines.joined(separator: "\n") + "\n")
    }

    func show(_ result: OperationResult, _ verb: OperationVerb) -> CommandStatus {
        show(ResultText.success(result, verb, output))
        // Also with --json: standard error is for people, independent of the reader of standard output.
        let bad = ResultText.failure(result, verb, errors)
        if !bad.isEmpty { emit(bad.joined(separator: "\n") + "\n", to: STDERR_FILENO) }
        return ResultText.exitStatus(result, verb)
    }

    func printJSON(_ reply: Reply) {
        // JSON text may be spread over lines; readers of a stream rely on one object per line. Line ends occur only
        // between its tokens: inside strings they are escaped.
        let line = reply.parameters.bytes.filter { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
        emit(String(decoding: line, as: UTF8.self) + "\n")
    }

    /// Prints, with `--json`, a result that is not a daemon's reply, in the form of the protocol.
    func printJSON(_ value: some Encodable) {
        guard json, let object = try? JSONObject(encoding: value) else { return }
        emit(object.description + "\n")
    }

    func connect() throws(CommandFailure) -> Connection {
        do {
            let connection = try Connection(path: path)
            connections.hasConnected = true
            return connection
        } catch {
            throw .connection(error)
        }
    }

    /// Whether a request may be sent to the next supervisor if this one ends.
    func mayBeRepeated(_ request: Request) -> Bool {
        request.method.changesSomething || connections.hasRequestedChange || connections.repeatsReads
    }

    /// Connects for a request. The supervisor may be replaced between the requests of one command.
    func connect(for request: Request) throws(CommandFailure) -> Connection {
        if request.method.changesSomething { connections.hasRequestedChange = true }
        do throws(CommandFailure) {
            return try connect()
        } catch {
            var reconnectPolicy = ReconnectPolicy()
            guard connections.hasConnected, mayBeRepeated(request),
                let next = try reconnectPolicy.waitForSupervisor(after: error, self)
            else {
                throw error
            }
            return next
        }
    }

    func send(_ call: Call, on connection: borrowing Connection) throws(CommandFailure) {
        do {
            try connection.send(call)
        } catch {
            throw .connection(error)
        }
    }

    func receive(_ connection: inout Connection, tick: Int?) throws(CommandFailure) -> Connection.Event {
        do {
            return try connection.next(tick: tick)
        } catch {
            throw .connection(error)
        }
    }

    /// Reads once from a connection that is readable.
    func receiveReply(_ connection: inout Connection) throws(CommandFailure) -> Reply? {
        do {
            return try connection.receiveReply()
        } catch {
            throw .connection(error)
        }
    }

    func decode<R: Decodable>(_ reply: Reply) throws(CommandFailure) -> R {
        do {
            return try reply.parameters.decode(R.self)
        } catch {
            throw Self.unreadable(error)
        }
    }

    private static func unreadable(_ error: MessageError) -> CommandFailure {
        .unexpected("\(error); holdfastctl and holdfastd may be of different versions, see holdfastctl version")
    }
}

/// Draws a ``ProgressText`` on the terminal.
struct LiveProgress {
    private let silent: Bool
    private let redraws: Bool
    private var text: ProgressText
    private var lastEvent = Clock.now()
    private var drawn = false

    init(_ screen: Screen, silent: Bool) {
        self.silent = silent
        // A terminal that cannot overwrite a line is treated like a file.
        let smart = (environment("TERM") ?? "dumb") != "dumb"
        redraws = !silent && screen.width != nil && smart
        text = ProgressText(redraws ? screen : .plain)
    }

    /// Milliseconds between redraws; nil if nothing is drawn.
    var interval: Int? { redraws ? 100 : nil }

    mutating func show(_ event: Progress) {
        guard !silent else { return }
        lastEvent = Clock.now()
        print(text.handle(event))
        redraw()
    }

    mutating func finish(total: Double) {
        guard !silent else { return }
        print(text.finish(total: total))
    }

    mutating func redraw() {
        guard redraws, let line = text.liveLine(sinceEvent: Clock.now() - lastEvent) else { return }
        emit("\r\u{1b}[K" + line)
        drawn = true
    }

    /// Erases the line that is being redrawn.
    mutating func erase() {
        guard drawn else { return }
        emit("\r\u{1b}[K")
        drawn = false
    }

    private mutating func print(_ lines: [String]) {
        guard !lines.isEmpty else { return }
        erase()
        emit(lines.joined(separator: "\n") + "\n")
    }
}
