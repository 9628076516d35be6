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
    /// - Parameter generation: the only one meant; nil: those of the release that the name contains, or all.
    case drain(name: String, now: Bool, generation: Int? = nil)
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
    public init(_ call: Call) throws(ControlError) { self = try ValidCall(call).request }

    public var method: Method { Method.of(self).method }

    /// The call for this request.
    /// - Parameters:
    ///   - more: ask for progress; only useful if the method replies with progress.
    ///   - identity: the name of the request; only for a request that changes something.
    public func call(more: Bool = false, oneway: Bool = false, as identity: RequestIdentity? = nil) -> Call {
        let (method, arguments) = Method.of(self)
        let call = Call(method: method.name, parameters: arguments.object, oneway: oneway, more: more)
        return identity.map(call.named) ?? call
    }
}

/// A call whose method exists and whose parameters are valid, as the supervisor handles it. Its parameters are read
/// once.
public struct ValidCall: Sendable {
    public let call: Call
    public let method: Method
    public let request: Request
    /// The name that the client has given this request; nil if it gave none.
    public let identity: RequestIdentity?

    /// - Throws: as ``Request/init(_:)``.
    public init(_ call: Call) throws(ControlError) {
        self.call = call
        method = try Method.called(call)
        (request, identity) = try method.request(call)
    }
}
