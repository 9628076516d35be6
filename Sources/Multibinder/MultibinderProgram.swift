import Glibc
import Linux
import SystemPackage

/// The replacement for multibinder's own program: holds sockets for its clients, and does nothing else.
///
/// SIGUSR1 executes the program file again in the same process, so that an upgrade keeps the pid, every listening
/// socket, the control socket and the connected clients. Descriptors, named in one variable, are all that the new
/// program takes over.
public final class MultibinderProgram {
    /// The most sockets; a client that needs more binds in a loop.
    private static let socketLimit = 8192
    private static let variable = "HOLDFAST_MULTIBINDER_SOCKETS"

    private let loop: EventLoop
    private let path: String
    private let program: String
    private let arguments: [String]
    private var server: MultibinderServer?
    private var sockets: [SocketAddress: ListeningSocket] = [:]
    private var signals: [SignalSource] = []

    /// - Parameters:
    ///   - path: the path of the control socket.
    ///   - program: the program that SIGUSR1 executes.
    public init(loop: EventLoop, path: String, program: String, arguments: [String]) {
        self.loop = loop
        self.path = path
        self.program = program
        self.arguments = arguments
    }

    /// Listens, or takes over the descriptors in the variable, and reports it. Signals must be blocked.
    public func start() throws(SystemError) {
        let server = MultibinderServer(
            loop: loop,
            actions: .init(
                // The mode of the socket's file decides which users may connect.
                mayAsk: { _ in true }, bind: { [unowned self] in bind($0, $1) },
                unbind: { [unowned self] in unbind($0) }))
        self.server = server
        let inherited = getenv(Self.variable).map { RespawnState(String(cString: $0)) }
        unsetenv(Self.variable)
        if let inherited, let listening = inherited.listening {
            for (descriptor, requested) in inherited.sockets { try adopt(descriptor, requested) }
            for connection in inherited.connections { closeOnExec(connection.socket, true) }
            closeOnExec(listening, true)
            try server.adopt(OwnedDescriptor(owning: listening), at: path, inherited.connections)
        } else {
            try server.listen(at: path, mode: 0o600, group: nil)
        }
        signals = [
            try loop.addSignal(.user1) { [unowned self] in respawn() },
            try loop.addSignal(.terminate) { [unowned self] in loop.exit(0) },
            try loop.addSignal(.interrupt) { [unowned self] in loop.exit(0) },
        ]
        printLine("Listening for binds on control socket: \(path)")
    }

    /// Removes the control socket. Paths of listening sockets stay: processes that have the sockets still serve them.
    public func stop() {
        server = nil
        sockets = [:]
        signals = []
    }

    private func bind(_ address: SocketAddress, _ backlog: Int32) -> Result<OwnedDescriptorBox, SystemError> {
        Result { () throws(SystemError) in
            if let present = sockets[address] { return OwnedDescriptorBox(try present.duplicate()) }
            guard sockets.count < Self.socketLimit else {
                throw SystemError("listening on", "\(address)", .tooManyOpenFiles)
            }
            let fresh = try ListeningSocket(address, backlog: backlog)
            let box = OwnedDescriptorBox(try fresh.duplicate())
            sockets[address] = fresh
            return box
        }
    }

    private func unbind(_ address: SocketAddress) -> Bool {
        guard let socket = sockets.removeValue(forKey: address) else { return false }
        socket.unlinkPath()
        return true
    }

    private func adopt(_ descriptor: Int32, _ requested: SocketAddress?) throws(SystemError) {
        closeOnExec(descriptor, true)
        let socket = try ListeningSocket(adopting: OwnedDescriptor(owning: descriptor), requested: requested)
        sockets[socket.requested] = socket
    }

    private func respawn() {
        printLine("Respawning...")
        let (listening, connections) = server?.inheritance ?? (nil, [])
        let all = sockets.values.map(\.raw) + connections.map(\.socket) + (listening.map { [$0] } ?? [])
        let inheritance = RespawnState(
            listening: listening, sockets: sockets.map { ($0.value.raw, $0.key == $0.value.address ? nil : $0.key) },
            connections: connections)
        for descriptor in all { closeOnExec(descriptor, false) }
        setenv(Self.variable, inheritance.text, 1)
        var words = arguments.map { strdup($0) } + [nil]
        execv(program, &words)
        // The execution failed: the file is missing or no program. All sockets stay held; the next signal tries again.
        let cause = SystemError("executing", program, Errno(rawValue: errno))
        for word in words { free(word) }
        unsetenv(Self.variable)
        for descriptor in all { closeOnExec(descriptor, true) }
        printLine("Cannot respawn: \(cause)")
    }

    private func closeOnExec(_ descriptor: Int32, _ on: Bool) {
        try? DescriptorFlags.setCloseOnExec(descriptor, on)
    }

    private func printLine(_ line: String) {
        var text = line + "\n"
        text.withUTF8 { _ = write(1, $0.baseAddress, $0.count) }
    }
}

/// The state that survives an execution: `l5 s6 s7=127.0.0.1:0 c9 c10:7b226a`, a letter and a descriptor each; after
/// `=` the requested address if the kernel chose another port, after `:` the received bytes of a request in
/// hexadecimal.
struct RespawnState {
    var listening: Int32?
    var sockets: [(Int32, SocketAddress?)] = []
    var connections: [MultibinderServer.Inherited] = []

    init(listening: Int32?, sockets: [(Int32, SocketAddress?)], connections: [MultibinderServer.Inherited]) {
        self.listening = listening
        self.sockets = sockets
        self.connections = connections
    }

    init(_ text: String) {
        for word in text.split(separator: " ") {
            let rest = word.dropFirst()
            switch word.first {
            case "l": listening = Int32(rest)
            case "s":
                let parts = rest.split(separator: "=", maxSplits: 1)
                guard let number = parts.first.flatMap({ Int32($0) }) else { continue }
                // Addresses are in hexadecimal, because paths may have spaces.
                let address = parts.count > 1 ? SocketAddress(Self.decoded(parts[1])) : nil
                sockets.append((number, address))
            case "c":
                let parts = rest.split(separator: ":", maxSplits: 1)
                guard let number = parts.first.flatMap({ Int32($0) }) else { continue }
                connections.append(.init(socket: number, pending: parts.count > 1 ? Self.bytes(parts[1]) : []))
            default: continue
            }
        }
    }

    var text: String {
        var words: [String] = []
        if let listening { words.append("l\(listening)") }
        for (number, address) in sockets {
            words.append("s\(number)" + (address.map { "=" + Self.hexadecimal(Array("\($0)".utf8)) } ?? ""))
        }
        for connection in connections {
            let pending = connection.pending.isEmpty ? "" : ":" + Self.hexadecimal(connection.pending)
            words.append("c\(connection.socket)\(pending)")
        }
        return words.joined(separator: " ")
    }

    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
    }

    private static func bytes(_ text: Substring) -> [UInt8] {
        let digits = Array(text.utf8)
        return stride(from: 0, to: digits.count - 1, by: 2).compactMap { index in
            UInt8(String(decoding: digits[index...(index + 1)], as: UTF8.self), radix: 16)
        }
    }

    private static func decoded(_ text: Substring) -> String { String(decoding: bytes(text), as: UTF8.self) }
}
