/// One `Condition…=` or `Assert…=` (systemd.unit(5), "Conditions and Asserts"), evaluated right before a start.
public struct Condition: Sendable, Hashable {
    /// The subject of a condition, by the part of its name after `Condition` or `Assert`.
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

        /// Whether the parameter is an absolute path.
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
    /// The parameter without its prefixes, with specifiers replaced.
    public var parameter: String
    /// `|`: of the conditions with this prefix one is enough.
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

    /// The condition as it was written: `ConditionPathExists=!/etc/x`.
    public func text(isAssert: Bool) -> String {
        let prefix = (isTrigger ? "|" : "") + (isNegated ? "!" : "")
        return (isAssert ? "Assert" : "Condition") + kind.rawValue + "=" + prefix + parameter
    }

    /// The first condition that prevents the start; nil if none does. All conditions must hold, but only one of the
    /// triggering ones.
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
    /// Conditions that skip the start if they do not hold; the unit does not fail.
    public var conditions: [Condition] = []
    /// Conditions that fail the start if they do not hold.
    public var asserts: [Condition] = []

    public init() {}

    public var isEmpty: Bool { conditions.isEmpty && asserts.isEmpty }
}

/// The value of `ConditionMemoryPressure=` and its siblings: the largest share of time that processes may have waited.
public struct PressureThreshold: Sendable, Hashable {
    /// The time over which the kernel averages, named as in /proc/pressure.
    public enum Window: String, Sendable, Hashable { case avg10, avg60, avg300 }
    /// The share in hundredths of a percent.
    public var limit: Int
    public var window: Window

    /// Parses `10%` or `2.5%/1min`; the default window is five minutes.
    public static func parse(_ text: String) throws(ValueError) -> PressureThreshold {
        if text.contains(":") {
            throw ValueError("the pressure of a slice is not supported, only that of the host", code: .unsupportedValue)
        }
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let expected = ValueError("expected a share such as \"10%\" or \"10%/1min\", not \"\(text)\"")
        // Some units write %% here, as elsewhere.
        let share = parts[0].hasSuffix("%%") ? parts[0].dropLast(2) : parts[0].dropLast()
        guard parts[0].hasSuffix("%"), let limit = hundredths(share) else { throw expected }
        guard parts.count == 2 else { return PressureThreshold(limit: limit, window: .avg300) }
        switch try TimeSpan.parse(parts[1]).duration {
        case .seconds(10): return PressureThreshold(limit: limit, window: .avg10)
        case .seconds(60): return PressureThreshold(limit: limit, window: .avg60)
        case .seconds(300): return PressureThreshold(limit: limit, window: .avg300)
        default: throw ValueError("expected one of 10sec, 1min, 5min after \"/\", not \"\(parts[1])\"")
        }
    }

    /// Converts a decimal number up to 100 with at most two decimal places into hundredths: `2.5` is 250.
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
