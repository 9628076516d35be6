/// One `Condition…=` or `Assert…=` (systemd.unit(5), "Conditions and Asserts"): looked at right before a start.
public struct Condition: Sendable, Hashable {
    /// What is asked, by the part of the name behind `Condition` or `Assert`.
    public enum Kind: String, Sendable, CaseIterable {
        case acPower = "ACPower"
        case architecture = "Architecture"
        case capability = "Capability"
        case controlGroupController = "ControlGroupController"
        case cpuFeature = "CPUFeature"
        case cpuPressure = "CPUPressure"
        case cpus = "CPUs"
        case credential = "Credential"
        case directoryNotEmpty = "DirectoryNotEmpty"
        case environment = "Environment"
        case fileIsExecutable = "FileIsExecutable"
        case fileNotEmpty = "FileNotEmpty"
        case firstBoot = "FirstBoot"
        case group = "Group"
        case host = "Host"
        case ioPressure = "IOPressure"
        case kernelCommandLine = "KernelCommandLine"
        case kernelVersion = "KernelVersion"
        case memory = "Memory"
        case memoryPressure = "MemoryPressure"
        case needsUpdate = "NeedsUpdate"
        case osRelease = "OSRelease"
        case pathExists = "PathExists"
        case pathExistsGlob = "PathExistsGlob"
        case pathIsDirectory = "PathIsDirectory"
        case pathIsEncrypted = "PathIsEncrypted"
        case pathIsMountPoint = "PathIsMountPoint"
        case pathIsReadWrite = "PathIsReadWrite"
        case pathIsSymbolicLink = "PathIsSymbolicLink"
        case security = "Security"
        case user = "User"
        case virtualization = "Virtualization"

        /// Takes an absolute path.
        var isPath: Bool {
            switch self {
            case .directoryNotEmpty, .fileIsExecutable, .fileNotEmpty, .needsUpdate, .pathExists, .pathExistsGlob,
                .pathIsDirectory, .pathIsEncrypted, .pathIsMountPoint, .pathIsReadWrite, .pathIsSymbolicLink:
                true
            case .acPower, .architecture, .capability, .controlGroupController, .cpuFeature, .cpuPressure, .cpus,
                .credential, .environment, .firstBoot, .group, .host, .ioPressure, .kernelCommandLine, .kernelVersion,
                .memory, .memoryPressure, .osRelease, .security, .user, .virtualization:
                false
            }
        }

        var isBoolean: Bool { self == .acPower || self == .firstBoot }
        var isPressure: Bool { self == .cpuPressure || self == .ioPressure || self == .memoryPressure }
    }

    public var kind: Kind
    /// Without its prefixes, specifiers replaced.
    public var parameter: String
    /// `|`: one of these is enough, if there are any.
    public var isTrigger: Bool
    /// `!`
    public var isNegated: Bool
    public var location: SourceLocation

    public init(
        _ kind: Kind, _ parameter: String, isTrigger: Bool = false, isNegated: Bool = false,
        at location: SourceLocation = SourceLocation(file: "")
    ) {
        self.kind = kind
        self.parameter = parameter
        self.isTrigger = isTrigger
        self.isNegated = isNegated
        self.location = location
    }

    /// `ConditionPathExists=!/etc/x`, as it was written.
    public func text(isAssert: Bool) -> String {
        let prefix = (isTrigger ? "|" : "") + (isNegated ? "!" : "")
        return (isAssert ? "Assert" : "Condition") + kind.rawValue + "=" + prefix + parameter
    }

    /// All that hold, and of the triggering ones at least one: the first that decides against it, or nil.
    public static func firstFailing(_ conditions: [Condition], holds: (Condition) -> Bool) -> Condition? {
        var triggered: Bool?
        var lastTrigger: Condition?
        for condition in conditions {
            if condition.isTrigger, triggered == true { continue }
            let outcome = holds(condition) != condition.isNegated
            if condition.isTrigger {
                triggered = outcome
                lastTrigger = condition
            } else if !outcome {
                return condition
            }
        }
        return triggered == false ? lastTrigger : nil
    }
}

/// The two lists of a unit.
public struct ConditionSection: Sendable, Hashable {
    /// What does not hold skips the start, without a failure.
    public var conditions: [Condition] = []
    /// What does not hold fails the start.
    public var asserts: [Condition] = []

    public init() {}

    public var isEmpty: Bool { conditions.isEmpty && asserts.isEmpty }

    /// Directive names to what they mean: `ConditionPathExists` is no assert.
    static let directives: [String: (kind: Condition.Kind, isAssert: Bool)] = {
        var directives: [String: (kind: Condition.Kind, isAssert: Bool)] = [:]
        for kind in Condition.Kind.allCases {
            directives["Condition" + kind.rawValue] = (kind, false)
            directives["Assert" + kind.rawValue] = (kind, true)
        }
        return directives
    }()
}

/// The value of `ConditionMemoryPressure=` and its siblings: how much of the time something may have waited.
public struct PressureThreshold: Sendable, Hashable {
    /// The time over which the kernel averages, as /proc/pressure names it.
    public enum Window: String, Sendable, Hashable { case avg10, avg60, avg300 }
    /// In hundredths of a percent.
    public var limit: Int
    public var window: Window

    /// `10%`, `2.5%/1min`: of five minutes unless it is said otherwise.
    public static func parse(_ text: String) throws(ValueError) -> PressureThreshold {
        if text.contains(":") {
            throw ValueError("the pressure of a slice is not supported, only that of the host", code: .unsupportedValue)
        }
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let expected = ValueError("expected a share such as \"10%\" or \"10%/1min\", not \"\(text)\"")
        // Some write %% here, as everywhere else.
        let share = parts[0].hasSuffix("%%") ? parts[0].dropLast(2) : parts[0].dropLast()
        guard parts[0].hasSuffix("%"), let limit = hundredths(share) else { throw expected }
        guard parts.count == 2 else { return PressureThreshold(limit: limit, window: .avg300) }
        switch try TimeSpan.parse(parts[1]).duration {
        case .seconds(10): return PressureThreshold(limit: limit, window: .avg10)
        case .seconds(60): return PressureThreshold(limit: limit, window: .avg60)
        case .seconds(300): return PressureThreshold(limit: limit, window: .avg300)
        default: throw ValueError("expected one of 10sec, 1min, 5min behind \"/\", not \"\(parts[1])\"")
        }
    }

    /// Of a decimal number with at most two digits behind its point, up to 100: `2.5` is 250.
    public static func hundredths(_ text: some StringProtocol) -> Int? {
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        let fraction = parts.count == 2 ? String(parts[1]) : ""
        guard let first = parts.first, let whole = UInt16(first), fraction.count <= 2,
            let rest = UInt16((fraction + "00").prefix(2))
        else { return nil }
        let value = Int(whole) * 100 + Int(rest)
        return value <= 10_000 ? value : nil
    }
}
