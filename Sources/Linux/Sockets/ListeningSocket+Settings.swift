import CSpawn
import Glibc
import SystemPackage

extension ListeningSocket {
    /// Sets what is different now and can be set on a socket that is open; the rest is returned by name, and counts for the
    /// next one. `problems` has what the kernel refused.
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
        // What was set to a value has no "as the kernel has it" to go back to.
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
        // What others have changed is not to look as if it were ours.
        _ = baseline.putBack(raw) { nil }
        problems = new.apply(raw, address.family, previous: settings)
        baseline = SocketBaseline(of: raw)
        var kept = new
        (kept.ipv6Only, kept.device, kept.freeBind) = (settings.ipv6Only, settings.device, settings.freeBind)
        (kept.transparent, kept.reusePort, kept.ipProtocol) =
            (settings.transparent, settings.reusePort, settings.ipProtocol)
        settings = kept
        if kind.isConnected, backlog != self.backlog {
            // listen(2) on a socket that listens only changes the limit.
            if listen(raw, backlog) < 0 { problems.append(SystemError("Backlog=", "\(backlog)")) }
            self.backlog = backlog
        }
        if file != options {
            options = file
            do throws(SystemError) {
                try self.file?.dress(file.look)
            } catch {
                problems.append(error)
            }
        }
        return left
    }

    /// Calls `handler` when a connection or a datagram waits, again and again until it is taken or the watch cancelled. Pauses
    /// grow between the calls as long as `handler` returns false: it could not take what waits.
    public func watchReadable(loop: EventLoop, _ handler: @escaping () -> Bool) throws(SystemError) {
        reading = nil
        reading = try ReadableWatch(of: descriptor, loop, .each(handler))
    }

    public func cancelReadable() { reading = nil }

    /// Calls `handler` once, when something comes from now on or waits already. Often enough, not always: a process that
    /// accepts at once may leave nothing to be seen.
    public func watchArrival(loop: EventLoop, _ handler: @escaping () -> Void) throws(SystemError) {
        reading = nil
        reading = try ReadableWatch(of: descriptor, loop, .once(handler))
    }

    /// A connection or a datagram waits.
    public var hasWaiting: Bool {
        var wait = pollfd(fd: raw, events: Int16(POLLIN), revents: 0)
        return poll(&wait, 1, 0) > 0 && wait.revents & Int16(POLLIN) != 0
    }

    /// The kernel can make new connections wait at their clients.
    public var canHoldBack: Bool { address.port != nil && kind == .stream && settings.ipProtocol == 0 }

    /// Throws away what waits: connections are closed, datagrams lost.
    public func flush() {
        // It may have been made blocking for a service, and what waits may be gone before it is taken.
        guard (try? setNonBlocking(true)) != nil else { return }
        // Bounded: others may connect as fast as this closes.
        for _ in 0..<4096 {
            if kind.isConnected {
                guard dropsOne() else { return }
            } else if holdfast_discard(raw) <= 0 {
                return
            }
        }
    }

    /// Closes the next connection; false when none waits.
    private func dropsOne() -> Bool {
        do throws(SystemError) {
            return try accept() != nil
        } catch {
            return false
        }
    }

    /// Lets new connections wait at their clients (which send their SYN again), whoever accepts; what is open or queued is not
    /// touched. Only TCP knows this: EOPNOTSUPP for other kinds.
    public func holdBack(_ on: Bool) throws(SystemError) {
        guard canHoldBack else {
            throw SystemError("hold connections back", "\(address)", .notSupportedOnSocket)
        }
        let result = holdfast_hold_back(raw, on ? 1 : 0)
        // Nothing was attached: as good as taken off.
        isHeldBack = on && result >= 0
        if !on, result == -ENOENT { return }
        try check(result, "hold connections back", "\(address)")
    }
}

/// A second watch of the same socket, beside the one that looks for a shutdown: epoll takes each descriptor once, and
/// connections must not be dispatched before what is more urgent.
final class ReadableWatch {
    enum Handler {
        /// Called each time that something waits; returns whether it took it.
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
        // Edge-triggered, or it would fire as long as something waits.
        case .once: events = [.readable, .edge]
        }
        source = try loop.addIO(descriptor.raw, events, priority: .traffic) { [unowned self] events in
            fired(events)
        }
    }

    deinit { source?.cancel() }

    /// The same watch of another socket.
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
            // Shut down by a sharer: the other watch sees to that, and this one waits until it has.
            if events.isDisjoint(with: [.hangUp, .error]), handler() {
                source?.noteProgress()
            } else {
                source?.postpone()
            }
        }
    }
}
