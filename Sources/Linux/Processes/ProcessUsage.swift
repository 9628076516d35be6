import Glibc

/// Resource usage of processes at one moment, from /proc (proc(5)): for `top`, which is not their parent.
public struct ProcessUsage: Equatable, Sendable {
    public var parent: Int32
    public var session: Int32
    /// Processor time since its start, in seconds.
    public var cpu: Double
    /// Resident memory in bytes.
    public var memory: Int

    public init(parent: Int32, session: Int32, cpu: Double, memory: Int) {
        self.parent = parent
        self.session = session
        self.cpu = cpu
        self.memory = memory
    }

    /// The usage of every process of this host.
    public static func all() -> [Int32: ProcessUsage] {
        let ticks = Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
        let page = max(1, sysconf(Int32(_SC_PAGESIZE)))
        var all: [Int32: ProcessUsage] = [:]
        for pid in ProcessFacts.allPids() {
            guard let bytes = ProcFile.read("/proc/\(pid)/stat", limit: 4096) else { continue }
            all[pid] = ProcessUsage(stat: bytes, ticks: ticks, page: page)
        }
        return all
    }

    init?(stat bytes: [UInt8], ticks: Double, page: Int) {
        // The command name may contain spaces and parentheses: fields are counted from the last ")".
        guard let end = bytes.lastIndex(of: UInt8(ascii: ")")), end + 2 < bytes.count else { return nil }
        let fields = bytes[(end + 2)...].split(separator: UInt8(ascii: " "), maxSplits: 22)
        guard fields.count > 21, let parent = Int32(ascii: fields[1]), let session = Int32(ascii: fields[3]),
            let user = UInt64(ascii: fields[11]), let system = UInt64(ascii: fields[12]),
            let pages = Int(ascii: fields[21])
        else { return nil }
        self.init(
            parent: parent, session: session, cpu: Double(user + system) / ticks,
            memory: max(0, pages).multipliedReportingOverflow(by: page).partialValue)
    }

    /// The number of open descriptors of a process; nil if we may not read it.
    public static func descriptors(of pid: Int32) -> Int? {
        guard let directory = opendir("/proc/\(pid)/fd") else { return nil }
        defer { closedir(directory) }
        var count = -2  // "." and ".."
        while readdir(directory) != nil { count += 1 }
        return max(0, count)
    }

    /// A process with its descendants and all processes in its session: a service, as seen from outside.
    public static func tree(of main: Int32, in all: [Int32: ProcessUsage]) -> [Int32] {
        var children: [Int32: [Int32]] = [:]
        for (pid, usage) in all { children[usage.parent, default: []].append(pid) }
        return tree(of: main, in: all, children)
    }

    /// The same as ``tree(of:in:)`` for repeated calls, with the children of each process.
    public static func tree(
        of main: Int32, in all: [Int32: ProcessUsage], _ children: [Int32: [Int32]]
    ) -> [Int32] {
        guard all[main] != nil else { return [] }
        var found: Set<Int32> = [main]
        var queue = [main]
        while let next = queue.popLast() {
            for child in children[next] ?? [] where found.insert(child).inserted { queue.append(child) }
        }
        return found.sorted()
    }
}
