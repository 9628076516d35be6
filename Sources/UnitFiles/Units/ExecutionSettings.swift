import Vocabulary

/// The execution environment of a unit's processes (systemd.exec(5)), with systemd's documented defaults. nil stands
/// for the supervisor's own value.
public struct ExecutionSettings: Sendable, Hashable {
    // Identity.
    public var user: String?
    public var group: String?
    public var supplementaryGroups: [String] = []
    /// `SetLoginEnvironment=`: whether `$HOME`, `$LOGNAME`, `$SHELL` and `$USER` are set; nil: if `User=` is set.
    public var setLoginEnvironment: Bool?
    /// The capabilities that the program and its children can ever have; nil: no limit.
    public var capabilityBoundingSet: CapabilitySet?
    /// The capabilities that the program has even if its user is not root.
    public var ambientCapabilities = CapabilitySet()
    public var secureBits = SecureBits()
    public var noNewPrivileges = false
    /// nil: `private`, or `inherit` under a `--user` supervisor.
    public var keyringMode: KeyringMode?

    // File system.
    /// nil: the root directory, or the user's home directory under a `--user` supervisor.
    public var workingDirectory: WorkingDirectory?
    public var rootDirectory: RootDirectory?
    /// The directories searched for programs named without a slash, and the default of `$PATH`; empty: the fixed list
    /// of systemd.exec(5).
    public var execSearchPath: [String] = []
    public var directories: [DirectoryKind: ManagedDirectories] = [:]
    public var runtimeDirectoryPreserve = RuntimeDirectoryPreserve.no

    // Environment and input.
    /// Assignments of `Environment=`; of those with the same name the last counts.
    public var environment: [EnvironmentAssignment] = []
    /// Files read when the service starts; they override `environment`.
    public var environmentFiles: [EnvironmentFileReference] = []
    /// Names of variables passed on from the supervisor's own environment.
    public var passEnvironment: [String] = []
    public var unsetEnvironment: [EnvironmentRemoval] = []
    /// `StandardInput=`; nil: `data` if there is any, else `null`.
    public var explicitStandardInput: StandardInput?
    /// `StandardInputText=` and `StandardInputData=`, joined.
    public var inputData: [UInt8] = []

    // Limits and scheduling.
    public var umask: UInt16 = 0o022
    public var limits: [ResourceLimitKind: ResourceLimit] = [:]
    public var ignoreSIGPIPE = true
    public var oomScoreAdjust: Int?
    /// Bits of /proc/pid/coredump_filter (core(5)).
    public var coredumpFilter: UInt64?
    public var nice: Int?
    public var cpuScheduling: CPUScheduling?
    /// CPU numbers; empty: all CPUs.
    public var cpuAffinity: Set<Int> = []
    public var ioScheduling: IOScheduling?
    /// Timer slack in nanoseconds.
    public var timerSlack: UInt64?
    public var personality: Personality?

    public init() {}

    /// The source of descriptor 0, with the default applied.
    public var standardInput: StandardInput {
        explicitStandardInput ?? (inputData.isEmpty ? .null : .data)
    }
}

/// `WorkingDirectory=`.
public struct WorkingDirectory: Sendable, Hashable {
    public enum Place: Sendable, Hashable {
        /// `~`: the home directory of `User=`.
        case home
        /// An absolute path.
        case path(String)
    }
    public var place: Place
    /// `-`: the root directory is used if this one is missing.
    public var mayBeMissing: Bool

    public init(_ place: Place, mayBeMissing: Bool = false) {
        self.place = place
        self.mayBeMissing = mayBeMissing
    }
}

/// `RootDirectory=`: the directory that the processes have as `/` (chroot(2)).
public struct RootDirectory: Sendable, Hashable {
    public var path: String
    /// `-`: the root stays unchanged if the directory is missing.
    public var mayBeMissing: Bool

    public init(_ path: String, mayBeMissing: Bool = false) {
        self.path = path
        self.mayBeMissing = mayBeMissing
    }
}

