// [Socket]: options set on the opened sockets.

extension UnitBuilder {
    mutating func applySocketOption(_ directive: SocketDirective, _ assignment: Assignment) {
        switch directive {
        case .bindIPv6Only:
            // Old units use a boolean.
            if let only = try? Value.boolean(assignment.value) {
                socket.options.ipv6Only = only ? .only : .both
            } else if let choice = choice(assignment, .fatal, of: SocketOptions.IPv6Only.self) {
                socket.options.ipv6Only = choice
            }
        case .bindToDevice: bindToDevice(assignment)
        case .freeBind: set(\.freeBind, assignment)
        case .transparent: set(\.transparent, assignment)
        case .broadcast: set(\.broadcast, assignment)
        case .reusePort: set(\.reusePort, assignment)
        case .passCredentials: set(\.passCredentials, assignment)
        case .passSecurity: set(\.passSecurity, assignment)
        case .passPacketInfo: set(\.passPacketInfo, assignment)
        case .mark:
            // A negative number means none, as without the directive.
            let mark = number(assignment, .ignored, in: Int32.min...Int32.max)
            if let mark { socket.options.mark = mark < 0 ? nil : UInt32(mark) }
        case .priority: set(\.priority, assignment, in: Int32.min...Int32.max)
        case .ipTTL:
            if (try? Value.integer(assignment.value, in: Int32.min...(-1))) != nil {
                socket.options.timeToLive = nil
            } else {
                set(\.timeToLive, assignment, in: 1...255)
            }
        case .receiveBuffer: setSize(\.receiveBuffer, assignment)
        case .sendBuffer: setSize(\.sendBuffer, assignment)
        case .ipTOS:
            if assignment.value.isEmpty {
                socket.options.typeOfService = nil
            } else if let named = SocketOptions.typesOfService[assignment.value] {
                socket.options.typeOfService = named
            } else {
                set(\.typeOfService, assignment, in: 0...255)
            }
        case .timestamping:
            let value = value(assignment, .ignored) { (text) throws(ValueError) -> SocketOptions.Timestamping in
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
            if let value { socket.options.timestamping = value }
        case .socketProtocol:
            var lowercased = assignment
            lowercased.value = assignment.value.lowercased()
            if let choice = choice(lowercased, .fatal, of: SocketOptions.SocketProtocol.self) {
                socket.options.socketProtocol = choice
            }
        default: break
        }
    }

    mutating func applyTCPOption(_ directive: SocketDirective, _ assignment: Assignment) {
        switch directive {
        case .keepAlive: set(\.keepAlive, assignment)
        case .noDelay: set(\.noDelay, assignment)
        case .keepAliveTimeSec: setSpan(\.keepAliveTime, assignment)
        case .keepAliveIntervalSec: setSpan(\.keepAliveInterval, assignment)
        case .deferAcceptSec: setSpan(\.deferAccept, assignment)
        case .keepAliveProbes: set(\.keepAliveProbes, assignment, in: 1...127)
        case .tcpCongestion: socket.options.tcpCongestion = assignment.value.isEmpty ? nil : assignment.value
        default: break
        }
    }

    mutating func applyFileOption(_ directive: SocketDirective, _ assignment: Assignment) {
        switch directive {
        case .pipeSize: setSize(\.pipeSize, assignment)
        case .messageQueueMaxMessages: set(\.messageQueueMaxMessages, assignment, in: 1...Int(Int32.max))
        case .messageQueueMessageSize: set(\.messageQueueMessageSize, assignment, in: 1...Int(Int32.max))
        case .writable: set(\.writable, assignment)
        case .directoryMode:
            if let mode = value(assignment, .fatal, Value.mode) { socket.options.directoryMode = mode }
        case .symlinks:
            if assignment.value.isEmpty { socket.options.symlinks = [] }
            for word in words(assignment, escapes: .interpreted) {
                do {
                    socket.options.symlinks.append(try Value.absolutePath(word.text))
                } catch {
                    reject(assignment, ValueError(error.message, at: word.offset), .ignored)
                }
            }
        default: break
        }
    }

    // MARK: One value

    private mutating func set(_ path: WritableKeyPath<SocketOptions, Bool>, _ assignment: Assignment) {
        if let value = value(assignment, .ignored, Value.boolean) { socket.options[keyPath: path] = value }
    }

    private mutating func set<N: FixedWidthInteger>(
        _ path: WritableKeyPath<SocketOptions, N?>, _ assignment: Assignment, in range: ClosedRange<N>
    ) {
        // As under systemd, an empty assignment resets nothing.
        if let number = number(assignment, .ignored, in: range) {
            socket.options[keyPath: path] = number
        }
    }

    private mutating func setSpan(_ path: WritableKeyPath<SocketOptions, Duration?>, _ assignment: Assignment) {
        // As under systemd, an empty assignment resets nothing.
        if let span = value(assignment, .ignored, TimeSpan.parseLong) {
            socket.options[keyPath: path] = span
        }
    }

    private mutating func setSize(_ path: WritableKeyPath<SocketOptions, UInt64?>, _ assignment: Assignment) {
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
