/// A validated call: its method is ours and its parameters have the right types.
///
/// Both ends use it: the daemon makes one from a ``Call`` and switches over it; the client makes a ``Call`` from one.
public enum Request: Equatable, Sendable {
    /// `org.varlink.service.GetInfo`. The reply is ``ServiceInfo``.
    case getInfo
    /// `org.varlink.service.GetInterfaceDescription`. The reply is ``InterfaceDescription``.
    case getInterfaceDescription(interface: String)
    /// The reply is ``DescribeReply``.
    case describe
    /// All units if `names` is nil or empty. The reply is ``StatusReply``.
    case status(names: [String]?)
    /// With `hold`, a start that turns out to be a swap waits before its cutover. Replies: ``OperationReply``.
    case start(name: String, hold: Bool)
    /// `with`: the other units that the same request stops, each by a call of its own. Replies: ``OperationReply``.
    case stop(name: String, with: [String] = [])
    /// A swap to the same release; `hard` stops first and lets connections queue. Replies: ``OperationReply``.
    case restart(name: String, hard: Bool)
    /// `ExecReload=` if there is one, else a restart. Replies: ``OperationReply``.
    case reload(name: String)
    /// Replies: ``OperationReply``.
    case swap(name: String, hold: Bool)
    /// Ends the hold: cuts over. Replies: ``OperationReply``.
    case promote(name: String)
    /// Ends a swap before its cutover: the old generation stays. Replies: ``OperationReply``.
    case abort(name: String)
    /// Swaps back to the previous release. Replies: ``OperationReply``.
    case rollback(name: String)
    /// Waits for draining generations to end, or with `now` ends them. Replies: ``OperationReply``.
    case drain(name: String, now: Bool)
    /// Takes over processes of an earlier supervisor that are in no journal. Replies: ``OperationReply``.
    case adopt(name: String)
    /// `signal` is a name with or without `SIG`, or a number. The reply is ``SignalReply``.
    case signal(name: String, signal: String, who: SignalTarget)
    /// The newest `limit` entries. The reply is ``HistoryReply``.
    case history(name: String?, limit: Int?)
    /// The reply is ``GenerationsReply``.
    case generations(name: String?)
    /// The reply is ``SocketsReply``.
    case sockets
    /// New connections to a socket wait, and none is refused. Replies: ``OperationReply``.
    case pause(name: String)
    /// Replies: ``OperationReply``.
    case resume(name: String)
    /// The reply is ``CatReply``.
    case cat(name: String)
    /// The units that names and patterns match: `app`, `app*`, `site:*`, `all`. The reply is ``ListReply``.
    case list(names: [String]?, sockets: Bool)
    /// The reasons for the state of a unit. The reply is ``WhyReply``.
    case why(name: String)
    /// All properties of a unit. The reply is ``ShowReply``.
    case show(name: String)
    /// Events from now on; of all units if `names` is nil or empty. Replies: ``EventsReply``, without an end.
    case events(names: [String]?)
    /// Forgets that a unit failed, and closes the sockets that only it used. The reply is ``ListReply``.
    case forget(name: String)
    /// Forgets failures and start counts; of all failed units if `names` is nil or empty. The reply is ``ListReply``.
    case resetFailed(names: [String]?)
    /// The reply is ``UpdateReply``.
    case update
    /// The reply is ``ReexecReply``, sent after the installed program has taken over.
    case reexec
    /// Empties a unit's log. The reply is ``ClearLogsReply``.
    case clearLogs(name: String)
    /// Lines that services have printed. Replies: ``LogsReply``; with `follow` without an end.
    case logs(LogQuery)
    /// The diagnostics of unit files; of all units if `names` is nil or empty. The reply is ``VerifyReply``.
    case verify(names: [String]?)
    /// The units that a unit needs, directly or through others. The reply is ``DependenciesReply``.
    case dependencies(name: String)
    /// The reply is ``UnitFileStatesReply``.
    case unitFileStates(names: [String])
    /// Changes links in the unit directories. The reply is ``InstallReply``.
    case install(InstallVerb, names: [String], runtime: Bool)
    /// Writes to a service's standard input, at most ``inputLimit`` bytes; an empty text only checks whether writing is
    /// possible. The reply is ``InputReply``.
    case input(name: String, text: String)
    /// Replies: ``ShutdownReply``.
    case shutdown
    /// The outcome of a request, also from another supervisor process than the one that began it. While the request
    /// runs, its own replies with `more`; at its end ``Reply/init(outcome:)``.
    case outcome(of: RequestIdentity)

