// [Socket]

import Vocabulary

extension UnitBuilder {
    mutating func apply(_ directive: SocketDirective, _ assignment: Assignment) {
        switch directive {
        case .listenStream, .listenDatagram, .listenSequentialPacket, .listenFIFO, .listenSpecial, .listenNetlink,
            .listenMessageQueue:
            listen(directive, assignment)
        case .backlog:
            if let backlog = number(assignment, .ignored, in: UInt32.min...UInt32.max) { socket.backlog = backlog }
        case .fileDescriptorName:
            if assignment.value.isEmpty {
                socket.explicitFileDescriptorName = nil
            } else if let name = expanded(assignment, .ignored, Self.descriptorName) {
                socket.explicitFileDescriptorName = name
            }
        case .socketMode: if let mode = value(assignment, .fatal, Value.mode) { socket.socketMode = mode }
        case .socketUser: socket.socketUser = account(assignment, socket.socketUser)
        case .socketGroup: socket.socketGroup = account(assignment, socket.socketGroup)
        case .removeOnStop:
            if let remove = value(assignment, .ignored, Value.boolean) { socket.removeOnStop = remove }
        case .scope:
            if assignment.value.isEmpty {
                socket.explicitScope = nil
            } else if let scope = choice(assignment, .fatal, of: SocketScope.self) {
                socket.explicitScope = scope
            }
        case .pass:
            if assignment.value.isEmpty {
                socket.pass = .descriptor
            } else if let pass = choice(assignment, .fatal, of: SocketPass.self) {
                socket.pass = pass
            }
        case .bindIPv6Only, .bindToDevice, .freeBind, .transparent, .broadcast, .reusePort, .mark, .priority,
            .timestamping, .passCredentials, .passSecurity, .passPacketInfo, .receiveBuffer, .sendBuffer, .ipTOS,
            .ipTTL, .socketProtocol:
            applySocketOption(directive, assignment)
        case .keepAlive, .keepAliveTimeSec, .keepAliveIntervalSec, .keepAliveProbes, .noDelay, .deferAcceptSec,
            .tcpCongestion:
            applyTCPOption(directive, assignment)
        case .pipeSize, .messageQueueMaxMessages, .messageQueueMessageSize, .symlinks, .directoryMode, .writable:
            applyFileOption(directive, assignment)
        case .service, .accept, .maxConnections, .maxConnectionsPerSource, .flushPending, .triggerLimitIntervalSec,
            .triggerLimitBurst, .pollLimitIntervalSec, .pollLimitBurst, .idleStopSec:
            applyActivation(directive, assignment)
        case .execStartPre, .execStartPost, .execStopPre, .execStopPost, .timeoutSec:
            applySocketCommand(directive, assignment)
        }
    }

    /// Adds an address. An empty assignment to any Listen…= resets all of them, whatever their kind
    /// (systemd.socket(5)).
    private mutating func listen(_ directive: SocketDirective, _ assignment: Assignment) {
        if assignment.value.isEmpty {
            socket.listen = []
            return
        }
        let target = expanded(assignment, .fatal) { (text) throws(ValueError) -> ListenTarget? in
            switch directive {
            case .listenStream: return .stream(try ListenAddress.parse(text))
            case .listenDatagram: return .datagram(try ListenAddress.parse(text))
            case .listenSequentialPacket:
                let address = try ListenAddress.parse(text)
                switch address {
                case .unix, .abstract: return .sequentialPacket(address)
                case .ipv4, .ipv6, .port, .vsock:
                    throw ValueError("only Unix sockets support sequential packets; expected \"/path\" or \"@name\"")
                }
            case .listenFIFO: return .fifo(try Value.absolutePath(text))
            case .listenSpecial: return .special(try Value.absolutePath(text))
            case .listenNetlink: return .netlink(try NetlinkTarget.parse(text))
            case .listenMessageQueue: return .messageQueue(try Self.messageQueueName(text))
            default: return nil
            }
        }
        if let target, let target { socket.listen.append(ListenEntry(target, at: assignment.valueLocation)) }
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

extension UnitName {
    /// The template whose instances serve the connections of `Accept=yes`: `echo@.service` for `echo.socket`.
    var connectionTemplate: UnitName? { try? UnitName(prefix + "@.service") }
}
