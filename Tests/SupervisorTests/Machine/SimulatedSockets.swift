import Glibc
import SystemPackage

@testable import Linux
@testable import Supervisor

/// Sockets on the simulated machine.
final class SimulatedSockets: SocketsPort {
    private unowned let machine: SimulatedMachine
    private var world: World { machine.world }
    private var sockets: WorldSockets { machine.world.sockets }
    /// Descriptors of the sockets that a process has.
    lazy var descriptorsOfProcess: (Int32) -> [Int32] = { [unowned machine] pid in
        machine.world.processes[pid]?.openDescriptors.map(\.raw) ?? []
    }

    init(machine: SimulatedMachine) { self.machine = machine }

    var hasIPv6: Bool { true }

    func open(
        _ target: HeldEndpoint.Target, _ settings: EndpointSettings, in network: NetworkNamespace?
    ) throws(SystemError) -> any Endpoint {
        try world.step(machine, "listening on", "\(target)")
        let place = network.flatMap { OwnedDescriptor.inode(of: $0.raw) }
        let (socket, box) = try sockets.bind(target, network: place, backlog: Int(settings.backlog))
        return try endpoint(socket, box, network)
    }

    fileprivate func endpoint(
        _ socket: WorldSockets.Socket, _ box: WorldDescriptorBox, _ network: NetworkNamespace?
    ) throws(SystemError) -> SimulatedEndpoint {
        guard let descriptor = box.take() else { throw SystemError("socket", nil, .badFileDescriptor) }
        return SimulatedEndpoint(machine, self, socket, descriptor, network)
    }

    func adopt(
        _ descriptor: consuming OwnedDescriptor, _ target: HeldEndpoint.Target, _ settings: EndpointSettings,
        baseline: HeldBaseline?
    ) throws(SystemError) -> any Endpoint {
        try world.step(machine, "adopt socket", "\(target)")
        guard let socket = sockets.socket(of: descriptor.raw) else {
            throw SystemError("adopt socket", "\(target)", .invalidArgument)
        }
        return SimulatedEndpoint(machine, self, socket, descriptor, nil)
    }

    func reserve(
        _ address: SocketAddress, in network: NetworkNamespace?
    ) throws(SystemError) -> any AddressReservation {
        try world.step(machine, "reserving", "\(address)")
        let place = network.flatMap { OwnedDescriptor.inode(of: $0.raw) }
        if case .unix = address { return SimulatedReservation(address, address, nil) }
        let (socket, box) = try sockets.bind(.socket(address, .stream), network: place, backlog: 0)
        return SimulatedReservation(address, socket.address ?? address, box.take())
    }

    func adoptReservation(
        _ descriptor: consuming OwnedDescriptor, requested: SocketAddress
    ) throws(SystemError) -> any AddressReservation {
        try world.step(machine, "reserving", "\(requested)")
        guard let address = sockets.socket(of: descriptor.raw)?.address else {
            throw SystemError("reserving", "\(requested)", .invalidArgument)
        }
        return SimulatedReservation(requested, address, descriptor)
    }

    func reservation(at address: SocketAddress, requested: SocketAddress) -> any AddressReservation {
        SimulatedReservation(requested, address, nil)
    }

    func makeNetwork() throws(SystemError) -> NetworkNamespace {
        try world.step(machine, "creating a network namespace")
        return NetworkNamespace(adopting: try OwnedDescriptor.inMemory([], name: "network"))
    }

    func network(of pid: Int32) throws(SystemError) -> NetworkNamespace {
        try world.step(machine, "open network of", "\(pid)")
        throw SystemError("open network of", "\(pid)", .noSuchProcess)
    }

    func obstacle(at path: String, insteadOf wanted: PathObstacle.Wanted) -> String? {
        switch (world.disk.node(path, follows: false)?.kind, wanted) {
        case (nil, _), (.fifo?, .fifo): nil
        case (.socket?, .socket): "a process listens there already"
        case (_?, _): "another file is in the way; remove it, or choose another path"
        }
    }

    func makeLink(_ path: String, to target: String, directoryMode: UInt32, replacing: Bool) throws(SystemError) {
        try world.step(machine, "Symlinks=", path)
        if let present = world.disk.node(path, follows: false) {
            if present.kind == .link(target) { return }
            guard replacing, present.kind != .socket, present.kind != .fifo else {
                throw SystemError("Symlinks=", path, .fileExists)
            }
            world.disk.remove(path)
        }
        if let parent = FileTree.parent(of: path) { try world.disk.makeDirectory(parent) }
        try world.disk.make(path, .link(target))
    }