    /// PIPE_BUF of pipe(7) on Linux: a write of this size is taken whole or not at all, and not mixed with others.
    public static let inputLimit = 4096

    /// The processes of a service that get a signal.
    public enum SignalTarget: String, Codable, Sendable, CaseIterable {
        /// The main process.
        case main
        /// Every process of the unit.
        case all
    }

    /// The change to the links of units in the unit directories.
    public enum InstallVerb: String, Sendable, CaseIterable {
        case enable, disable, mask, unmask
    }

    /// Validates a call.
    /// - Throws: ``ControlError`` to be sent back as it is: unknown interface or method, a parameter that is missing,
    ///   unknown or of the wrong type, or `upgrade`, which no method offers.
    public init(_ call: Call) throws(ControlError) {
        guard !call.upgrade else { throw .methodNotImplemented(method: call.method) }
        if let method = ServiceMethod(rawValue: call.method) {
            switch method {
            case .getInfo: self = try call.withoutParameters(.getInfo)
            case .getInterfaceDescription:
                self = .getInterfaceDescription(interface: try call.read(Parameters.Interface.self).interface)
            }
            return
        }
        guard Interfaces.all.contains(where: { $0.name == call.interface }) else {
            throw .interfaceNotFound(interface: call.interface)
        }
        guard let method = ManagerMethod(rawValue: call.method) else { throw .methodNotFound(method: call.method) }
        self = try Request.manager(method, call)
    }

    private static func manager(_ method: ManagerMethod, _ call: Call) throws(ControlError) -> Request {
        func name() throws(ControlError) -> String { try call.read(Parameters.Name.self).name }
        switch method {
        case .status: return .status(names: try call.read(Parameters.Names.self).names)
        case .start:
            let parameters = try call.read(Parameters.NameHold.self)
            return .start(name: parameters.name, hold: parameters.hold ?? false)
        case .stop:
            let parameters = try call.read(Parameters.NameWith.self)
            return .stop(name: parameters.name, with: parameters.with ?? [])
        case .restart:
            let parameters = try call.read(Parameters.NameHard.self)
            return .restart(name: parameters.name, hard: parameters.hard ?? false)
        case .reload: return .reload(name: try name())
        case .swap:
            let parameters = try call.read(Parameters.NameHold.self)
            return .swap(name: parameters.name, hold: parameters.hold ?? false)
        case .promote: return .promote(name: try name())
        case .abort: return .abort(name: try name())
        case .rollback: return .rollback(name: try name())
        case .drain:
            let parameters = try call.read(Parameters.NameNow.self)
            return .drain(name: parameters.name, now: parameters.now ?? false)
        case .adopt: return .adopt(name: try name())
        case .signal:
            let parameters = try call.read(Parameters.Signal.self)
            return .signal(name: parameters.name, signal: parameters.signal, who: parameters.who ?? .main)
        case .history:
            let parameters = try call.read(Parameters.History.self)
            if let limit = parameters.limit, limit < 0 { throw .invalidParameter(parameter: "limit") }
            return .history(name: parameters.name, limit: parameters.limit)
        case .generations: return .generations(name: try call.read(Parameters.OptionalName.self).name)
        case .cat: return .cat(name: try name())
        case .clearLogs: return .clearLogs(name: try name())
        case .logs:
            guard call.more else { throw .expectedMore }
            let query = try call.read(LogQuery.self)
            if let wrong = query.wrongParameter { throw .invalidParameter(parameter: wrong) }
            return .logs(query)
        case .verify: return .verify(names: try call.read(Parameters.Names.self).names)
        case .dependencies: return .dependencies(name: try name())
        case .unitFileStates: return .unitFileStates(names: try call.read(Parameters.SomeNames.self).names)
        case .enable: return try install(.enable, call)
        case .disable: return try install(.disable, call)
        case .mask: return try install(.mask, call)
        case .unmask: return try install(.unmask, call)
        case .input:
            let parameters = try call.read(Parameters.Input.self)
            guard parameters.text.utf8.count <= inputLimit else { throw .invalidParameter(parameter: "text") }
            return .input(name: parameters.name, text: parameters.text)
        case .list:
            let parameters = try call.read(Parameters.List.self)
            return .list(names: parameters.names, sockets: parameters.sockets ?? false)
        case .why: return .why(name: try name())
        case .show: return .show(name: try name())
        case .events:
            guard call.more else { throw .expectedMore }
            return .events(names: try call.read(Parameters.Names.self).names)
        case .forget: return .forget(name: try name())
        case .resetFailed: return .resetFailed(names: try call.read(Parameters.Names.self).names)
        case .pause: return .pause(name: try name())
        case .resume: return .resume(name: try name())
        case .sockets: return try call.withoutParameters(.sockets)
        case .update: return try call.withoutParameters(.update)
        case .reexec: return try call.withoutParameters(.reexec)
        case .shutdown: return try call.withoutParameters(.shutdown)
        case .describe: return try call.withoutParameters(.describe)
        case .outcome:
            guard let identity = RequestIdentity(try call.read(Parameters.Outcome.self).request) else {
                throw .invalidParameter(parameter: Call.identityParameter)
            }
            return .outcome(of: identity)
        }
    }