/// One `EnvironmentFile=`. As in systemd, the path may contain wildcards (glob(7)).
public struct EnvironmentFileReference: Sendable, Hashable {
    public var path: String
    /// `-`: the service starts even if the file cannot be read.
    public var mayBeMissing: Bool
    public var location: SourceLocation

    public init(path: String, mayBeMissing: Bool = false, location: SourceLocation = SourceLocation(file: "")) {
        self.path = path
        self.mayBeMissing = mayBeMissing
        self.location = location
    }

    /// Reads the files. Returns their assignments, and diagnostics of ignored lines; if one of these is an error, the
    /// service does not start.
    ///
    /// With `-`, systemd 252 ignores any file it cannot read, for whatever reason, and reports nothing. Here only a
    /// missing file is ignored without a warning.
    ///
    /// - Parameters:
    ///   - paths: the files that match the path; empty if there are none.
    ///   - read: the text of a file; nil leaves it out.
    public func read(
        paths: [String], _ read: (String) -> Result<String, UnitFileReadError>?
    ) -> (assignments: [EnvironmentAssignment], diagnostics: [Diagnostic]) {
        var assignments: [EnvironmentAssignment] = []
        var diagnostics: [Diagnostic] = []
        func failed(_ path: String, _ reason: String) {
            let ending = mayBeMissing ? "; it is ignored" : ""
            diagnostics.append(
                Diagnostic(
                    mayBeMissing ? .warning : .error, .missingFile, at: location, directive: "EnvironmentFile",
                    "reading EnvironmentFile=\(path): \(reason)\(ending)"))
        }
        if paths.isEmpty, !mayBeMissing { failed(path, "no file matches") }
        for path in paths {
            do throws(UnitFileReadError) {
                guard let text = try read(path)?.get() else { continue }
                let found = try EnvironmentFile.parse(text, path: path)
                assignments += found.assignments
                diagnostics += found.diagnostics
            } catch {
                if !mayBeMissing || error != .missing { failed(path, error.description) }
            }
        }
        return (assignments, diagnostics)
    }
}

/// One word of `UnsetEnvironment=`.
public enum EnvironmentRemoval: Sendable, Hashable {
    /// The variable, whatever its value.
    case name(String)
    /// The variable if it has exactly this value.
    case assignment(EnvironmentAssignment)
}

/// `StandardInput=`.
public enum StandardInput: Sendable, Hashable {
    case null
    /// The data of `StandardInputText=` and `StandardInputData=`.
    case data
    case file(String)
    /// The socket that activated the service.
    case socket
    /// A passed descriptor with this name.
    case descriptor(String)
    case terminal(TerminalClaim)
}

/// `KeyringMode=`.
public enum KeyringMode: String, Keyword {
    case inherit, `private`, shared
}

/// The five kinds of `…Directory=` directives.
public enum DirectoryKind: String, Sendable, CaseIterable {
    case runtime = "RuntimeDirectory"
    case state = "StateDirectory"
    case cache = "CacheDirectory"
    case logs = "LogsDirectory"
    case configuration = "ConfigurationDirectory"

    /// The variable that lists the directories.
    public var variable: String {
        switch self {
        case .runtime: "RUNTIME_DIRECTORY"
        case .state: "STATE_DIRECTORY"
        case .cache: "CACHE_DIRECTORY"
        case .logs: "LOGS_DIRECTORY"
        case .configuration: "CONFIGURATION_DIRECTORY"
        }
    }
}

/// The directories of one kind.
public struct ManagedDirectories: Sendable, Hashable {
    /// One directory; both paths are relative to the kind's root.
    public struct Entry: Sendable, Hashable {
        public var path: String
        /// After `:`: a symbolic link to the directory.
        public var link: String?

        public init(_ path: String, link: String? = nil) {
            self.path = path
            self.link = link
        }
    }
    public var entries: [Entry] = []
    public var mode: UInt16 = 0o755

    public init() {}

    /// All paths in order, without duplicates.
    public var paths: [String] {
        var seen: Set<String> = []
        return entries.map(\.path).filter { seen.insert($0).inserted }
    }
}

