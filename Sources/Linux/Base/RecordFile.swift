import CSpawn
import Glibc
import SystemPackage

/// A file of appended records, each with a key; the last record of a key counts.
///
/// A record that a crash cut short is recognised by its checksum and left out, with everything behind it, which was
/// never reported to any caller. For a file system in memory: nothing is synced.
///
/// A record: 4 bytes length of the rest, 4 bytes checksum of the rest, 1 byte "there is a value", 2 bytes length of the
/// key, key, value. Numbers are little-endian.
public final class RecordFile {
    public let path: String
    /// The size of the file in bytes.
    public private(set) var size = 0
    private var descriptor: OwnedDescriptor?
    private var pending: [UInt8] = []
    /// Bytes that the file system has allocated for the file, usable even when it is full.
    private var kept = 0
    /// The empty file that `replace` will write, with `keptForSpare` bytes allocated for it.
    private var spare: OwnedDescriptor?
    private var keptForSpare = 0

    /// The file is opened at the first write.
    public init(path: String) { self.path = path }

    /// The contents of a file.
    public struct Contents: Equatable, Sendable {
        public var records: [String: [UInt8]] = [:]
        /// Bytes at the end that are no whole record: cut short by a crash, or written by another program.
        public var unreadable = 0
    }

    /// Reads a file. Returns empty contents if there is none.
    public static func read(_ path: String) throws(SystemError) -> Contents {
        let bytes: [UInt8]
        do throws(SystemError) {
            // O_NONBLOCK: no wait for the writer of a FIFO in its place.
            let file = try OwnedDescriptor.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
            var status = stat()
            try checkErrno(fstat(file.raw, &status), "stat", path)
            guard status.st_mode & S_IFMT == S_IFREG else {
                throw SystemError("read", "\(path), which is no regular file", .invalidArgument)
            }
            bytes = try file.readAll(limit: 1 << 30, subject: path)
        } catch {
            if error.errno == .noSuchFileOrDirectory { return Contents() }
            throw error
        }
        let (records, size) = parse(bytes)
        return Contents(records: records, unreadable: bytes.count - size)
    }

    /// The records, and their size in bytes.
    static func parse(_ bytes: [UInt8]) -> (records: [String: [UInt8]], size: Int) {
        var records: [String: [UInt8]] = [:]
        var offset = 0
        while bytes.count - offset >= 8 {
            let length = Int(number(bytes, offset))
            guard length >= 3, length <= bytes.count - offset - 8 else { break }
            let body = bytes[offset + 8..<offset + 8 + length]
            guard checksum(body) == number(bytes, offset + 4) else { break }
            let keyStart = body.startIndex + 3
            let keyEnd = keyStart + Int(body[keyStart - 2]) + Int(body[keyStart - 1]) << 8
            guard keyEnd <= body.endIndex else { break }
            let key = String(decoding: body[keyStart..<keyEnd], as: UTF8.self)
            records[key] = body[body.startIndex] == 1 ? Array(body[keyEnd...]) : nil
            offset += 8 + length
        }
        return (records, offset)
    }

