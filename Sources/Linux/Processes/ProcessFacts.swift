import Glibc
import SystemPackage

/// The identifier of the host's present boot (/proc/sys/kernel/random/boot_id); nil if it cannot be read.
public enum BootID {
    public static let current: String? = ProcFile.read("/proc/sys/kernel/random/boot_id", limit: 64).map {
        String(decoding: $0.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }
}

/// Facts about a process at one moment, from /proc (proc(5)).
public struct ProcessFacts: Equatable, Sendable {
    public var pid: Int32
    public var parent: Int32
    public var processGroup: Int32
    public var session: Int32
    /// The start time in clock ticks since boot. Together with the pid it identifies a process until the next boot.
    public var startTime: UInt64
    /// `Z` is a zombie, `X` is dead.
    public var state: Character
    /// The number of threads. If the first thread has ended, its zombie counts as well as the others.
    public var threads: Int

    /// Whether no thread of the process runs. If only its first thread has ended (pthread_exit(3) in `main`), the
    /// process is a zombie with other threads: it lives, and its pidfd is not readable.
    public var isDead: Bool { state == "X" || state == "Z" && threads <= 1 }

    /// Seconds since its start, to a hundredth, including suspend time; nil if the clock is missing.
    public var age: Double? {
        var now = timespec()
        guard clock_gettime(CLOCK_BOOTTIME, &now) == 0 else { return nil }
        let ticks = Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
        return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9 - Double(startTime) / ticks
    }

    /// Nil if there is no such process.
    public static func read(_ pid: Int32) -> ProcessFacts? {
        guard let bytes = ProcFile.read("/proc/\(pid)/stat", limit: 4096) else { return nil }
        return ProcessFacts(pid: pid, stat: bytes)
    }

    init?(pid: Int32, stat bytes: [UInt8]) {
        // The command name may contain spaces and parentheses: fields are counted from the last ")".
        guard let end = bytes.lastIndex(of: UInt8(ascii: ")")), end + 2 < bytes.count else { return nil }
        let fields = bytes[(end + 2)...].split(separator: UInt8(ascii: " "), maxSplits: 21)
        guard fields.count > 20, let state = fields[0].first,
            let parent = Int32(ascii: fields[1]), let group = Int32(ascii: fields[2]),
            let session = Int32(ascii: fields[3]), let threads = Int(ascii: fields[17]),
            let start = UInt64(ascii: fields[19])
        else { return nil }
        self.pid = pid
        self.parent = parent
        processGroup = group
        self.session = session
        startTime = start
        self.threads = threads
        self.state = Character(Unicode.Scalar(state))
    }

