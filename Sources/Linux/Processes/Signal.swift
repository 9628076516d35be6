import Glibc

/// A signal by number, with its name from signal(7).
public struct Signal: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: Int32
    public init(rawValue: Int32) { self.rawValue = rawValue }

    public static let hangUp = Signal(rawValue: SIGHUP)
    public static let interrupt = Signal(rawValue: SIGINT)
    public static let quit = Signal(rawValue: SIGQUIT)
    public static let abort = Signal(rawValue: SIGABRT)
    public static let kill = Signal(rawValue: SIGKILL)
    public static let user1 = Signal(rawValue: SIGUSR1)
    public static let user2 = Signal(rawValue: SIGUSR2)
    public static let terminate = Signal(rawValue: SIGTERM)
    public static let child = Signal(rawValue: SIGCHLD)
    public static let `continue` = Signal(rawValue: SIGCONT)
    public static let stop = Signal(rawValue: SIGSTOP)

    /// Reads `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`, `RTMIN+3`; nil for anything that is not a signal.
    public init?(name: String) {
        if let number = Int32(name) {
            guard (1...64).contains(number) else { return nil }
            self.init(rawValue: number)
            return
        }
        let short = name.hasPrefix("SIG") ? String(name.dropFirst(3)) : name
        if let number = Self.numbers[short] {
            self.init(rawValue: number)
        } else if short.hasPrefix("RTMIN+"), let offset = Int32(short.dropFirst(6)), (0...30).contains(offset) {
            self.init(rawValue: 34 + offset)
        } else if short == "RTMIN" {
            self.init(rawValue: 34)
        } else if short == "RTMAX" {
            self.init(rawValue: 64)
        } else if short.hasPrefix("RTMAX-"), let offset = Int32(short.dropFirst(6)), (0...30).contains(offset) {
            self.init(rawValue: 64 - offset)
        } else {
            return nil
        }
    }

    /// `SIGTERM`; real-time signals as `SIGRTMIN+n`, from the number that programs may use (34 with glibc).
    public var name: String {
        if let name = Self.names[rawValue] { return "SIG" + name }
        if rawValue == 34 { return "SIGRTMIN" }
        if (35...64).contains(rawValue) { return "SIGRTMIN+\(rawValue - 34)" }
        return "signal \(rawValue)"
    }

    public var description: String { name }

    private static let names: [Int32: String] = [
        SIGHUP: "HUP", SIGINT: "INT", SIGQUIT: "QUIT", SIGILL: "ILL", SIGTRAP: "TRAP", SIGABRT: "ABRT", SIGBUS: "BUS",
        SIGFPE: "FPE", SIGKILL: "KILL", SIGUSR1: "USR1", SIGSEGV: "SEGV", SIGUSR2: "USR2", SIGPIPE: "PIPE",
        SIGALRM: "ALRM", SIGTERM: "TERM", SIGSTKFLT: "STKFLT", SIGCHLD: "CHLD", SIGCONT: "CONT", SIGSTOP: "STOP",
        SIGTSTP: "TSTP", SIGTTIN: "TTIN", SIGTTOU: "TTOU", SIGURG: "URG", SIGXCPU: "XCPU", SIGXFSZ: "XFSZ",
        SIGVTALRM: "VTALRM", SIGPROF: "PROF", SIGWINCH: "WINCH", SIGIO: "IO", SIGPWR: "PWR", SIGSYS: "SYS",
    ]

    private static let numbers: [String: Int32] = {
        var table = Dictionary(uniqueKeysWithValues: names.map { ($1, $0) })
        table["IOT"] = SIGABRT
        table["POLL"] = SIGIO
        table["CLD"] = SIGCHLD
        return table
    }()
}
