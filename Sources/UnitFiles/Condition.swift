/// One `Condition…=` or `Assert…=` (systemd.unit(5), "Conditions and Asserts"): looked at right before a start.
public struct Condition: Sendable, Hashable {
    /// What is asked, by the part of the name behind `Condition` or `Assert`.
    public enum Kind: String, Sendable, CaseIterable {
        case acPower = "ACPower"
        case architecture = "Architecture"
        case capability = "Capability"
        case controlGroupController = "ControlGroupController"
        case cpus = "CPUs"
        case directoryNotEmpty = "DirectoryNotEmpty"
        case environment = "Environment"
        case fileIsExecutable = "FileIsExecutable"
        case fileNotEmpty = "FileNotEmpty"
        case firstBoot = "FirstBoot"
        case group = "Group"
        case host = "Host"
        case kernelCommandLine = "KernelCommandLine"
        case kernelVersion = "KernelVersion"
        case memory = "Memory"
        case needsUpdate = "NeedsUpdate"
        case osRelease = "OSRelease"
        case pathExists = "PathExists"
        case pathExistsGlob = "PathExistsGlob"
        case pathIsDirectory = "PathIsDirectory"
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
                .pathIsDirectory, .pathIsMountPoint, .pathIsReadWrite, .pathIsSymbolicLink:
                true
            case .acPower, .architecture, .capability, .controlGroupController, .cpus, .environment, .firstBoot,
                .group, .host, .kernelCommandLine, .kernelVersion, .memory, .osRelease, .security, .user,
                .virtualization:
                false
            }
        }

        var isBoolean: Bool { self == .acPower || self == .firstBoot }
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
