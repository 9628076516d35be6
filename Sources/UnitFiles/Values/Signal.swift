/// A signal by its number on Linux (signal(7); x86 and ARM numbering, with glibc's real-time range 34...64).
public struct Signal: Sendable, Hashable, CustomStringConvertible {
    public let number: Int32

    private init(number: Int32) { self.number = number }

    /// Fails for numbers outside 1...64.
    public init?(validating number: Int32) {
        guard (1...64).contains(number) else { return nil }
        self.number = number
    }

    public static let hangup = Signal(number: 1)
    public static let interrupt = Signal(number: 2)
    public static let quit = Signal(number: 3)
    public static let abort = Signal(number: 6)
    public static let kill = Signal(number: 9)
    public static let user1 = Signal(number: 10)
    public static let pipe = Signal(number: 13)
    public static let terminate = Signal(number: 15)

    private static let names: [String] = """
        - HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU \
        URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS
        """.split(separator: " ").map(String.init)

    /// The signal's name: `SIGTERM`, `SIGRTMIN+3`.
    public var description: String {
        let index = Int(number)
        if index < Self.names.count { return "SIG" + Self.names[index] }
        if index < 34 { return "\(index)" }
        return index == 34 ? "SIGRTMIN" : index == 64 ? "SIGRTMAX" : "SIGRTMIN+\(index - 34)"
    }

    /// Parses `SIGTERM`, `TERM`, `15`, `RTMIN+3`, `SIGRTMAX-1`.
    public static func parse(_ text: String) throws(ValueError) -> Signal {
        if let signal = named(text) { return signal }
        let candidates = names.dropFirst().map { "SIG" + $0 }
        throw ValueError(
            "expected a signal such as \"SIGTERM\", \"TERM\" or \"15\", not \"\(text)\"",
            suggestion: EditDistance.closest(to: text.hasPrefix("SIG") ? text : "SIG" + text, in: candidates))
    }

    static func named(_ text: String) -> Signal? {
        if let (isNegative, number) = Value.magnitude(text), !isNegative || number == 0 {
            return Int32(exactly: number).flatMap { Signal(validating: $0) }
        }
        let name = text.hasPrefix("SIG") ? String(text.dropFirst(3)) : text
        if let index = names.firstIndex(of: name), index > 0 { return Signal(number: Int32(index)) }
        if name == "RTMIN" { return Signal(number: 34) }
        if name == "RTMAX" { return Signal(number: 64) }
        if name.hasPrefix("RTMIN+"), let offset = offset(name.dropFirst(6)) { return Signal(number: 34 + offset) }
        if name.hasPrefix("RTMAX-"), let offset = offset(name.dropFirst(6)) { return Signal(number: 64 - offset) }
        return nil
    }

    private static func offset(_ text: Substring) -> Int32? {
        guard let first = text.utf8.first, Ascii.isDigit(first), let (_, number) = Value.magnitude(text) else {
            return nil
        }
        return number <= 30 ? Int32(number) : nil
    }
}

/// A set of exit statuses and signals, as in `SuccessExitStatus=`.
public struct ExitStatusSet: Sendable, Hashable {
    public var statuses: Set<UInt8> = []
    public var signals: Set<Signal> = []

    public init(statuses: Set<UInt8> = [], signals: Set<Signal> = []) {
        self.statuses = statuses
        self.signals = signals
    }

    public var isEmpty: Bool { statuses.isEmpty && signals.isEmpty }

    /// Adds one word: `75`, `TEMPFAIL` or `SIGKILL`. A number is always a status (systemd.service(5)).
    public mutating func insert(_ word: String) throws(ValueError) {
        if Value.magnitude(word) != nil {
            statuses.insert(try Value.integer(word, in: UInt8(0)...255))
        } else if let status = ExitStatus.status(named: word) {
            statuses.insert(status)
        } else if let signal = Signal.named(word) {
            signals.insert(signal)
        } else {
            let short = word.hasPrefix("EXIT_") ? word.dropFirst(5) : word.hasPrefix("EX_") ? word.dropFirst(3) : ""
            let known = ExitStatus.status(named: String(short)) != nil
            throw ValueError(
                "expected an exit status (0 to 255 or a name such as TEMPFAIL) or a signal, not \"\(word)\"",
                suggestion: known ? String(short) : nil)
        }
    }
}

/// Names of exit statuses (systemd.exec(5), "Process exit codes"; `systemd-analyze exit-status`).
public enum ExitStatus {
    private static let table: [(String, UInt8)] = [
        ("SUCCESS", 0), ("FAILURE", 1), ("INVALIDARGUMENT", 2), ("NOTIMPLEMENTED", 3), ("NOPERMISSION", 4),
        ("NOTINSTALLED", 5), ("NOTCONFIGURED", 6), ("NOTRUNNING", 7), ("USAGE", 64), ("DATAERR", 65), ("NOINPUT", 66),
        ("NOUSER", 67), ("NOHOST", 68), ("UNAVAILABLE", 69), ("SOFTWARE", 70), ("OSERR", 71), ("OSFILE", 72),
        ("CANTCREAT", 73), ("IOERR", 74), ("TEMPFAIL", 75), ("PROTOCOL", 76), ("NOPERM", 77), ("CONFIG", 78),
        ("CHDIR", 200), ("NICE", 201), ("FDS", 202), ("EXEC", 203), ("MEMORY", 204), ("LIMITS", 205),
        ("OOM_ADJUST", 206), ("SIGNAL_MASK", 207), ("STDIN", 208), ("STDOUT", 209), ("CHROOT", 210), ("IOPRIO", 211),
        ("TIMERSLACK", 212), ("SECUREBITS", 213), ("SETSCHEDULER", 214), ("CPUAFFINITY", 215), ("GROUP", 216),
        ("USER", 217), ("CAPABILITIES", 218), ("CGROUP", 219), ("SETSID", 220), ("CONFIRM", 221), ("STDERR", 222),
        ("PAM", 224), ("NETWORK", 225), ("NAMESPACE", 226), ("NO_NEW_PRIVILEGES", 227), ("SECCOMP", 228),
        ("SELINUX_CONTEXT", 229), ("PERSONALITY", 230), ("APPARMOR", 231), ("ADDRESS_FAMILIES", 232),
        ("RUNTIME_DIRECTORY", 233), ("CHOWN", 235), ("SMACK_PROCESS_LABEL", 236), ("KEYRING", 237),
        ("STATE_DIRECTORY", 238), ("CACHE_DIRECTORY", 239), ("LOGS_DIRECTORY", 240), ("CONFIGURATION_DIRECTORY", 241),
        ("NUMA_POLICY", 242), ("CREDENTIALS", 243), ("BPF", 244), ("EXCEPTION", 255),
    ]
    private static let byName = Dictionary(table, uniquingKeysWith: { first, _ in first })
    private static let byStatus = Dictionary(table.map { ($0.1, $0.0) }, uniquingKeysWith: { first, _ in first })

    /// The status of a name: `TEMPFAIL` -> 75.
    public static func status(named name: String) -> UInt8? { byName[name] }

    /// The name of a status: 75 -> `TEMPFAIL`.
    public static func name(of status: UInt8) -> String? { byStatus[status] }
}
