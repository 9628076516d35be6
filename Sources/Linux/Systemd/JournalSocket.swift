import CSpawn
import Glibc
import SystemPackage

/// systemd's journal, by its native protocol: a datagram for each entry with its fields
/// (systemd.io, "Native Journal Protocol"). Never waits.
public final class JournalSocket {
    public enum Sent {
        case done
        /// It has more than it can take just now: `whenWritable` tells when to try again.
        case later
        /// There is no journal, or it does not take this.
        case failed(SystemError)
    }

    public static let path = "/run/systemd/journal/socket"

    private let path: String
    private let loop: EventLoop
    private var socket: OwnedDescriptor?
    private var source: IOSource?
    private var waiting: [ObjectIdentifier: () -> Void] = [:]

    public init(loop: EventLoop, path: String = JournalSocket.path) {
        self.loop = loop
        self.path = path
    }

    /// Whether somebody listens there.
    public var isThere: Bool { (try? connected()) != nil }

    /// Sends one entry; `entry` as `JournalEntry` makes it.
    func send(_ entry: [UInt8]) -> Sent {
        for attempt in 0...1 {
            let raw: Int32
            do throws(SystemError) { raw = try connected() } catch { return .failed(error) }
            let count = entry.withUnsafeBytes { bytes in
                Glibc.send(raw, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
            }
            if count >= 0 { return .done }
            let cause = Errno(rawValue: errno)
            if cause == .wouldBlock || cause == .interrupted { return .later }
            // The journal was restarted and has a new socket there.
            disconnect()
            if attempt == 1 { return .failed(SystemError("send to", path, cause)) }
        }
        return .later
    }

    /// Calls `handler` once, when an entry may be taken again.
    func whenWritable(_ owner: AnyObject, _ handler: @escaping () -> Void) {
        waiting[ObjectIdentifier(owner)] = handler
        guard source == nil, let raw = try? connected() else { return }
        source = try? loop.addIO(raw, .writable, priority: .logs) { [unowned self] _ in resume() }
    }

    /// Nobody waits there any more.
    func forget(_ owner: AnyObject) { waiting[ObjectIdentifier(owner)] = nil }

    private func resume() {
        source?.cancel()
        source = nil
        let handlers = waiting
        waiting = [:]
        for handler in handlers.values { handler() }
    }

    private func connected() throws(SystemError) -> Int32 {
        switch socket {
        case .some(let socket): return socket.raw
        case .none: break
        }
        let opened = try OwnedDescriptor.socket(AF_UNIX, SocketType.datagram | SocketType.nonBlocking)
        let result = try SocketAddress.unix(path: path).withSockaddr { connect(opened.raw, $0, $1) }
        try checkErrno(result, "connect to", path)
        let raw = opened.raw
        socket = consume opened
        return raw
    }

    private func disconnect() {
        source?.cancel()
        source = nil
        socket = nil
        // They try again, and see for themselves.
        let handlers = waiting
        waiting = [:]
        for handler in handlers.values { handler() }
    }
}

/// Fields of a journal entry, as they go over the socket.
struct JournalEntry {
    private(set) var bytes: [UInt8] = []

    /// `NAME=value` and a newline; a value with newlines would need another form, and has none.
    mutating func add(_ name: String, _ value: some Sequence<UInt8>) {
        bytes += name.utf8
        bytes.append(UInt8(ascii: "="))
        bytes += value
        bytes.append(UInt8(ascii: "\n"))
    }
}
