import CSpawn
import Glibc
import SystemPackage

/// systemd's journal in its native protocol (systemd.io): a datagram for each entry with its fields. Never waits.
public final class JournalSocket {
    public enum Sent {
        case done
        /// The journal's queue is full: `whenWritable` reports when to try again.
        case later
        /// There is no journal, or it refuses the entry.
        case failed(SystemError)
    }

    public static let path = "/run/systemd/journal/socket"

    private let path: String
    private let loop: EventLoop
    private var socket: OwnedDescriptor?
    private var source: IOSource?
    /// The next attempt while the socket cannot be watched.
    private var retry: TimerSource?
    private var waiting: [ObjectIdentifier: () -> Void] = [:]

    public init(loop: EventLoop, path: String = JournalSocket.path) {
        self.loop = loop
        self.path = path
    }

    /// Whether the journal listens.
    public var isThere: Bool { (try? connected()) != nil }

    /// Sends one entry of `JournalEntry`.
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
            // The journal was restarted and has a new socket.
            disconnect()
            if attempt == 1 { return .failed(SystemError("send to", path, cause)) }
        }
        return .later
    }

    /// Calls `handler` once, when the journal may accept an entry again.
    func whenWritable(_ owner: AnyObject, _ handler: @escaping () -> Void) {
        waiting[ObjectIdentifier(owner)] = handler
        guard source == nil, retry == nil else { return }
        do throws(SystemError) {
            source = try loop.addIO(try connected(), .writable, priority: .logs) { [unowned self] _ in resume() }
        } catch {
            // No descriptors or no memory at the moment. The waiting handlers hold back the output of services, which
            // block while it is not read: they must try again.
            retry = loop.addRetry { [unowned self] in resume() }
        }
    }

    /// Cancels the wait of `owner`.
    func forget(_ owner: AnyObject) { waiting[ObjectIdentifier(owner)] = nil }

    private func resume() {
        source?.cancel()
        (source, retry) = (nil, nil)
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
        (source, retry) = (nil, nil)
        socket = nil
        // The handlers try again and get the error themselves.
        let handlers = waiting
        waiting = [:]
        for handler in handlers.values { handler() }
    }
}

/// The fields of a journal entry in the form of the protocol.
struct JournalEntry {
    private(set) var bytes: [UInt8] = []

    /// Adds `NAME=value` and a newline; values have no newlines, which would need another form.
    mutating func add(_ name: String, _ value: some Sequence<UInt8>) {
        bytes += name.utf8
        bytes.append(UInt8(ascii: "="))
        bytes += value
        bytes.append(UInt8(ascii: "\n"))
    }
}
