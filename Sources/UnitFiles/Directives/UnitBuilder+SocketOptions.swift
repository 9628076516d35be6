// [Socket]: options set on the opened sockets.

extension UnitBuilder {
    /// [Socket]: options set on the opened sockets and files.
    static let socketOptionDirectives: [Directive] = [
        Directive("BindIPv6Only", .socket, in: .socket) {
            // Old units use a boolean.
            if let only = try? Value.boolean($1.value) {
                $0.socket.options.ipv6Only = only ? .only : .both
            } else if let choice = $0.choice($1, .fatal, of: SocketSettings.IPv6Only.self) {
                $0.socket.options.ipv6Only = choice
            }
        },
        Directive("BindToDevice", .socket, in: .socket) { $0.bindToDevice($1) },
        Directive("FreeBind", .socket, in: .socket) { $0.set(\.freeBind, $1) },
        Directive("Transparent", .socket, in: .socket) { $0.set(\.transparent, $1) },
        Directive("Broadcast", .socket, in: .socket) { $0.set(\.broadcast, $1) },
        Directive("ReusePort", .socket, in: .socket) { $0.set(\.reusePort, $1) },
        Directive("PassCredentials", .socket, in: .socket) { $0.set(\.passCredentials, $1) },
        Directive("PassSecurity", .socket, in: .socket) { $0.set(\.passSecurity, $1) },
        Directive("PassPacketInfo", .socket, in: .socket) { $0.set(\.passPacketInfo, $1) },
        Directive("Mark", .socket, in: .socket) {
            // A negative number means none, as without the directive.
            let mark = $0.number($1, .ignored, in: Int32.min...Int32.max)
            if let mark { $0.socket.options.mark = mark < 0 ? nil : UInt32(mark) }
        },
        Directive("Priority", .socket, in: .socket) { $0.set(\.priority, $1, in: Int32.min...Int32.max) },
        Directive("IPTTL", .socket, in: .socket) {
            if (try? Value.integer($1.value, in: Int32.min...(-1))) != nil {
                $0.socket.options.timeToLive = nil
            } else {
                $0.set(\.timeToLive, $1, in: 1...255)
            }
        },
        Directive("ReceiveBuffer", .socket, in: .socket) { $0.setSize(\.receiveBuffer, $1) },
        Directive("SendBuffer", .socket, in: .socket) { $0.setSize(\.sendBuffer, $1) },
        Directive("IPTOS", .socket, in: .socket) {
            if $1.value.isEmpty {
                $0.socket.options.typeOfService = nil
            } else if let named = SocketSettings.typesOfService[$1.value] {
                $0.socket.options.typeOfService = named
            } else {
                $0.set(\.typeOfService, $1, in: 0...255)
            }
        },
        Directive("Timestamping", .socket, in: .socket) {
            let value = $0.value($1, .ignored) { (text) throws(ValueError) -> SocketSettings.Timestamping in
                switch text {
                case "off": return .off
                case "us", "usec", "\u{B5}s", "\u{3BC}s": return .microseconds
                case "ns", "nsec": return .nanoseconds
                default:
                    guard let on = try? Value.boolean(text) else {
                        throw ValueError("expected \"off\", \"us\" or \"ns\", not \"\(text)\"")
                    }
                    return on ? .nanoseconds : .off
                }
            }
            if let value { $0.socket.options.timestamping = value }
        },
        Directive("SocketProtocol", .socket, in: .socket) {
            var lowercased = $1
            lowercased.value = $1.value.lowercased()
            if let choice = $0.choice(lowercased, .fatal, of: SocketSettings.SocketProtocol.self) {
                $0.socket.options.socketProtocol = choice
            }
        },
        Directive("KeepAlive", .socket, in: .socket) { $0.set(\.keepAlive, $1) },
        Directive("NoDelay", .socket, in: .socket) { $0.set(\.noDelay, $1) },
        Directive("KeepAliveTimeSec", .socket, in: .socket) { $0.setSpan(\.keepAliveTime, $1) },
        Directive("KeepAliveIntervalSec", .socket, in: .socket) { $0.setSpan(\.keepAliveInterval, $1) },
        Directive("DeferAcceptSec", .socket, in: .socket) { $0.setSpan(\.deferAccept, $1) },
        Directive("KeepAliveProbes", .socket, in: .socket) { $0.set(\.keepAliveProbes, $1, in: 1...127) },
        Directive("TCPCongestion", .socket, in: .socket) {
            $0.socket.options.tcpCongestion = $1.value.isEmpty ? nil : $1.value
        },
        Directive("PipeSize", .socket, in: .socket) { $0.setSize(\.pipeSize, $1) },
        Directive("MessageQueueMaxMessages", .socket, in: .socket) {
            $0.set(\.messageQueueMaxMessages, $1, in: 1...Int(Int32.max))
        },
        Directive("MessageQueueMessageSize", .socket, in: .socket) {
            $0.set(\.messageQueueMessageSize, $1, in: 1...Int(Int32.max))
        },
        Directive("Writable", .socket, in: .socket) { $0.set(\.writable, $1) },
        Directive("DirectoryMode", .socket, in: .socket) {
            if let mode = $0.value($1, .fatal, Value.mode) { $0.socket.options.directoryMode = mode }
        },
        Directive("Symlinks", .socket, in: .socket) {
            if $1.value.isEmpty { $0.socket.options.symlinks = [] }
            for word in $0.words($1, escapes: .interpreted) {
                do throws(ValueError) {
                    $0.socket.options.symlinks.append(try Value.absolutePath(word.text))
                } catch {
                    $0.reject($1, ValueError(error.message, at: word.offset), .ignored)
                }
            }
        },
    ]

