import ControlProtocol
import Linux
import Multibinder
import UnitFiles

/// `--multibinder PATH`: sockets for proxies that request them by the protocol of GitHub's multibinder.
extension Supervisor {
    /// Opens the socket if it is configured, or continues with that of an earlier process. Users who may act on the
    /// control socket may bind here.
    func listenForBinds(_ saved: SavedMultibinder?) throws(SystemError) {
        guard let path = configuration.multibinderSocket else { return }
        let actions = MultibinderServer.Actions(
            mayAsk: { [unowned self] peer in (try? mayAct(peer)) != nil },
            bind: { [unowned self] address, backlog in
                machine.processes.bounded(by: .services) { bind(address, backlog) }
            },
            unbind: { [unowned self] in sockets?.unbind($0) ?? false })
        if let saved {
            let connections = saved.connections.map {
                MultibinderServer.Inherited(socket: $0.descriptor, pending: $0.pending)
            }
            multibinder = try machine.clients.inheritBinds(
                at: path, listening: saved.listening, connections, actions)
        } else {
            let group = configuration.isUser ? nil : try? machine.accounts.group("holdfast")
            multibinder = try machine.clients.listenForBinds(
                at: path, mode: configuration.isUser ? 0o600 : 0o666, group: group, actions)
            logger.info("listening for binds on \(path)")
        }
    }

    private func bind(_ address: SocketAddress, _ backlog: Int32) -> Result<OwnedDescriptorBox, SystemError> {
        Result { () throws(SystemError) in
            guard let sockets else { throw SystemError("listening on", "\(address)", .canceled) }
            let held = try sockets.bind(address, backlog: backlog)
            sockets.examine(held)
            return OwnedDescriptorBox(try held.endpoint.duplicate())
        }
    }
}

extension HeldSockets {
    /// The unit of all sockets of multibinder's clients.
    static let multibinderUnit = "io.holdfast.multibinder.socket"

    /// Text in place of a unit file, so that the unit survives a re-exec as every unit does. Its address is never
    /// opened.
    private static let multibinderText = """
        [Unit]
        Description=Sockets of clients of multibinder's protocol
        [Socket]
        ListenStream=@io.holdfast.multibinder
        RemoveOnStop=yes

        """

    /// Sockets of all clients; more than this come from a client that binds in a loop.
    private static let multibinderLimit = 16384

    /// The socket at an address that a client asks for: one that is already held, for any unit, or a new one.
    func bind(_ address: SocketAddress, backlog: Int32) throws(SystemError) -> HeldSocket {
        if let present = bound[address]?.held ?? registry.socket(at: .socket(address, .stream)) {
            return present
        }
        guard bound.count < Self.multibinderLimit, let unit = Self.unit else {
            throw SystemError("listening on", "\(address)", .tooManyOpenFiles)
        }
        let settings = EndpointSettings(
            backlog: backlog, file: ListeningSocket.FileOptions(), options: SocketOptions(),
            sizes: HeldFile.Sizes())
        let endpoint = try machine.sockets.open(.socket(address, .stream), settings, in: nil)
        let held = HeldSocket(
            unit: unit, endpoint: endpoint, owner: nil, port: machine.sockets, number: newNumber())
        try add(held, to: Self.multibinderUnit)
        bound[address] = WeakSocket(held: held)
        return held
    }

    /// Closes a socket that `bind` opened; false if there is none.
    func unbind(_ address: SocketAddress) -> Bool {
        guard let held = bound.removeValue(forKey: address)?.held else { return false }
        remove(held, from: Self.multibinderUnit)
        return true
    }

    /// Restores the index of sockets that an earlier process has opened by `bind`.
    func noteBound(_ sockets: [HeldSocket]) {
        for held in sockets {
            if case .socket(let address, .stream) = held.endpoint.target { bound[address] = WeakSocket(held: held) }
        }
    }

    private static var unit: SocketUnit? {
        guard let name = try? UnitName(multibinderUnit) else { return nil }
        let source = UnitSource(path: multibinderUnit, text: multibinderText)
        return UnitLoader.restore(name, sources: [source], wants: [], specifiers: SpecifierEnvironment()).socket
    }
}
