import Glibc

/// Flags of an open file description (fcntl(2)), which all processes that share it have in common.
enum StatusFlags {
    /// F_SETSIG of fcntl(2), which glibc declares only for GNU programs.
    private static let setSignal: Int32 = 10
    private static let getPipeSize: Int32 = 1032
    private static let asynchronous: Int32 = 0o20000
    /// Flags that we never set.
    private static let never: [(name: String, bit: Int32)] = [
        ("O_APPEND", 0o2000), ("O_DIRECT", 0o40000), ("O_NOATIME", 0o1000000),
    ]

    /// Restores the flags, and returns the changes found.
    /// - Parameter nonBlocking: the required O_NONBLOCK; nil leaves it to the processes that share it.
    static func putBack(_ raw: Int32, nonBlocking: Bool?) -> [AttributeChange] {
        let found = fcntl(raw, F_GETFL)
        guard found >= 0 else { return [] }
        var wanted = found
        var changes: [AttributeChange] = []
        for (name, bit) in never where found & bit != 0 {
            wanted &= ~bit
            changes.append(AttributeChange(name, found: "on", expected: "off"))
        }
        if let nonBlocking, (found & O_NONBLOCK != 0) != nonBlocking {
            wanted = nonBlocking ? wanted | O_NONBLOCK : wanted & ~O_NONBLOCK
            changes.append(
                AttributeChange("O_NONBLOCK", found: nonBlocking ? "off" : "on", expected: nonBlocking ? "on" : "off"))
        }
        // A process that waits for signals would never accept again without them, unless it has ended.
        let owner = fcntl(raw, F_GETOWN)
        let isOwned = owner != 0 && (kill(owner, 0) == 0 || errno == EPERM)
        if found & asynchronous != 0, !isOwned {
            wanted &= ~asynchronous
            changes.append(
                AttributeChange("O_ASYNC", found: owner == 0 ? "on" : "on, for process \(owner)", expected: "off"))
        }
        if owner != 0, !isOwned {
            _ = fcntl(raw, F_SETOWN, 0)
            _ = fcntl(raw, setSignal, 0)
        }
        guard wanted != found, fcntl(raw, F_SETFL, wanted) < 0 else { return changes }
        let problem = SystemError("fcntl").errno.text
        return changes.map { AttributeChange($0.attribute, found: $0.found, expected: $0.expected, problem: problem) }
    }

    static func pipeSize(_ raw: Int32) -> Int32? {
        let size = fcntl(raw, getPipeSize)
        return size < 0 ? nil : size
    }
}