/// `RuntimeDirectoryPreserve=`.
public enum RuntimeDirectoryPreserve: Sendable, Hashable {
    /// Removed when the service stops.
    case no
    /// Kept over restarts.
    case restart
    /// Never removed.
    case yes
}

/// `CPUSchedulingPolicy=`, `CPUSchedulingPriority=`, `CPUSchedulingResetOnFork=` (sched(7)).
public struct CPUScheduling: Sendable, Hashable {
    public enum Policy: String, Keyword {
        case other, batch, idle, fifo, rr

        /// The kernel's number of the policy.
        public var number: Int32 {
            switch self {
            case .other: 0
            case .fifo: 1
            case .rr: 2
            case .batch: 3
            case .idle: 5
            }
        }

        /// The priorities that the kernel accepts with the policy.
        public var priorities: ClosedRange<Int> {
            switch self {
            case .other, .batch, .idle: 0...0
            case .fifo, .rr: 1...99
            }
        }
    }
    public var policy = Policy.other
    public var priority = 0
    public var resetOnFork = false

    public init() {}
}

/// `IOSchedulingClass=`, `IOSchedulingPriority=` (ioprio_set(2)).
public struct IOScheduling: Sendable, Hashable {
    public enum Class: String, Keyword {
        case none
        case realtime
        case bestEffort = "best-effort"
        case idle

        /// The kernel's number of the class.
        public var number: Int32 {
            switch self {
            case .none: 0
            case .realtime: 1
            case .bestEffort: 2
            case .idle: 3
            }
        }
    }
    public var schedulingClass = Class.bestEffort
    /// Priority from 0 (highest) to 7.
    public var priority = 4

    public init() {}

    /// The argument of ioprio_set(2). The kernel refuses a priority with the class `none`, and the idle class ignores it.
    public var number: Int32 {
        switch schedulingClass {
        case .none: 0
        case .realtime, .bestEffort, .idle: schedulingClass.number << 13 | Int32(priority)
        }
    }
}

/// `Personality=`, as far as the host supports it: its own word size, or its 32-bit sibling.
public enum Personality: Sendable, Hashable {
    case native, compat32

    /// The argument of personality(2): PER_LINUX or PER_LINUX32.
    public var number: UInt32 { self == .native ? 0 : 8 }
}

/// `SecureBits=` (capabilities(7)).
public struct SecureBits: OptionSet, Sendable, Hashable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    static let names: [String: SecureBits] = [
        "noroot": SecureBits(rawValue: 1 << 0), "noroot-locked": SecureBits(rawValue: 1 << 1),
        "no-setuid-fixup": SecureBits(rawValue: 1 << 2), "no-setuid-fixup-locked": SecureBits(rawValue: 1 << 3),
        "keep-caps": SecureBits(rawValue: 1 << 4), "keep-caps-locked": SecureBits(rawValue: 1 << 5),
    ]
}

/// A set of capabilities(7), with the kernel's bit numbers.
public struct CapabilitySet: Sendable, Hashable {
    public var bits: UInt64

    public init(bits: UInt64 = 0) { self.bits = bits }

    /// All capabilities, including those missing in this list.
    public static let all = CapabilitySet(bits: .max)

    /// The names of linux/capability.h, in the order of their numbers.
    static let names = [
        "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
        "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
        "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
        "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
        "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
        "checkpoint_restore",
    ]

    /// The bit of `CAP_NET_ADMIN`, in any case, or of a number.
    static func bit(of name: String) throws(ValueError) -> UInt64 {
        let lower = name.lowercased()
        if lower.hasPrefix("cap_"), let index = names.firstIndex(of: String(lower.dropFirst(4))) { return 1 << index }
        if let number = UInt8(name), number <= 62 { return 1 << number }
        let near = EditDistance.closest(to: lower, in: names.map { "cap_" + $0 })
        throw ValueError(
            "\"\(name)\" is not a capability (capabilities(7))", suggestion: near?.uppercased())
    }
}
