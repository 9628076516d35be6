import CSpawn
import Glibc
import SystemPackage

/// Detects and undoes changes by processes that share a socket. The attributes belong to the socket, not to the
/// processes' descriptors, and outlive them.
extension ListeningSocket {
    /// Restores the attributes at the last opening or update, and returns the changes found.
    /// - Parameter nonBlocking: the required O_NONBLOCK; nil leaves it to the processes that share it.
    public func putBack(nonBlocking: Bool?) -> [AttributeChange] {
        var changes = baseline.putBack(raw) {
            do throws(SystemError) {
                return try OwnedDescriptor.socket(
                    address.family, kind.type | SocketType.nonBlocking, settings.ipProtocol, in: network)
            } catch {
                return nil
            }
        }
        let filter = putBackFilter()
        let keys = putBackKeys()
        changes += [filter, keys].compactMap(\.self) + StatusFlags.putBack(raw, nonBlocking: nonBlocking)
        changes += [disconnect(), putBackQueue(), putBackAccess(), reopenDatagrams()].compactMap(\.self)
        isBeyondRepair = filter?.problem != nil || keys?.problem != nil || !kind.isConnected && isShutDown
        return changes
    }

    private func putBackFilter() -> AttributeChange? {
        let found: String
        switch holdfast_filter(raw) {
        case 0: found = "none"
        case 1: found = "holds connections back"
        case 2: found = "a classic BPF program"
        case 3: found = "a BPF program"
        // The kernel does not support the query, or the socket is of another kind.
        default: return nil
        }
        let expected = isHeldBack ? "holds connections back" : "none"
        guard found != expected else { return nil }
        let result = holdfast_hold_back(raw, isHeldBack ? 1 : 0)
        guard result < 0 else { return AttributeChange("socket filter", found: found, expected: expected) }
        let problem = result == -EPERM ? "it is locked (SO_LOCK_FILTER)" : Errno(rawValue: -result).text
        return AttributeChange("socket filter", found: found, expected: expected, problem: problem)
    }

    /// Removes keys by which the socket accepts only signed connections (TCP-MD5, TCP-AO). Sockets of another network
    /// namespace are not examined.
    private func putBackKeys() -> AttributeChange? {
        guard kind == .stream, address.port != nil, network == nil else { return nil }
        if holdfast_has_ao_keys(raw) == 1 {
            return AttributeChange("TCP-AO keys", found: "some", expected: "none", problem: "the kernel keeps them")
        }
        let count = holdfast_remove_md5_keys(raw)
        guard count > 0 else { return nil }
        let isLeft = holdfast_remove_md5_keys(raw) > 0
        return AttributeChange(
            "TCP-MD5 keys", found: "\(count)", expected: "none", problem: isLeft ? "the kernel keeps them" : nil)
    }

    /// Disconnects a datagram socket that a process has connected: it would receive from one peer only.
    private func disconnect() -> AttributeChange? {
        guard !kind.isConnected, let peer = SocketAddress.named(by: getpeername, raw) else { return nil }
        var none = sockaddr()
        none.sa_family = sa_family_t(AF_UNSPEC)
        let result = connect(raw, &none, socklen_t(MemoryLayout<sockaddr>.size))
        let problem = result < 0 ? SystemError("connect").errno.text : nil
        // The disconnect gives up a port that the kernel chose.
        if SocketAddress.local(of: raw) != address {
            _ = try? address.withSockaddr { bind(raw, $0, $1) }
        }
        return AttributeChange("peer", found: "\(peer)", expected: "none", problem: problem)
    }

    /// Restores the limit of the queue: listen(2) on a listening socket changes it, and only TCP reports it.
    private func putBackQueue() -> AttributeChange? {
        guard kind.isConnected, isListening else { return nil }
        let expected = Int(min(backlog, Self.systemBacklog))
        let found = acceptQueue?.limit
        guard found != expected, listen(raw, backlog) == 0, let found else { return nil }
        let now = acceptQueue?.limit
        // The system permits no more now, or more than before.
        guard now != found else { return nil }
        return AttributeChange("backlog", found: "\(found)", expected: "\(now ?? expected)")
    }

