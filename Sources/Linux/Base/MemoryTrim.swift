import CSpawn
import Glibc

/// Gives back memory that only starting up, or an operation, needed.
public enum MemoryTrim {
    /// Unmaps the pages of program text and returns free heap (madvise(2), malloc_trim(3)).
    ///
    /// Reading options and loading units touches most of a statically linked program once; waiting for events touches a
    /// fraction. Text is a clean, private mapping of a file: a page that is needed again comes back from the page cache by a
    /// minor fault. Only executable mappings: in others (RELRO) pages may hold relocations, which would be lost.
    public static func release() {
        malloc_trim(0)
        guard let file = try? OwnedDescriptor.open("/proc/self/maps", O_RDONLY),
            let bytes = try? file.readAll(limit: 1 << 20, subject: "/proc/self/maps")
        else { return }
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 5)
            guard fields.count == 6, fields[1].elementsEqual("r-xp".utf8), fields[5].contains(UInt8(ascii: "/")) else {
                continue
            }
            let ends = fields[0].split(separator: UInt8(ascii: "-")).compactMap {
                UInt(String(decoding: $0, as: UTF8.self), radix: 16)
            }
            guard ends.count == 2, ends[0] < ends[1] else { continue }
            madvise(UnsafeMutableRawPointer(bitPattern: ends[0]), Int(ends[1] - ends[0]), MADV_DONTNEED)
        }
    }
}