    private static func install(_ verb: InstallVerb, _ call: Call) throws(ControlError) -> Request {
        let parameters = try call.read(Parameters.Install.self)
        return .install(verb, names: parameters.names, runtime: parameters.runtime ?? false)
    }

    /// The full name of the method.
    public var method: String {
        switch self {
        case .getInfo: ServiceMethod.getInfo.rawValue
        case .getInterfaceDescription: ServiceMethod.getInterfaceDescription.rawValue
        case .describe: ManagerMethod.describe.rawValue
        case .status: ManagerMethod.status.rawValue
        case .start: ManagerMethod.start.rawValue
        case .stop: ManagerMethod.stop.rawValue
        case .restart: ManagerMethod.restart.rawValue
        case .reload: ManagerMethod.reload.rawValue
        case .swap: ManagerMethod.swap.rawValue
        case .promote: ManagerMethod.promote.rawValue
        case .abort: ManagerMethod.abort.rawValue
        case .rollback: ManagerMethod.rollback.rawValue
        case .drain: ManagerMethod.drain.rawValue
        case .adopt: ManagerMethod.adopt.rawValue
        case .signal: ManagerMethod.signal.rawValue
        case .history: ManagerMethod.history.rawValue
        case .generations: ManagerMethod.generations.rawValue
        case .sockets: ManagerMethod.sockets.rawValue
        case .cat: ManagerMethod.cat.rawValue
        case .list: ManagerMethod.list.rawValue
        case .why: ManagerMethod.why.rawValue
        case .show: ManagerMethod.show.rawValue
        case .events: ManagerMethod.events.rawValue
        case .forget: ManagerMethod.forget.rawValue
        case .resetFailed: ManagerMethod.resetFailed.rawValue
        case .pause: ManagerMethod.pause.rawValue
        case .resume: ManagerMethod.resume.rawValue
        case .update: ManagerMethod.update.rawValue
        case .reexec: ManagerMethod.reexec.rawValue
        case .clearLogs: ManagerMethod.clearLogs.rawValue
        case .logs: ManagerMethod.logs.rawValue
        case .verify: ManagerMethod.verify.rawValue
        case .dependencies: ManagerMethod.dependencies.rawValue
        case .unitFileStates: ManagerMethod.unitFileStates.rawValue
        case .install(.enable, _, _): ManagerMethod.enable.rawValue
        case .install(.disable, _, _): ManagerMethod.disable.rawValue
        case .install(.mask, _, _): ManagerMethod.mask.rawValue
        case .install(.unmask, _, _): ManagerMethod.unmask.rawValue
        case .input: ManagerMethod.input.rawValue
        case .shutdown: ManagerMethod.shutdown.rawValue
        case .outcome: ManagerMethod.outcome.rawValue
        }
    }

