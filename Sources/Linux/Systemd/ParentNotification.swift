import CSpawn
import Glibc

/// Notifies our parent through `$NOTIFY_SOCKET` (sd_notify(3)); false if it does not listen, or does not read.
///
/// Not through libsystemd: its call waits as long as the queue of the socket is full, and a parent that does not read
/// must not block us for good. One that is only busy (systemd at boot, with all messages in one queue) has a quarter of
/// a second.
@discardableResult
public func notifyParent(_ state: String) -> Bool {
    guard let value = getenv("NOTIFY_SOCKET").map({ String(cString: $0) }),
        let socket = try? OwnedDescriptor.socket(AF_UNIX, SocketType.datagram)
    else { return false }
    let address: SocketAddress = value.hasPrefix("@") ? .abstract(name: String(value.dropFirst())) : .unix(path: value)
    var patience = timeval(tv_sec: 0, tv_usec: 250_000)
    setsockopt(socket.raw, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    let bytes = Array(state.utf8)
    let sent = try? address.withSockaddr { sendto(socket.raw, bytes, bytes.count, Int32(MSG_NOSIGNAL), $0, $1) }
    return sent == bytes.count
}
