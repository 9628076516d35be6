import Glibc

/// Says something to whoever started us, by `$NOTIFY_SOCKET` (sd_notify(3)); false if nobody listens, or does not read.
///
/// Not by libsystemd: its call waits as long as the queue of the socket is full, and a parent that does not read must not stop us
/// for good. One that is only busy (systemd at boot, with everybody's messages in one queue) has a quarter of a second.
@discardableResult
public func notifyParent(_ state: String) -> Bool {
    guard let value = getenv("NOTIFY_SOCKET") else { return false }
    var name = Array(String(cString: value).utf8)
    guard let first = name.first, first == UInt8(ascii: "/") || first == UInt8(ascii: "@") else { return false }
    // An abstract name begins with a zero byte, which environment variables cannot hold.
    if first == UInt8(ascii: "@") { name[0] = 0 }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    guard name.count < MemoryLayout.size(ofValue: address.sun_path) else { return false }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
    let length = socklen_t(MemoryLayout<sa_family_t>.size + name.count + (first == UInt8(ascii: "/") ? 1 : 0))
    let raw = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard raw >= 0 else { return false }
    defer { close(raw) }
    var patience = timeval(tv_sec: 0, tv_usec: 250_000)
    setsockopt(raw, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    let bytes = Array(state.utf8)
    let sent = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            sendto(raw, bytes, bytes.count, Int32(MSG_NOSIGNAL), $0, length)
        }
    }
    return sent == bytes.count
}