    /// Whether the request changes something: then only root and the group `holdfast` may make it.
    public var changesSomething: Bool {
        switch self {
        case .getInfo, .getInterfaceDescription, .describe, .status, .history, .generations, .sockets, .cat: false
        case .list, .why, .show, .events, .logs, .verify, .dependencies, .unitFileStates, .outcome: false
        case .start, .stop, .restart, .reload, .swap, .promote, .abort, .rollback, .drain, .pause, .resume, .signal,
            .clearLogs, .input, .update, .reexec, .shutdown:
            true
        case .forget, .resetFailed, .install, .adopt: true
        }
    }

    /// Whether the method streams. A caller that says `more` gets progress; one that does not gets one reply at the
    /// end. `Events` and `Logs` require `more`.
    public var streams: Bool {
        switch self {
        case .start, .stop, .restart, .reload, .swap, .promote, .abort, .rollback, .drain, .pause, .resume, .shutdown:
            true
        case .events, .logs, .outcome, .adopt: true
        case .list, .why, .show, .forget, .resetFailed, .verify, .dependencies, .unitFileStates, .install:
            false
        case .getInfo, .getInterfaceDescription, .describe, .status, .history, .generations, .sockets, .cat, .signal,
            .clearLogs, .input, .update, .reexec:
            false
        }
    }

    /// The call for this request.
    /// - Parameters:
    ///   - more: ask for progress; only useful if ``streams``.
    ///   - identity: the name of the request; only for a request that changes something.
    public func call(more: Bool = false, oneway: Bool = false, as identity: RequestIdentity? = nil) -> Call {
        let call = Call(method: method, parameters: parameters, oneway: oneway, more: more)
        return identity.map(call.named) ?? call
    }

    private var parameters: JSONObject {
        switch self {
        case .getInfo, .describe, .sockets, .update, .reexec, .shutdown: .empty
        case .getInterfaceDescription(let interface): .of(Parameters.Interface(interface: interface))
        // Without names, the usual `status` call, there is nothing to write.
        case .status(nil), .events(nil), .verify(nil), .resetFailed(nil), .list(nil, false): .empty
        case .status(let names), .events(let names), .verify(let names), .resetFailed(let names):
            .of(Parameters.Names(names: names))
        case .list(let names, let sockets): .of(Parameters.List(names: names, sockets: sockets ? true : nil))
        case .why(let name), .show(let name), .forget(let name): .of(Parameters.Name(name: name))
        case .start(let name, let hold), .swap(let name, let hold):
            .of(Parameters.NameHold(name: name, hold: hold ? true : nil))
        case .restart(let name, let hard): .of(Parameters.NameHard(name: name, hard: hard ? true : nil))
        case .stop(let name, let others):
            .of(Parameters.NameWith(name: name, with: others.isEmpty ? nil : others))
        case .reload(let name), .promote(let name), .abort(let name), .rollback(let name),
            .cat(let name), .clearLogs(let name), .pause(let name), .resume(let name), .dependencies(let name),
            .adopt(let name):
            .of(Parameters.Name(name: name))
        case .logs(let query): .of(query)
        case .unitFileStates(let names): .of(Parameters.SomeNames(names: names))
        case .install(_, let names, let runtime):
            .of(Parameters.Install(names: names, runtime: runtime ? true : nil))
        case .drain(let name, let now): .of(Parameters.NameNow(name: name, now: now ? true : nil))
        case .signal(let name, let signal, let who):
            .of(Parameters.Signal(name: name, signal: signal, who: who == .main ? nil : who))
        case .input(let name, let text): .of(Parameters.Input(name: name, text: text))
        case .history(let name, let limit): .of(Parameters.History(name: name, limit: limit))
        case .generations(let name): .of(Parameters.OptionalName(name: name))
        case .outcome(let identity): .of(Parameters.Outcome(request: identity.description))
        }
    }
}
