import Linux
import Multibinder

/// Clients on this host.
final class LinuxClients: ClientsPort {
    private let loop: EventLoop

    init(loop: EventLoop) { self.loop = loop }

    func listen(
        at path: String, mode: UInt32, group: UInt32?, _ arrivals: ClientArrivals
    ) throws(SystemError) -> any MachineServer {
        try LocalServer(
            loop: loop, path: path, mode: mode, group: group, reserve: arrivals.reserve, accepting(arrivals))
    }

    func inherit(
        at path: String, listening number: Int32, _ arrivals: ClientArrivals
    ) throws(SystemError) -> any MachineServer {
        let listening = try OwnedDescriptor.inherited(number)
        return try LocalServer(
            loop: loop, path: path, inherited: listening, reserve: arrivals.reserve, accepting(arrivals))
    }

    private func accepting(_ arrivals: ClientArrivals) -> (OwnedDescriptorBox, Peer) -> Void {
        { [loop] box, peer in arrivals.accepted(LinuxClient(box, peer, loop)) }
    }

    func inheritClient(_ number: Int32) throws(SystemError) -> any MachineClient {
        let descriptor = try OwnedDescriptor.inherited(number)
        let peer = try Peer(of: descriptor.raw)
        return LinuxClient(OwnedDescriptorBox(descriptor), peer, loop)
    }

    func listenForBinds(
        at path: String, mode: UInt32, group: UInt32?, _ actions: MultibinderServer.Actions
    ) throws(SystemError) -> any MachineBinders {
        let server = MultibinderServer(loop: loop, actions: actions)
        try server.listen(at: path, mode: mode, group: group)
        return server
    }

    func inheritBinds(
        at path: String, listening number: Int32, _ connections: [MultibinderServer.Inherited],
        _ actions: MultibinderServer.Actions
    ) throws(SystemError) -> any MachineBinders {
        let server = MultibinderServer(loop: loop, actions: actions)
        for connection in connections { try DescriptorFlags.setCloseOnExec(connection.socket, true) }
        try server.adopt(try OwnedDescriptor.inherited(number), at: path, connections)
        return server
    }
}

extension ClientArrivals {
    fileprivate var reserve: LocalServer.Reserve { LocalServer.Reserve(mayUseReserve: isOperator, refusal: refusal) }
}

extension LocalServer: MachineServer {}
extension MultibinderServer: MachineBinders {}

extension StreamConnection: MachineConnection {
    func send(_ bytes: [UInt8]) { send(bytes[...]) }
}

private final class LinuxClient: MachineClient {
    let peer: Peer
    private let box: OwnedDescriptorBox
    private let loop: EventLoop

    init(_ box: OwnedDescriptorBox, _ peer: Peer, _ loop: EventLoop) {
        (self.box, self.peer, self.loop) = (box, peer, loop)
    }

    func open(
        priority: DispatchPriority, maximumQueue: Int, onBytes: @escaping (UnsafeRawBufferPointer) -> Void,
        onEnd: @escaping () -> Void
    ) throws(SystemError) -> any MachineConnection {
        guard let descriptor = box.take() else { throw SystemError("open connection", nil, .badFileDescriptor) }
        return try StreamConnection(
            descriptor, loop: loop, priority: priority, maximumQueue: maximumQueue, onBytes: onBytes,
            onEnd: { _ in onEnd() })
    }
}
