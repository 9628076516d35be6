import CSpawn
import Glibc

enum ReceivedBytes {
    /// Receives bytes from a connected socket without waiting.
    ///
    /// The peer of a Unix socket may send descriptors along (unix(7)). They are not wanted, but recv(2) would close
    /// them at once, and the last close of a socket may block for hours. They are therefore received, and closed by
    /// another process (`closing.c`), which ends with this one.
    /// - Returns: the number of bytes, 0 at the end, or a negated errno.
    static func receive(_ socket: Int32, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        withUnsafeTemporaryAllocation(of: Int32.self, capacity: Int(HOLDFAST_MOST_DESCRIPTORS)) { numbers in
            var info = holdfast_datagram()
            info.descriptors = numbers.baseAddress
            let result = holdfast_receive(socket, buffer.baseAddress, buffer.count, &info)
            guard result >= 0 else { return Int(result) }
            if info.descriptor_count > 0 { holdfast_close_received(numbers.baseAddress, Int(info.descriptor_count)) }
            return info.length
        }
    }
}
