import Glibc
import Linux

/// Sockets of this host.
final class LinuxSockets: SocketsPort {
    private let loop: EventLoop

    init(loop: EventLoop) { self.loop = loop }

    var hasIPv6: Bool { access("/proc/net/if_inet6", F_OK) == 0 }

    func open(
        _ target: HeldEndpoint.Target, _ settings: EndpointSettings, in network: NetworkNamespace?
    ) throws(SystemError) -> any Endpoint {
        switch target {
        case .socket(let address, let kind):
            let socket = try ListeningSocket(
                address, kind: kind, backlog: settings.backlog, options: settings.file, settings: settings.options,
                network: network)
            return LinuxEndpoint(.socket(socket), loop)
        case .file(let target):
            let file = try HeldFile(target, file: settings.file, options: settings.options, sizes: settings.sizes)
            return LinuxEndpoint(.file(file), loop)
        }
    }

    func adopt(
        _ descriptor: consuming OwnedDescriptor, _ target: HeldEndpoint.Target, _ settings: EndpointSettings,
        baseline: HeldBaseline?
    ) throws(SystemError) -> any Endpoint {
        switch target {
        case .socket(let address, let kind):
            let socket = try ListeningSocket(
                adopting: descriptor, requested: address, kind: kind, backlog: settings.backlog,
                options: settings.file, settings: settings.options, baseline: baseline?.socket)
            return LinuxEndpoint(.socket(socket), loop)
        case .file(let target):
            let file = HeldFile(adopting: descriptor, target, file: settings.file, baseline: baseline)
            return LinuxEndpoint(.file(file), loop)
        }
    }

    func reserve(
        _ address: SocketAddress, in network: NetworkNamespace?
    ) throws(SystemError) -> any AddressReservation { try ReservedAddress(address, network: network) }

    func adoptReservation(
        _ descriptor: consuming OwnedDescriptor, requested: SocketAddress
    ) throws(SystemError) -> any AddressReservation { try ReservedAddress(adopting: descriptor, requested: requested) }

    func reservation(at address: SocketAddress, requested: SocketAddress) -> any AddressReservation {
        ReservedAddress(known: address, requested: requested)
    }

    func makeNetwork() throws(SystemError) -> NetworkNamespace { try NetworkNamespace() }

    func network(of pid: Int32) throws(SystemError) -> NetworkNamespace { try NetworkNamespace(of: pid) }

    func obstacle(at path: String, insteadOf wanted: PathObstacle.Wanted) -> String? {
        PathObstacle.description(of: path, insteadOf: wanted)
    }

    func makeLink(_ path: String, to target: String, directoryMode: UInt32, replacing: Bool) throws(SystemError) {
        try SocketLinks.make(path, to: target, directoryMode: directoryMode, replacing: replacing)
    }

    func removeLink(_ path: String, to target: String) { SocketLinks.remove(path, to: target) }

    func canonicalPath(_ path: String) -> String? { SocketLinks.canonical(path) }

    func connections(of pids: [Int32], on addresses: [SocketAddress]) throws(SystemError) -> Connections {
        try Connections.held(by: pids, on: addresses)
    }

    func peer(of connection: borrowing OwnedDescriptor) -> ConnectionPeer { ConnectionPeer(of: connection.raw) }

    func reachableSockets(of pids: [Int32]) -> [ReachableSocket] { ForeignSockets.reachable(by: pids) }

    func reachableSocket(_ descriptor: consuming OwnedDescriptor) -> ReachableSocket? { ReachableSocket(descriptor) }

    func socketsOfProcesses(_ pids: [Int32]) throws(SystemError) -> any ProcessSockets {
        LinuxProcessSockets(try ForeignSockets(of: pids))
    }

    func isFIFO(_ path: String) -> Bool { FIFOWriter.isFIFO(path) }

    func writeToFIFO(_ bytes: [UInt8], at path: String) throws(SystemError) -> Bool {
        try FIFOWriter.write(bytes, to: path)
    }
}