    /// The name of its program, as ps(1) shows it, at most 15 bytes; nil if there is no such process.
    public static func commandName(of pid: Int32) -> String? {
        ProcFile.read("/proc/\(pid)/comm", limit: 64).map {
            String(decoding: $0.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        }
    }

    /// Facts of an invented process, for tests.
    init(parent: Int32, startTime: UInt64, pid: Int32) {
        (self.pid, self.parent, processGroup, session) = (pid, parent, pid, pid)
        (self.startTime, state, threads) = (startTime, "S", 1)
    }

    /// The real user of a process; nil if there is no such process. The owner of /proc/PID is no substitute: it is root
    /// for any process that may not be traced.
    public static func user(of pid: Int32) -> UInt32? {
        guard let bytes = ProcFile.read("/proc/\(pid)/status", limit: 65536) else { return nil }
        guard let line = bytes.split(separator: UInt8(ascii: "\n")).first(where: { $0.starts(with: "Uid:".utf8) }),
            let first = line.dropFirst(4).split(separator: UInt8(ascii: "\t")).first
        else { return nil }
        return UInt32(ascii: first)
    }

    /// The start time of a process; nil if there is none.
    public static func startTime(of pid: Int32) -> UInt64? { read(pid)?.startTime }

    /// A variable of the environment with which the process was executed; nil if it is unset or not readable for us.
    /// Reads the first 256 KiB.
    public static func environmentVariable(_ name: String, of pid: Int32) -> String? {
        guard let bytes = ProcFile.read("/proc/\(pid)/environ", limit: 1 << 18) else { return nil }
        let prefix = Array((name + "=").utf8)
        for variable in bytes.split(separator: 0) where variable.starts(with: prefix) {
            return String(decoding: variable.dropFirst(prefix.count), as: UTF8.self)
        }
        return nil
    }

    /// The path of its cgroup v2, `/` for the root; nil if unknown.
    public static func cgroup(of pid: Int32) -> String? {
        guard let bytes = ProcFile.read("/proc/\(pid)/cgroup", limit: 65536) else { return nil }
        for line in bytes.split(separator: UInt8(ascii: "\n")) where line.starts(with: "0::".utf8) {
            return String(decoding: line.dropFirst(3), as: UTF8.self)
        }
        return nil
    }

    /// Our own adjustment for the OOM killer, which children inherit; nil if unknown.
    public static var oomScoreAdjust: Int? {
        ProcFile.read("/proc/self/oom_score_adj", limit: 64).flatMap {
            Int(String(decoding: $0.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self))
        }
    }

    /// All pids, unsorted.
    public static func allPids() -> [Int32] {
        guard let directory = opendir("/proc") else { return [] }
        defer { closedir(directory) }
        var pids: [Int32] = []
        while let entry = readdir(directory) {
            let pid = withUnsafePointer(to: &entry.pointee.d_name) { name in
                name.withMemoryRebound(to: CChar.self, capacity: 256) { Int32(String(cString: $0)) }
            }
            if let pid { pids.append(pid) }
        }
        return pids
    }

    /// The ancestors of a process, nearest first, up to our own pid or the first that is gone; at most 64.
    public static func ancestors(of pid: Int32) -> [Int32] {
        var chain: [Int32] = []
        var current = pid
        while chain.count < 64, let facts = read(current), facts.parent > 0 {
            chain.append(facts.parent)
            if facts.parent == getpid() { break }
            current = facts.parent
        }
        return chain
    }
}

/// The memory of a process in bytes.
public struct MemoryFacts: Equatable, Sendable {
    /// The proportional share (smaps_rollup); nil if that is not readable.
    public var proportional: Int?
    public var resident: Int

    /// Nil if there is no such process. Walks the page tables of the process: for status calls, not for every event.
    public static func read(_ pid: Int32) -> MemoryFacts? {
        guard let status = ProcFile.read("/proc/\(pid)/status", limit: 65536) else { return nil }
        let rollup = ProcFile.read("/proc/\(pid)/smaps_rollup", limit: 65536)
        return MemoryFacts(
            proportional: rollup.flatMap { kilobytes("Pss:", in: $0) }, resident: kilobytes("VmRSS:", in: status) ?? 0)
    }

    private static func kilobytes(_ key: String, in bytes: [UInt8]) -> Int? {
        for line in bytes.split(separator: UInt8(ascii: "\n")) where line.starts(with: key.utf8) {
            let digits = line.filter { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            return Int(ascii: digits[...]).map { $0 * 1024 }
        }
        return nil
    }
}

enum ProcFile {
    /// The contents of a file of /proc or cgroupfs, cut at `limit`; nil if it cannot be read.
    static func read(_ path: String, limit: Int) -> [UInt8]? {
        guard let file = try? OwnedDescriptor.open(path, O_RDONLY) else { return nil }
        return read(file.raw, limit: limit)
    }

    static func read(_ descriptor: Int32, limit: Int) -> [UInt8]? {
        var bytes: [UInt8] = []
        while bytes.count < limit {
            let room = min(4096 + bytes.count, limit - bytes.count)
            var failed = false
            let chunk = [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
                let got = Glibc.read(descriptor, buffer.baseAddress, room)
                failed = got < 0 && errno != EINTR
                count = max(0, got)
            }
            if failed { return nil }
            if chunk.isEmpty { break }
            bytes += chunk
        }
        return bytes
    }
}

extension FixedWidthInteger {
    /// Parses a decimal number in ASCII, as /proc prints it.
    init?(ascii digits: ArraySlice<UInt8>) { self.init(String(decoding: digits, as: UTF8.self)) }
}