    // MARK: One value

    private mutating func set(_ path: WritableKeyPath<SocketSettings, Bool>, _ assignment: Assignment) {
        if let value = value(assignment, .ignored, Value.boolean) { socket.options[keyPath: path] = value }
    }

    private mutating func set<N: FixedWidthInteger>(
        _ path: WritableKeyPath<SocketSettings, N?>, _ assignment: Assignment, in range: ClosedRange<N>
    ) {
        // As under systemd, an empty assignment resets nothing.
        if let number = number(assignment, .ignored, in: range) {
            socket.options[keyPath: path] = number
        }
    }

    private mutating func setSpan(_ path: WritableKeyPath<SocketSettings, Duration?>, _ assignment: Assignment) {
        // As under systemd, an empty assignment resets nothing.
        if let span = value(assignment, .ignored, TimeSpan.parseLong) {
            socket.options[keyPath: path] = span
        }
    }

    private mutating func setSize(_ path: WritableKeyPath<SocketSettings, UInt64?>, _ assignment: Assignment) {
        // As under systemd, an empty assignment resets nothing.
        if let size = value(assignment, .ignored, Value.size) {
            socket.options[keyPath: path] = size
        }
    }

    private mutating func bindToDevice(_ assignment: Assignment) {
        if assignment.value.isEmpty || assignment.value == "*" {
            socket.options.bindToDevice = nil
            return
        }
        let device = expanded(assignment, .fatal) { (text) throws(ValueError) in
            // IFNAMSIZ is 16 with the NUL (netdevice(7)). The other names that systemd refuses mean something else to
            // some programs.
            let isPlain = text.utf8.allSatisfy { (0x21...0x7E).contains($0) && !":/%".utf8.contains($0) }
            let isReserved = [".", "..", "all", "default"].contains(text) || text.utf8.allSatisfy(Ascii.isDigit)
            guard (1...15).contains(text.utf8.count), isPlain, !isReserved else {
                throw ValueError("expected the name of a network interface, not \"\(text)\"")
            }
            return text
        }
        if let device { socket.options.bindToDevice = device }
    }
}
