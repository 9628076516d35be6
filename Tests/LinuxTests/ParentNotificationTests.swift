import Glibc
import Testing

@testable import Linux

@Suite(.serialized) struct ParentNotificationTests {
    @Test(
        "A parent that does not read costs nothing but the message; one that reads gets it, by path and by abstract name"
    )
    func parents() throws {
        for name in ["@holdfast-test-\(getpid())", "/tmp/holdfast-test-\(getpid())"] {
            let raw = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            defer {
                close(raw)
                unlink(name)
                unsetenv("NOTIFY_SOCKET")
            }
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            var bytes = Array(name.utf8)
            let isAbstract = name.hasPrefix("@")
            if isAbstract { bytes[0] = 0 }
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
            let length = socklen_t(2 + bytes.count + (isAbstract ? 0 : 1))
            let bound = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(raw, $0, length) }
            }
            try #require(bound == 0)
            setenv("NOTIFY_SOCKET", name, 1)
            #expect(notifyParent("READY=1"))
            var buffer = [UInt8](repeating: 0, count: 64)
            let count = recv(raw, &buffer, buffer.count, 0)
            #expect(String(decoding: buffer.prefix(max(0, count)), as: UTF8.self) == "READY=1")
            // The queue holds a few; a blocking call would wait here for ever.
            let sent = (0..<10_000).prefix { _ in notifyParent("STATUS=x") }.count
            #expect(sent > 0 && sent < 10_000)
        }
        #expect(!notifyParent("READY=1"))
    }
}