    private static func number(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << (8 * UInt32($1)) }
    }

    /// FNV-1a: detects truncation, not forgery.
    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.withUnsafeBufferPointer { buffer in
            var hash: UInt32 = 0x811c_9dc5
            for byte in buffer { hash = (hash ^ UInt32(byte)) &* 0x0100_0193 }
            return hash
        }
    }

    /// Collects a record for the next `flush`; nil removes the key. Keys have at most 65,535 bytes.
    public func put(_ key: String, _ value: [UInt8]?) {
        let key = Array(key.utf8.prefix(65535))
        let start = pending.count
        pending += [0, 0, 0, 0, 0, 0, 0, 0, value == nil ? 0 : 1]
        pending += [UInt8(truncatingIfNeeded: key.count), UInt8(truncatingIfNeeded: key.count >> 8)]
        pending += key
        if let value { pending += value }
        let sum = Self.checksum(pending[(start + 8)...])
        for index in 0..<4 {
            pending[start + index] = UInt8(truncatingIfNeeded: (pending.count - start - 8) >> (8 * index))
            pending[start + 4 + index] = UInt8(truncatingIfNeeded: sum >> (8 * UInt32(index)))
        }
    }

    /// Whether there are collected records that are not written.
    public var hasCollected: Bool { !pending.isEmpty }

    /// Drops the collected records.
    public func discard() { pending = [] }

    /// Writes the collected records with one write(2), all or none. After a failure the next call tries again.
    public func flush() throws(SystemError) {
        guard !pending.isEmpty else { return }
        if descriptor == nil { try open() }
        try write(to: Self.raw(descriptor))
    }

    /// Replaces the file with one that has the records collected now, atomically.
    public func replace() throws(SystemError) {
        if spare == nil { try openSpare() }
        let (before, keptBefore) = (size, kept)
        size = 0
        do throws(SystemError) {
            try write(to: Self.raw(spare))
            try checkErrno(rename(freshPath, path), "rename", freshPath)
        } catch {
            // The allocation of the new file was used up by what was written.
            (size, kept, keptForSpare) = (before, keptBefore, 0)
            throw error
        }
        descriptor = spare.take()
        kept = keptForSpare
        keptForSpare = 0
    }

    private var freshPath: String { path + ".new" }

    private func openSpare() throws(SystemError) {
        spare = try OwnedDescriptor.open(
            freshPath, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW, mode: 0o600)
        keptForSpare = 0
    }

    // MARK: - A file that lacks records

    /// Marks the file as incomplete, because later records cannot be written. The mark is its mode, since changing that
    /// needs no space. `replace` removes the mark.
    public func markStale() { if descriptor != nil { fchmod(Self.raw(descriptor), 0o400) } else { chmod(path, 0o400) } }

    /// Whether the file lacks the latest records.
    public static func isStale(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & 0o777 == 0o400
    }

    // MARK: - Reserved space

    /// Bytes that can still be written, even if the file system becomes full.
    public var room: Int { max(0, kept - size - pending.count) }

    /// Bytes that `replace` can write, even if the file system becomes full.
    public var roomForReplacement: Int { keptForSpare }

    /// Allocates space for `more` bytes after the contents of the file, and `replacement` bytes for the file that
    /// `replace` will write, or as much of that as there is. File systems without fallocate(2) allocate nothing, so the
    /// actual space is then unknown.
    public func keepRoom(more: Int, replacement: Int) throws(SystemError) {
        if descriptor == nil { try open() }
        if spare == nil { try openSpare() }
        var failure: SystemError?
        var wanted = replacement
        // The blocks of a replaced file are free again, and may be all there is: asks for less, page by page.
        while keptForSpare < wanted {
            do throws(SystemError) {
                try Self.allocate(wanted, Self.raw(spare), freshPath)
                keptForSpare = wanted
            } catch {
                failure = failure ?? error
                wanted -= 4096
            }
        }
        let end = size + pending.count + more
        if kept < end {
            try Self.allocate(end, Self.raw(descriptor), path)
            kept = end
        }
        if let failure { throw failure }
    }

    private static func allocate(_ bytes: Int, _ raw: Int32, _ path: String) throws(SystemError) {
        // The allocation does not change the length that readers see.
        var result: Int32
        repeat { result = holdfast_keep_room(raw, Int64(bytes)) } while result == -EINTR
        // On a file system without fallocate(2) the file is written for as long as writes succeed.
        if result == 0 || result == -EOPNOTSUPP || result == -ENOSYS { return }
        throw SystemError("keep room for", path, negated: result)
    }

    /// Seconds since the last write to a file; nil if there is none.
    public static func age(_ path: String) -> Double? {
        var status = stat()
        var now = timespec()
        guard lstat(path, &status) == 0, clock_gettime(CLOCK_REALTIME, &now) == 0 else { return nil }
        let written = status.st_mtim
        return Double(now.tv_sec) - Double(written.tv_sec) + Double(now.tv_nsec - written.tv_nsec) / 1e9
    }

    /// The present size of the file in bytes, also if it is not open.
    public var existingSize: Int {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : 0
    }

    public func remove() {
        descriptor = nil
        spare = nil
        pending = []
        unlink(path)
        unlink(freshPath)
    }

    private func open() throws(SystemError) {
        let opened = try OwnedDescriptor.open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, mode: 0o600)
        var status = stat()
        try checkErrno(fstat(opened.raw, &status), "stat", path)
        size = Int(status.st_size)
        descriptor = consume opened
        kept = 0
    }

    private static func raw(_ descriptor: borrowing OwnedDescriptor?) -> Int32 {
        switch descriptor {
        case .some(let descriptor): descriptor.raw
        case .none: -1
        }
    }

    private func write(to raw: Int32) throws(SystemError) {
        var written = 0
        while written < pending.count {
            let count = pending.withUnsafeBytes {
                Glibc.write(raw, $0.baseAddress.map { $0 + written }, $0.count - written)
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else {
                let error = SystemError("write", path, Errno(rawValue: count < 0 ? errno : ENOSPC))
                // A partial record would hide all records written after it. (Truncating also frees the allocation
                // behind it.)
                ftruncate(raw, off_t(size))
                kept = size
                throw error
            }
            written += count
        }
        size += written
        pending.removeAll(keepingCapacity: pending.count < 1 << 16)
    }
}