    private func putBackAccess() -> AttributeChange? {
        guard case .unix(let path) = address, let file, file.isIntact else { return nil }
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        let (owner, group) = (options.owner ?? status.st_uid, options.group ?? status.st_gid)
        let mode = status.st_mode & 0o7777
        guard mode != options.mode || status.st_uid != owner || status.st_gid != group else { return nil }
        func text(_ mode: mode_t, _ owner: UInt32, _ group: UInt32) -> String {
            "\(String(mode, radix: 8)), owner \(owner):\(group)"
        }
        var change = AttributeChange(
            "mode", found: text(mode, status.st_uid, status.st_gid), expected: text(options.mode, owner, group))
        do throws(SystemError) {
            try file.setOwnerAndMode(options.ownerAndMode)
        } catch {
            change.problem = error.errno.text
        }
        return change
    }

    /// Replaces a datagram socket after shutdown(2), which cannot be undone: at a path a new one takes its place.
    private func reopenDatagrams() -> AttributeChange? {
        guard !kind.isConnected, isShutDown else { return nil }
        var change = AttributeChange("receiving", found: "shut down", expected: "on")
        guard file != nil else {
            change.problem = "a datagram socket does not come back"
            return change
        }
        do throws(SystemError) {
            try replace()
        } catch {
            change.problem = error.errno.text
        }
        return change
    }

    public var canHaveSuccessor: Bool {
        switch address {
        case .inet, .inet6: true
        case .unix, .abstract, .vsock: false
        }
    }

    /// Replaces this socket, which only we have, with a new one.
    public func renew() throws(SystemError) {
        guard canHaveSuccessor else { return try replace() }
        try replaceState(by: successor())
    }

    /// Opens another socket at the same address, beside this one, for processes started from now on: those that have
    /// this one keep accepting from it. The kernel spreads connections over both until this one is closed. For Internet
    /// addresses only.
    public func successor() throws(SystemError) -> ListeningSocket {
        guard canHaveSuccessor else { throw SystemError("open beside", "\(address)", .addressInUse) }
        var on: Int32 = 1
        try checkErrno(
            setsockopt(raw, SOL_SOCKET, SO_REUSEPORT, &on, socklen_t(MemoryLayout<Int32>.size)), "open beside",
            "\(address)")
        var shared = settings
        shared.reusePort = true
        let fresh = try ListeningSocket(
            address, kind: kind, backlog: backlog, options: options, settings: shared, network: network,
            requested: requested)
        fresh.settings = settings
        return fresh
    }

    private var isShutDown: Bool {
        var poll = pollfd(fd: raw, events: Int16(truncatingIfNeeded: EPOLLRDHUP.rawValue), revents: 0)
        return Glibc.poll(&poll, 1, 0) > 0
            && poll.revents & Int16(truncatingIfNeeded: EPOLLRDHUP.rawValue | EPOLLHUP.rawValue) != 0
    }
}

extension HeldFile {
    /// Restores the attributes at the last opening or update, and returns the changes found.
    public func putBack(nonBlocking: Bool?) -> [AttributeChange] {
        var changes = baseline.putBack(raw) { nil } + StatusFlags.putBack(raw, nonBlocking: nonBlocking)
        if let pipeSize, let found = StatusFlags.pipeSize(raw), found != pipeSize {
            let result = holdfast_set_pipe_size(raw, pipeSize)
            // EBUSY: the pipe contains more than would fit.
            changes.append(
                AttributeChange(
                    "pipe size", found: "\(found)", expected: "\(pipeSize)",
                    problem: result < 0 ? Errno(rawValue: -result).text : nil))
        }
        return changes + [putBackAccess()].compactMap(\.self)
    }

    private func putBackAccess() -> AttributeChange? {
        switch target {
        case .special, .netlink: return nil
        case .fifo, .messageQueue: break
        }
        var status = stat()
        guard fstat(raw, &status) == 0 else { return nil }
        let (owner, group) = (file.owner ?? status.st_uid, file.group ?? status.st_gid)
        let mode = status.st_mode & 0o7777
        guard mode != file.mode || status.st_uid != owner || status.st_gid != group else { return nil }
        let result = fchown(raw, owner, group) < 0 ? -1 : fchmod(raw, file.mode)
        return AttributeChange(
            "mode", found: "\(String(mode, radix: 8)), owner \(status.st_uid):\(status.st_gid)",
            expected: "\(String(file.mode, radix: 8)), owner \(owner):\(group)",
            problem: result < 0 ? SystemError("fchmod").errno.text : nil)
    }
}
