import Glibc
import Linux
import UnitFiles

// Converts the settings of `.socket` units to those of the Linux layer.

extension SocketAddress {
    init(_ address: ListenAddress) {
        self =
            switch address {
            case .ipv4(let host, let port): .inet(host: "\(host)", port: port)
            case .ipv6(let host, let port, let interface):
                .inet6(host: "\(host)" + (interface.map { "%" + $0 } ?? ""), port: port)
            case .port(let port): .inet6(host: "::", port: port)
            case .unix(let path): .unix(path: path)
            case .abstract(let name): .abstract(name: name)
            case .vsock(let cid, let port): .vsock(cid: cid ?? .max, port: port)
            }
    }
}

extension HeldEndpoint.Target {
    init(_ target: ListenTarget, _ options: SocketSettings, hasIPv6: Bool) {
        func address(_ address: ListenAddress) -> SocketAddress {
            // A bare port means IPv6, which takes IPv4 as well; a kernel without IPv6 gets IPv4, as under systemd.
            if case .port(let port) = address, !hasIPv6 { return .inet(host: "0.0.0.0", port: port) }
            return SocketAddress(address)
        }
        self =
            switch target {
            case .stream(let wanted): .socket(address(wanted), .stream)
            case .datagram(let wanted): .socket(address(wanted), .datagram)
            case .sequentialPacket(let wanted): .socket(address(wanted), .sequentialPacket)
            case .fifo(let path): .file(.fifo(path: path))
            case .special(let path): .file(.special(path: path, writable: options.writable))
            case .messageQueue(let name): .file(.messageQueue(name: name))
            case .netlink(let netlink): .file(.netlink(family: netlink.number, groups: netlink.groups))
            }
    }

    /// Address of the generation's own socket. Two generations of one release may live at once: the number is appended
    /// to a path or name; a port must be 0. A netlink socket is never shared, and a special file exists only once.
    func unique(_ number: Int) -> HeldEndpoint.Target {
        switch self {
        case .socket(.unix(let path), let kind): .socket(.unix(path: "\(path).\(number)"), kind)
        case .socket(.abstract(let name), let kind): .socket(.abstract(name: "\(name).\(number)"), kind)
        case .file(.fifo(let path)): .file(.fifo(path: "\(path).\(number)"))
        case .file(.messageQueue(let name)): .file(.messageQueue(name: "\(name).\(number)"))
        case .socket(.inet, _), .socket(.inet6, _), .socket(.vsock, _), .file(.special), .file(.netlink): self
        }
    }

    /// Whether the address has a port, which only one generation can have if it is fixed.
    var hasPort: Bool {
        switch self {
        case .socket(.inet, _), .socket(.inet6, _): true
        case .socket(.unix, _), .socket(.abstract, _), .socket(.vsock, _), .file: false
        }
    }
}

extension HeldSockets {
    /// ` (a regular file is in the way; …)`, a suffix for the error of an open; nil where the errno suffices.
    func obstacle(to target: HeldEndpoint.Target, _ error: SystemError) -> String? {
        guard
            [.addressInUse, .fileExists, .isDirectory, .tooManySymbolicLinkLevels, .noSuchAddressOrDevice]
                .contains(error.errno)
        else { return nil }
        switch target {
        case .socket(.unix(let path), _):
            return machine.sockets.obstacle(at: path, insteadOf: .socket).map { " (\($0))" }
        case .file(.fifo(let path)):
            return machine.sockets.obstacle(at: path, insteadOf: .fifo).map { " (\($0))" }
        case .socket, .file: return nil
        }
    }
}

extension SocketOptions {
    init(_ options: SocketSettings) {
        self.init()
        ipv6Only =
            switch options.ipv6Only {
            case .systemDefault: nil
            case .both: false
            case .only: true
            }
        device = options.bindToDevice
        freeBind = options.freeBind
        transparent = options.transparent
        reusePort = options.reusePort
        ipProtocol =
            switch options.socketProtocol {
            case .udplite: Int32(IPPROTO_UDPLITE)
            case .sctp: Int32(IPPROTO_SCTP)
            case nil: 0
            }
        broadcast = options.broadcast
        keepAlive = options.keepAlive
        keepAliveTime = options.keepAliveTime?.wholeSeconds
        keepAliveInterval = options.keepAliveInterval?.wholeSeconds
        keepAliveProbes = options.keepAliveProbes.map(Int32.init(clamping:))
        noDelay = options.noDelay
        deferAccept = options.deferAccept?.wholeSeconds
        receiveBuffer = options.receiveBuffer.map(Int32.init(clamping:))
        sendBuffer = options.sendBuffer.map(Int32.init(clamping:))
        typeOfService = options.typeOfService
        timeToLive = options.timeToLive
        mark = options.mark
        priority = options.priority
        passCredentials = options.passCredentials
        passSecurity = options.passSecurity
        passPacketInfo = options.passPacketInfo
        timestamping =
            switch options.timestamping {
            case .off: .off
            case .microseconds: .microseconds
            case .nanoseconds: .nanoseconds
            }
        congestion = options.tcpCongestion
    }
}

extension HeldFile.Sizes {
    init(_ options: SocketSettings) {
        self.init(
            pipe: options.pipeSize.map(Int32.init(clamping:)), messages: options.messageQueueMaxMessages,
            messageSize: options.messageQueueMessageSize)
    }
}

extension EndpointSettings {
    init(_ unit: SocketUnit, _ file: ListeningSocket.FileOptions) {
        self.init(
            backlog: Int32(clamping: unit.backlog), file: file, options: SocketOptions(unit.options),
            sizes: HeldFile.Sizes(unit.options))
    }
}

extension ListeningSocket.FileOptions {
    init(_ unit: SocketUnit, _ accounts: any AccountsPort) throws(UnknownAccount) {
        self.init(mode: mode_t(unit.socketMode), directoryMode: mode_t(unit.options.directoryMode))
        if let user = unit.socketUser {
            let account = try accounts.user(user)
            owner = account.uid
            // "If only a user is specified but no group, then the group is derived from the user's default group."
            group = account.gid
        }
        if let name = unit.socketGroup { group = try accounts.group(name) }
    }
}

extension Duration {
    /// Whole seconds, in which the kernel counts these settings; less than one becomes one, not 0 ("off").
    fileprivate var wholeSeconds: Int32 {
        let (seconds, rest) = components
        return Int32(clamping: seconds + (rest > 0 && seconds == 0 ? 1 : 0))
    }
}
