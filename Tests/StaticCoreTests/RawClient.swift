import Foundation
import Glibc

/// A blocking client that says exactly what a test wants, byte for byte.
final class RawClient {
    private let descriptor: Int32

    init(port: Int) {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        _ = withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    deinit { close(descriptor) }

    func send(_ text: String) {
        _ = Array(text.utf8).withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }

    /// Until `text` has come, or the connection has ended.
    func read(until text: String) -> String {
        var bytes: [UInt8] = []
        let wanted = Array(text.utf8)
        while !bytes.suffix(wanted.count).elementsEqual(wanted), let more = receive(1) { bytes += more }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Until the connection has ended.
    func readToEnd() -> [UInt8] {
        var bytes: [UInt8] = []
        while let more = receive(65536) { bytes += more }
        return bytes
    }

    private func receive(_ count: Int) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: count)
        let received = recv(descriptor, &buffer, count, 0)
        return received > 0 ? Array(buffer[..<received]) : nil
    }
}

/// A directory of a test's own, gone with it.
final class Scratch {
    let path: String

    init() {
        var template = Array("/tmp/holdfast-static-XXXXXX".utf8CString)
        path = template.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) } ?? ""
        }
    }

    func write(_ name: String, _ bytes: [UInt8]) {
        let descriptor = open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        defer { close(descriptor) }
        _ = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }
}
