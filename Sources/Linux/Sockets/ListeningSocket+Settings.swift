import CSpawn
import Glibc
import SystemPackage

extension ListeningSocket {
    /// Applies changed settings that can be set on an open socket; returns the names of the others, which count for the
    /// next socket. `problems` has the settings that the kernel refused.
    public func update(settings new: SocketOptions, options file: FileOptions, backlog: Int32) -> [String] {
        var left: [String] = []
        func fixed<V: Equatable>(_ path: KeyPath<SocketOptions, V>, _ name: String) {
            if new[keyPath: path] != settings[keyPath: path] { left.append(name) }
        }
        fixed(\.ipv6Only, "BindIPv6Only=")
        fixed(\.device, "BindToDevice=")
        fixed(\.freeBind, "FreeBind=")
        fixed(\.transparent, "Transparent=")
        fixed(\.reusePort, "ReusePort=")
        fixed(\.ipProtocol, "SocketProtocol=")
        // A setting with a value has no kernel default to return to.
        func dropped<V>(_ path: KeyPath<SocketOptions, V?>, _ name: String) {
            if new[keyPath: path] == nil, settings[keyPath: path] != nil { left.append(name) }
        }
        dropped(\.keepAliveTime, "KeepAliveTimeSec=")
        dropped(\.keepAliveInterval, "KeepAliveIntervalSec=")
        dropped(\.keepAliveProbes, "KeepAliveProbes=")
        dropped(\.receiveBuffer, "ReceiveBuffer=")
        dropped(\.sendBuffer, "SendBuffer=")
        dropped(\.typeOfService, "IPTOS=")
        dropped(\.timeToLive, "IPTTL=")
        dropped(\.mark, "Mark=")
        dropped(\.priority, "Priority=")
        dropped(\.congestion, "TCPCongestion=")
        // Changes by other processes must not become part of the baseline.
        _ = baseline.putBack(raw) { nil }
        problems = new.apply(raw, address.family, previous: settings)
        baseline = SocketBaseline(of: raw)
        var kept = new
        (kept.ipv6Only, kept.device, kept.freeBind) = (settings.ipv6Only, settings.device, settings.freeBind)
        (kept.transparent, kept.reusePort, kept.ipProtocol) =
            (settings.transparent, settings.reusePort, settings.ipProtocol)
        settings = kept
        if kind.isConnected, backlog != self.backlog {
            // listen(2) on a listening socket only changes the limit.
            if listen(raw, backlog) < 0 { problems.append(SystemError("Backlog=", "\(backlog)")) }
            self.backlog = backlog
        }
        if file != options {
            options = file
            do throws(SystemError) {
                try self.file?.setOwnerAndMode(file.ownerAndMode)
            } catch {
                problems.append(error)
            }
        }
        return left
    }

    /// Calls `handler` while a connection or datagram waits, until it is taken or the watch is cancelled. Pauses
    /// between the calls grow as long as `handler` returns false because it could not take it.
    public func watchReadable(loop: EventLoop, _ handler: @escaping () -> Bool) throws(SystemError) {
        reading = nil
        reading = try ReadableWatch(of: descriptor, loop, .each(handler))
    }

    public func cancelReadable() { reading = nil }

    /// Calls `handler` once, when a connection or datagram arrives or waits already. Usually, not always: a process
    /// that accepts at once may leave nothing to see.
    public func watchArrival(loop: EventLoop, _ handler: @escaping () -> Void) throws(SystemError) {
        reading = nil
        reading = try ReadableWatch(of: descriptor, loop, .once(handler))
    }

    /// Whether a connection or a datagram waits.
    public var hasWaiting: Bool {
        var wait = pollfd(fd: raw, events: Int16(POLLIN), revents: 0)
        return poll(&wait, 1, 0) > 0 && wait.revents & Int16(POLLIN) != 0
    }

    /// Whether the kernel can make new connections wait at their clients.
    public var canHoldBack: Bool { address.port != nil && kind == .stream && settings.ipProtocol == 0 }

    /// Discards the queue: connections are closed, datagrams lost.
    public func flush() {
        // The socket may have been made blocking for a service, and another process may take the connection first.
        guard (try? setNonBlocking(true)) != nil else { return }
        // Bounded: clients may connect as fast as this loop closes.
        for _ in 0..<4096 {
            if kind.isConnected {
                guard dropsOne() else { return }
            } else if holdfast_discard(raw) <= 0 {
                return
            }
        }
    }

    /// Closes the next connection; false if none waits.
    private func dropsOne() -> Bool {
        do throws(SystemError) {
            return try accept() != nil
        } catch {
            return false
        }
    }

    /// Makes new connections wait at their clients (which repeat their SYN), for all processes that accept; open and
    /// queued connections are not affected. Only TCP supports this: EOPNOTSUPP for other kinds.
    public func holdBack(_ on: Bool) throws(SystemError) {
        guard canHoldBack else {
            throw SystemError("hold connections back", "\(address)", .notSupportedOnSocket)
        }
        let result = holdfast_hold_back(raw, on ? 1 : 0)
        // No filter was attached, which is the wanted state.
        isHeldBack = on && result >= 0
        if !on, result == -ENOENT { return }
        try check(result, "hold connections back", "\(address)")
    }
}

/// A second watch of the same socket, beside the one for a shutdown: epoll takes each descriptor once, and connections
/// must not be dispatched before more urgent sources.
final class ReadableWatch {
    enum Handler {
        /// Called while input waits; returns whether the handler took it.
        case each(() -> Bool)
        case once(() -> Void)
    }

    private let loop: EventLoop
    private let handler: Handler
    private let descriptor: OwnedDescriptor
    private var source: IOSource?

    init(of socket: borrowing OwnedDescriptor, _ loop: EventLoop, _ handler: Handler) throws(SystemError) {
        self.loop = loop
        self.handler = handler
        descriptor = try socket.duplicate()
        let events: IOEvents
        switch handler {
        case .each: events = .readable
        // Edge-triggered: a level-triggered watch would fire as long as input waits.
        case .once: events = [.readable, .edge]
        }
        source = try loop.addIO(descriptor.raw, events, priority: .traffic) { [unowned self] events in
            fired(events)
        }
    }

    deinit { source?.cancel() }

    /// The same watch for another socket.
    func moved(to socket: borrowing OwnedDescriptor) throws(SystemError) -> ReadableWatch {
        try ReadableWatch(of: socket, loop, handler)
    }

    private func fired(_ events: IOEvents) {
        // The handler may end this watch, and with it this object.
        let source = source
        switch handler {
        case .once(let handler):
            source?.cancel()
            handler()
        case .each(let handler):
            // Shut down by another process: the other watch handles that, and this one pauses until then.
            if events.isDisjoint(with: [.hangUp, .error]), handler() {
                source?.noteProgress()
            } else {
                source?.postpone()
            }
        }
    }
}
