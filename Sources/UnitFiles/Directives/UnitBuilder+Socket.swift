// [Socket]

import Vocabulary

extension UnitBuilder {
    /// [Socket]: addresses, names and owners.
    static let socketDirectives: [Directive] = [
        Directive("ListenStream", .socket, in: .socket) {
            $0.listen($1) { (text) throws(ValueError) in .stream(try ListenAddress.parse(text)) }
        },
        Directive("ListenDatagram", .socket, in: .socket) {
            $0.listen($1) { (text) throws(ValueError) in .datagram(try ListenAddress.parse(text)) }
        },
        Directive("ListenSequentialPacket", .socket, in: .socket) {
            $0.listen($1) { (text) throws(ValueError) in .sequentialPacket(try UnitBuilder.unixAddress(text)) }
        },
        Directive("ListenFIFO", .socket, in: .socket) {
            $0.listen($1) { (text) throws(ValueError) in .fifo(try Value.absolutePath(text)) }
        },
        Directive("ListenSpecial", .socket, in: .socket) {
            $0.listen($1) { (text) throws(ValueError) in .special(try Value.absolutePath(text)) }
        },
        Directive("ListenNetlink", .socket, in: .socket) {
            $0.listen($1) { (text) throws(ValueError) in .netlink(try NetlinkTarget.parse(text)) }
        },
        Directive("ListenMessageQueue", .socket, in: .socket) {
            $0.listen($1) { (text) throws(ValueError) in .messageQueue(try UnitBuilder.messageQueueName(text)) }
        },
        Directive("Backlog", .socket, in: .socket) {
            if let backlog = $0.number($1, .ignored, in: UInt32.min...UInt32.max) { $0.socket.backlog = backlog }
        },
        Directive("FileDescriptorName", .socket, in: .socket) {
            if $1.value.isEmpty {
                $0.socket.explicitFileDescriptorName = nil
            } else if let name = $0.expanded($1, .ignored, Self.descriptorName) {
                $0.socket.explicitFileDescriptorName = name
            }
        },
        Directive("SocketMode", .socket, in: .socket) {
            if let mode = $0.value($1, .fatal, Value.mode) { $0.socket.socketMode = mode }
        },
        Directive("SocketUser", .socket, in: .socket) { $0.socket.socketUser = $0.account($1, $0.socket.socketUser) },
        Directive("SocketGroup", .socket, in: .socket) {
            $0.socket.socketGroup = $0.account($1, $0.socket.socketGroup)
        },
        Directive("RemoveOnStop", .socket, in: .socket) {
            if let remove = $0.value($1, .ignored, Value.boolean) { $0.socket.removeOnStop = remove }
        },
        Directive("X-Scope", .holdfast, in: .socket) {
            if $1.value.isEmpty {
                $0.socket.explicitScope = nil
            } else if let scope = $0.choice($1, .fatal, of: SocketScope.self) {
                $0.socket.explicitScope = scope
            }
        },
        Directive("X-Pass", .holdfast, in: .socket) {
            if $1.value.isEmpty {
                $0.socket.pass = .descriptor
            } else if let pass = $0.choice($1, .fatal, of: SocketPass.self) {
                $0.socket.pass = pass
            }
        },
    ]

    /// Adds an address. An empty assignment to any Listen…= resets all of them, whatever their kind
    /// (systemd.socket(5)).
    private mutating func listen(
        _ assignment: Assignment, _ parse: (String) throws(ValueError) -> ListenTarget
    ) {
        if assignment.value.isEmpty {
            socket.listen = []
            return
        }
        guard let target = expanded(assignment, .fatal, parse) else { return }
        socket.listen.append(ListenEntry(target, at: assignment.valueLocation))
    }

    private static func unixAddress(_ text: String) throws(ValueError) -> ListenAddress {
        let address = try ListenAddress.parse(text)
        switch address {
        case .unix, .abstract: return address
        case .ipv4, .ipv6, .port, .vsock:
            throw ValueError("only Unix sockets support sequential packets; expected \"/path\" or \"@name\"")
        }
    }

    /// Checks a name as in mq_overview(7): a slash and up to 254 characters, none of which is a slash.
    private static func messageQueueName(_ text: String) throws(ValueError) -> String {
        let name = text.utf8.dropFirst()
        guard text.utf8.first == UInt8(ascii: "/"), (1...254).contains(name.count),
            !name.contains(UInt8(ascii: "/")), !Ascii.hasControlCharacter(text)
        else { throw ValueError("expected the name of a message queue such as \"/queue\", not \"\(text)\"") }
        return text
    }

    /// Checks that need all files of the unit.
    mutating func finishSocket() {
        if socket.listen.isEmpty {
            missing("ListenStream", "the socket has no Listen…=")
        }
        let options = socket.options
        if !options.symlinks.isEmpty, socket.listen.count(where: { $0.target.path != nil }) != 1 {
            refuse("Symlinks", "needs exactly one Unix socket or FIFO with a path, which it links to")
        }
        if (options.messageQueueMaxMessages == nil) != (options.messageQueueMessageSize == nil) {
            refuse(
                "MessageQueueMaxMessages",
                "and MessageQueueMessageSize= must both be set")
        }
        if socket.acceptsItself, socket.listen.contains(where: { !$0.target.isConnected }) {
            refuse("Accept", "\"yes\" is not possible for stream and datagram addresses in one unit; split the unit")
        }
        if socket.activation.accept, socket.service != nil, socket.acceptsItself {
            refuse("Service", "is not allowed with Accept=yes: each connection gets an instance of \(acceptTemplate)")
        }
        if socket.pass == .address {
            let isStream = socket.listen.allSatisfy { if case .stream = $0.target { true } else { false } }
            if !isStream { refuse("X-Pass", "\"address\" supports ListenStream= only") }
            if socket.acceptsItself || socket.activation.idleStop != nil {
                refuse(
                    "X-Pass",
                    "\"address\" is not possible with Accept=yes or X-IdleStopSec=, because the program listens itself")
            }
        }
        if socket.activation.idleStop != nil, !socket.listen.contains(where: { $0.target.isConnected }) {
            refuse("X-IdleStopSec", "requires a ListenStream= or ListenSequentialPacket=")
        }
    }

    private var acceptTemplate: String { name.connectionTemplate?.description ?? "its template" }

    /// Refuses a unit with a contradiction.
    private mutating func refuse(_ directive: String, _ message: String) {
        let location = sectionLocation
        refuse(Diagnostic(.error, .invalidValue, at: location, directive: directive, "\(directive)= \(message)"))
    }
}
