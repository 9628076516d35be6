@testable import UnitFiles

/// Properties of socket units.
extension ShownProperties {
    static func options(_ property: String, _ socket: SocketUnit) -> String? {
        let options = socket.options
        switch property {
        case "Listen": return socket.listen.map(listen).joined(separator: "\u{1E}")
        case "Accept": return yesNo(socket.activation.accept)
        case "FlushPending": return yesNo(socket.activation.flushPending)
        case "Writable": return yesNo(options.writable)
        case "KeepAlive": return yesNo(options.keepAlive)
        case "NoDelay": return yesNo(options.noDelay)
        case "FreeBind": return yesNo(options.freeBind)
        case "Transparent": return yesNo(options.transparent)
        case "Broadcast": return yesNo(options.broadcast)
        case "PassCredentials": return yesNo(options.passCredentials)
        case "PassSecurity": return yesNo(options.passSecurity)
        case "PassPacketInfo": return yesNo(options.passPacketInfo)
        case "ReusePort": return yesNo(options.reusePort)
        case "RemoveOnStop": return yesNo(socket.removeOnStop)
        case "KeepAliveTimeUSec": return span(options.keepAliveTime ?? .zero)
        case "KeepAliveIntervalUSec": return span(options.keepAliveInterval ?? .zero)
        case "DeferAcceptUSec": return span(options.deferAccept ?? .zero)
        case "TriggerLimitIntervalUSec": return socket.activation.triggerInterval.map(span)
        case "TriggerLimitBurst": return socket.activation.triggerBurst.map { "\($0)" }
        case "TimeoutUSec": return span(socket.activation.timeout)
        case "Backlog": return "\(min(socket.backlog, UInt32(Int32.max)))"
        case "MaxConnections": return "\(socket.activation.maxConnections)"
        case "MaxConnectionsPerSource": return "\(socket.activation.maxConnectionsPerSource)"
        case "KeepAliveProbes": return "\(options.keepAliveProbes ?? 0)"
        case "Priority": return "\(options.priority ?? -1)"
        case "IPTTL": return "\(options.timeToLive ?? -1)"
        case "IPTOS": return "\(options.typeOfService ?? -1)"
        case "Mark": return options.mark.map { "\(Int32(bitPattern: $0))" } ?? "-1"
        case "MessageQueueMaxMessages": return "\(options.messageQueueMaxMessages ?? 0)"
        case "MessageQueueMessageSize": return "\(options.messageQueueMessageSize ?? 0)"
        case "ReceiveBuffer": return "\(options.receiveBuffer ?? 0)"
        case "SendBuffer": return "\(options.sendBuffer ?? 0)"
        case "PipeSize": return "\(options.pipeSize ?? 0)"
        case "SocketMode": return mode(socket.socketMode)
        case "DirectoryMode": return mode(options.directoryMode)
        case "SocketUser": return socket.socketUser ?? ""
        case "SocketGroup": return socket.socketGroup ?? ""
        case "BindIPv6Only": return options.ipv6Only.rawValue
        case "BindToDevice": return options.bindToDevice ?? ""
        case "TCPCongestion": return options.tcpCongestion ?? ""
        case "Symlinks": return words(options.symlinks)
        case "FileDescriptorName": return socket.fileDescriptorName
        case "Triggers": return socket.serviceName?.description
        default: return nil
        }
    }

    static func listen(_ entry: ListenEntry) -> String {
        switch entry.target {
        case .stream(let address): "\(shown(address)) (Stream)"
        case .datagram(let address): "\(shown(address)) (Datagram)"
        case .sequentialPacket(let address): "\(shown(address)) (SequentialPacket)"
        case .fifo(let path): "\(path) (FIFO)"
        case .special(let path): "\(path) (Special)"
        case .netlink(let target): "\(target.family) \(target.groups) (Netlink)"
        case .messageQueue(let name): "\(name) (MessageQueue)"
        }
    }

    static func shown(_ address: ListenAddress) -> String {
        if case .port(let port) = address { return "[::]:\(port)" }
        return address.description
    }
}
