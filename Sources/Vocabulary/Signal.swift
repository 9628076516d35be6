/// A signal by its number on Linux (signal(7); x86 and ARM numbering, with glibc's real-time range 34...64).
public struct Signal: RawRepresentable, Hashable, Sendable, Codable, CustomStringConvertible {
    public let rawValue: Int32

    public init(rawValue: Int32) { self.rawValue = rawValue }

    /// Fails for numbers outside 1...64.
    public init?(validating number: Int32) {
        guard (1...64).contains(number) else { return nil }
        rawValue = number
    }

    public static let hangUp = Signal(rawValue: 1)
    public static let interrupt = Signal(rawValue: 2)
    public static let quit = Signal(rawValue: 3)
    public static let abort = Signal(rawValue: 6)
    public static let kill = Signal(rawValue: 9)
    public static let user1 = Signal(rawValue: 10)
    public static let user2 = Signal(rawValue: 12)
    public static let pipe = Signal(rawValue: 13)
    public static let terminate = Signal(rawValue: 15)
    public static let child = Signal(rawValue: 17)
    public static let `continue` = Signal(rawValue: 18)
    public static let stop = Signal(rawValue: 19)
    public static let realTimeMinimum = Signal(rawValue: 34)
    public static let realTimeMaximum = Signal(rawValue: 64)

    /// Names of the standard signals without `SIG`, by number.
    public static let standardNames: [Int32: String] = {
        let names = """
            HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU \
            URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS
            """.split(separator: " ").map(String.init)
        return Dictionary(uniqueKeysWithValues: names.enumerated().map { (Int32($0.offset + 1), $0.element) })
    }()

    /// The name without `SIG`: `TERM`, `RTMIN+3`; nil for a number without a name.
    public var shortName: String? {
        if let name = Self.standardNames[rawValue] { return name }
        switch self {
        case .realTimeMinimum: return "RTMIN"
        case .realTimeMaximum: return "RTMAX"
        default: return (35...63).contains(rawValue) ? "RTMIN+\(rawValue - 34)" : nil
        }
    }

    /// `SIGTERM`, `SIGRTMIN+3`; the number of a signal without a name.
    public var description: String { shortName.map { "SIG" + $0 } ?? "\(rawValue)" }
}