extension ReservedAddress: AddressReservation {}

private final class LinuxProcessSockets: ProcessSockets {
    private let foreign: ForeignSockets

    init(_ foreign: ForeignSockets) { self.foreign = foreign }

    func duplicate(inode: UInt64) throws(SystemError) -> OwnedDescriptor? { try foreign.duplicate(inode: inode) }
}

/// An endpoint of this host.
private final class LinuxEndpoint: Endpoint {
    private let held: HeldEndpoint
    private let loop: EventLoop

    init(_ held: HeldEndpoint, _ loop: EventLoop) {
        self.held = held
        self.loop = loop
    }

    private var socket: ListeningSocket? { if case .socket(let socket) = held { socket } else { nil } }

    /// The socket, for operations that only sockets have.
    private func requireSocket() throws(SystemError) -> ListeningSocket {
        guard let socket else { throw SystemError("socket operation", held.text, .notSocket) }
        return socket
    }

    var target: HeldEndpoint.Target { held.target }
    var raw: Int32 { held.raw }
    var inode: UInt64? { OwnedDescriptor.inode(of: held.raw) }
    var address: SocketAddress? { socket?.address }
    var text: String { held.text }
    var paths: [String] { held.paths }
    var fileID: FileID? { held.fileID }
    var problems: [SystemError] { held.problems }
    var baseline: HeldBaseline { held.baseline }
    var network: NetworkNamespace? {
        get { socket?.network }
        set { socket?.network = newValue }
    }

    var hasConnections: Bool { held.connected != nil }
    var isListening: Bool { held.isListening }
    var hasWaitingConnection: Bool { held.connected?.hasWaiting == true }
    var acceptQueue: (waiting: Int, limit: Int)? { held.acceptQueue }
    var backlog: Int { held.backlog }

    func duplicate() throws(SystemError) -> OwnedDescriptor { try held.duplicate() }
    func unlinkPath() { held.unlinkPath() }
    func setNonBlocking(_ on: Bool) throws(SystemError) { try held.setNonBlocking(on) }
    func flush() { held.flush() }
    func accept() throws(SystemError) -> OwnedDescriptor? { try requireSocket().accept() }

    func watchReadable(_ handler: @escaping () -> Bool) throws(SystemError) {
        try held.watchReadable(loop: loop, handler)
    }

    func cancelReadable() { held.cancelReadable() }

    func watchArrival(_ handler: @escaping () -> Void) throws(SystemError) {
        try held.connected?.watchArrival(loop: loop, handler)
    }

    func watchBroken(_ handler: @escaping () -> Void) throws(SystemError) {
        try socket?.watchBroken(loop: loop, handler)
    }

    func update(_ settings: EndpointSettings, previous: SocketOptions) -> [String] {
        switch held {
        case .socket(let socket):
            return socket.update(settings: settings.options, options: settings.file, backlog: settings.backlog)
        case .file(let file):
            file.update(options: settings.options, previous: previous, sizes: settings.sizes)
            return file.file == settings.file ? [] : ["SocketMode=, SocketUser=, SocketGroup="]
        }
    }

    func restoreAttributes(nonBlocking: Bool?) -> [AttributeChange] { held.putBack(nonBlocking: nonBlocking) }
    var isBeyondRepair: Bool { held.isBeyondRepair }

    var canHoldBack: Bool { socket?.canHoldBack == true }
    func holdBack(_ on: Bool) throws(SystemError) { try requireSocket().holdBack(on) }

    func listenAgain() throws(SystemError) -> Bool { try requireSocket().listenAgain() }
    func restorePath() throws(SystemError) -> ListeningSocket.PathState { try socket?.restorePath() ?? .intact }
    var canHaveSuccessor: Bool { socket?.canHaveSuccessor == true }

    func successor() throws(SystemError) -> any Endpoint {
        LinuxEndpoint(.socket(try requireSocket().successor()), loop)
    }

    func renew() throws(SystemError) { try requireSocket().renew() }
}
