import Glibc

/// Appends a row per 100 ms to a CSV file, so that latency during swaps can be compared with latency between them.
///
/// Columns: `unix_ms` (the start of the window), `count`, `ok`, `lost`, `p999_us`, `max_us` (0 without answers). A
/// window without any answer has a row too: a gap is what a reader looks for.
struct Windows: ~Copyable {
    /// The length of a window; microseconds.
    static let length: Int64 = 100_000

    private let descriptor: Int32
    private var begin: Int64
    /// Wall clock minus monotonic clock; microseconds.
    private let offset: Int64
    private var ok = 0
    private var lost = 0
    private var latencies: [UInt32] = []

    /// - Parameter now: microseconds on the monotonic clock.
    init(path: String, now: Int64) throws(ProbeError) {
        descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw ProbeError("cannot write \(path): \(errorText(errno))") }
        offset = microseconds(CLOCK_REALTIME) - now
        begin = now
        if lseek(descriptor, 0, SEEK_END) == 0 { write("unix_ms,count,ok,lost,p999_us,max_us\n") }
    }

    deinit { close(descriptor) }

    mutating func add(ok isOk: Bool, latency: Int64?, at now: Int64) {
        closeWindows(now)
        if isOk { ok += 1 } else { lost += 1 }
        if let latency { latencies.append(UInt32(clamping: latency)) }
    }

    /// Writes the windows that have ended.
    mutating func closeWindows(_ now: Int64) {
        guard now >= begin + Self.length else { return }
        var rows = ""
        while now >= begin + Self.length {
            rows += row()
            begin += Self.length
            (ok, lost) = (0, 0)
            latencies.removeAll(keepingCapacity: true)
        }
        write(rows)
    }

    /// Writes the last window, which may be shorter.
    mutating func finish(_ now: Int64) {
        closeWindows(now)
        if ok + lost > 0 { write(row()) }
    }

    private mutating func row() -> String {
        latencies.sort()
        let index = (latencies.count * 999 + 999) / 1000 - 1
        let p999 = latencies.isEmpty ? 0 : latencies[max(0, index)]
        return "\((begin + offset) / 1000),\(ok + lost),\(ok),\(lost),\(p999),\(latencies.last ?? 0)\n"
    }

    private func write(_ text: String) {
        _ = Array(text.utf8).withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    }
}
