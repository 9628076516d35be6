/// A method of the protocol: one row of the table ``Method/all``, which has everything that both ends know of it. The
/// handler of each ``Request`` is in the supervisor (`Supervisor.answer`).
public struct Method: Sendable {
    /// Peers that may call the method. Root and the user of the supervisor may call every method.
    public enum Access: Sendable {
        /// All users.
        case everyone
        /// The groups `holdfast` and `holdfast-read`.
        case readers
        /// Everybody of `readers`, but each user only about requests of their own; root about all.
        case requester
        /// The group `holdfast`.
        case operators
    }

    /// The kind of change that the method makes.
    public enum Effect: Sendable {
        /// No change.
        case none
        /// Begins an operation that a successor must know: refused if the journal has no room for it. All effects follow
        /// from the engine's decision, and are in the journal together with it.
        case begins
        /// Ends something, and so is never refused for want of room. All effects follow from the engine's decision.
        case ends
        /// Effects that the engine does not decide: the request is in the journal before them.
        case immediate
    }

    /// The replies to one call.
    public enum Replies: Sendable {
        /// Exactly one.
        case one
        /// With `more` progress, and in any case the result at the end.
        case progress
        /// Only with `more`: a stream.
        case stream
    }

    /// The full name, `io.holdfast.Manager.Swap`.
    public let name: String
    public let access: Access
    public let effect: Effect
    public let replies: Replies
    private let read: @Sendable (inout ArgumentReader) -> Request
    private let write: @Sendable (Request) -> Arguments?

    init(
        _ name: String, _ access: Access, _ effect: Effect, _ replies: Replies,
        read: @escaping @Sendable (inout ArgumentReader) -> Request,
        write: @escaping @Sendable (Request) -> Arguments?
    ) {
        self.name = name.contains(".") ? name : "io.holdfast.Manager." + name
        (self.access, self.effect, self.replies) = (access, effect, replies)
        (self.read, self.write) = (read, write)
    }

    /// A method without parameters.
    static func plain(
        _ name: String, _ access: Access, _ effect: Effect, _ replies: Replies, _ request: Request
    ) -> Method {
        Method(name, access, effect, replies, read: { _ in request }, write: { $0 == request ? [:] : nil })
    }

    /// A method whose one parameter is a unit.
    static func named(
        _ name: String, _ access: Access, _ effect: Effect, _ replies: Replies,
        _ make: @escaping @Sendable (String) -> Request, _ unit: @escaping @Sendable (Request) -> String?
    ) -> Method {
        Method(
            name, access, effect, replies, read: { make($0.text("name")) },
            write: { unit($0).map { ["name": .text($0)] } })
    }

    /// Whether the method changes something: then its requests may have a name (``RequestIdentity``).
    public var changesSomething: Bool { effect != .none }

    /// The parameters of the method, as the interface description must have them.
    var parameters: [ArgumentReader.Parameter] {
        var reader = ArgumentReader(.empty)
        _ = read(&reader)
        if changesSomething { _ = reader.optionalIdentity(Call.identityParameter) }
        return reader.parameters
    }

    /// The method that a call names.
    static func called(_ call: Call) throws(ControlError) -> Method {
        guard !call.upgrade else { throw .methodNotImplemented(method: call.method) }
        if let method = byName[call.method] { return method }
        guard Interfaces.all.contains(where: { $0.name == call.interface }) else {
            throw .interfaceNotFound(interface: call.interface)
        }
        throw .methodNotFound(method: call.method)
    }

    /// Reads the parameters of a call of this method.
    func request(_ call: Call) throws(ControlError) -> (Request, RequestIdentity?) {
        if replies == .stream, !call.more { throw .expectedMore }
        var reader = ArgumentReader(call.parameters)
        let request = read(&reader)
        let identity = changesSomething ? reader.optionalIdentity(Call.identityParameter) : nil
        try reader.finish()
        return (request, identity)
    }

    /// The method of a request, and the parameters that a call of it has.
    static func of(_ request: Request) -> (method: Method, arguments: Arguments) {
        for method in all {
            if let arguments = method.write(request) { return (method, arguments) }
        }
        // `RequestTests` asks for the row of every request; the daemon has no method of this name.
        return (.plain("Unknown", .everyone, .none, .one, request), [:])
    }

    private static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })
}