    func removeLink(_ path: String, to target: String) {
        guard world.permits(machine, "remove link", path) else { return }
        if world.disk.node(path, follows: false)?.kind == .link(target) { world.disk.remove(path) }
    }

    func canonicalPath(_ path: String) -> String? { world.disk.resolve(path, follows: false) }

    func connections(of pids: [Int32], on addresses: [SocketAddress]) throws(SystemError) -> Connections {
        try world.step(machine, "list connections of", addresses.first.map { "\($0)" })
        return Connections(count: sockets.accepted(by: pids, at: addresses).count)
    }

    func peer(of connection: borrowing OwnedDescriptor) -> ConnectionPeer {
        sockets.connection(of: connection.raw)?.peer ?? ConnectionPeer(remote: .unknown, name: "unknown", source: "")
    }

    func reachableSockets(of pids: [Int32]) -> [ReachableSocket] {
        var found: [UInt64: (raw: Int32, holders: Set<Int32>)] = [:]
        for pid in pids {
            for raw in descriptorsOfProcess(pid) {
                guard let socket = sockets.socket(of: raw) else { continue }
                found[socket.inode, default: (raw, [])].holders.insert(pid)
            }
        }
        return found.sorted { $0.key < $1.key }.compactMap { inode, entry in
            guard let socket = sockets.sockets[inode], case .socket(_, let kind) = socket.target,
                let address = socket.address, let copy = try? Self.copy(entry.raw)
            else { return nil }
            guard let descriptor = copy.take() else { return nil }
            return ReachableSocket(descriptor, at: address, kind, holders: entry.holders)
        }
    }

    func reachableSocket(_ descriptor: consuming OwnedDescriptor) -> ReachableSocket? {
        guard let socket = sockets.socket(of: descriptor.raw), case .socket(_, let kind) = socket.target,
            let address = socket.address
        else { return nil }
        return ReachableSocket(descriptor, at: address, kind, holders: [])
    }

    func socketsOfProcesses(_ pids: [Int32]) throws(SystemError) -> any ProcessSockets {
        try world.step(machine, "list sockets of processes")
        return SimulatedProcessSockets(machine, pids.flatMap(descriptorsOfProcess))
    }

    func isFIFO(_ path: String) -> Bool { world.disk.node(path)?.kind == .fifo }

    func writeToFIFO(_ bytes: [UInt8], at path: String) throws(SystemError) -> Bool {
        try world.step(machine, "open", path)
        guard isFIFO(path) else { throw SystemError("write", path, .invalidArgument) }
        return true
    }

    fileprivate static func copy(_ raw: Int32) throws(SystemError) -> WorldDescriptorBox {
        let number = dup(raw)
        guard number >= 0 else { throw SystemError("duplicate descriptor", "\(raw)", .badFileDescriptor) }
        return WorldDescriptorBox(OwnedDescriptor(owning: number))
    }
}

private final class SimulatedProcessSockets: ProcessSockets {
    private unowned let machine: SimulatedMachine
    private let descriptors: [Int32]
    init(_ machine: SimulatedMachine, _ descriptors: [Int32]) {
        (self.machine, self.descriptors) = (machine, descriptors)
    }

    func duplicate(inode: UInt64) throws(SystemError) -> OwnedDescriptor? {
        try machine.world.step(machine, "copy socket of process")
        guard let raw = descriptors.first(where: { OwnedDescriptor.inode(of: $0) == inode }),
            let copy = try? SimulatedSockets.copy(raw)
        else { return nil }
        return copy.take()
    }
}

private final class SimulatedReservation: AddressReservation {
    let requested: SocketAddress
    let address: SocketAddress
    let raw: Int32?
    private let descriptor: OwnedDescriptor?

    init(_ requested: SocketAddress, _ address: SocketAddress, _ descriptor: consuming OwnedDescriptor?) {
        (self.requested, self.address) = (requested, address)
        if let descriptor {
            raw = descriptor.raw
            self.descriptor = consume descriptor
        } else {
            raw = nil
            self.descriptor = nil
        }
    }

    func removeLeftover() {}
}
