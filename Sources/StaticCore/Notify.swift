import Glibc

/// Sends notifications to the supervisor, as sd_notify(3) does, without libsystemd.
public enum Notify {
    /// Sends `message` (`READY=1`, `STATUS=…`) as one datagram. Does nothing without a socket to send to.
    ///
    /// - Parameter path: `NOTIFY_SOCKET`: a path, or `@name` for an abstract address.
    public static func send(_ message: String, to path: String?) throws(StaticError) {
        guard let path, !path.isEmpty else { return }
        let (address, length) = try socketAddress(path)
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw StaticError("cannot notify \(path): \(errorText(errno))") }
        defer { close(descriptor) }
        let bytes = Array(message.utf8)
        let sent = withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL), $0, length)
            }
        }
        guard sent == bytes.count else { throw StaticError("cannot notify \(path): \(errorText(errno))") }
    }

    /// The address for a path, and its length, which matters for abstract names: every byte counts.
    static func socketAddress(_ path: String) throws(StaticError) -> (sockaddr_un, socklen_t) {
        var bytes = Array(path.utf8)
        let abstract = bytes.first == UInt8(ascii: "@")
        guard abstract || bytes.first == UInt8(ascii: "/") else {
            throw StaticError("cannot notify \(path): neither an absolute path nor an abstract name")
        }
        if abstract { bytes[0] = 0 } else { bytes.append(0) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        guard bytes.count <= MemoryLayout.size(ofValue: address.sun_path) else {
            throw StaticError("cannot notify \(path): the address is too long")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return (address, socklen_t(MemoryLayout<sa_family_t>.size + bytes.count))
    }
}
