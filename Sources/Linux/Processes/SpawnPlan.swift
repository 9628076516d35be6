import CSpawn
import Glibc

/// All decisions about a program before its start. A value: building it starts nothing.
public struct SpawnPlan {
    /// One line of setrlimit(2); `resource` is an RLIMIT_ number, UInt64.max is "unlimited".
    public struct Limit: Equatable, Sendable {
        public var resource: Int32
        public var soft: UInt64
        public var hard: UInt64
        public init(resource: Int32, soft: UInt64, hard: UInt64) {
            self.resource = resource
            self.soft = soft
            self.hard = hard
        }
    }

    /// The directory in which the program starts. `optional`: a missing one is no error (`WorkingDirectory=-/x`).
    public struct WorkingDirectory: Equatable, Sendable {
        public var path: String
        public var optional: Bool
        public init(path: String, optional: Bool = false) {
            self.path = path
            self.optional = optional
        }
    }

    /// sched_setscheduler(2): the kernel's number of the policy, and the priority within it.
    public struct CPUScheduling: Equatable, Sendable {
        public var policy: Int32
        public var priority: Int32
        public var resetOnFork: Bool
        public init(policy: Int32, priority: Int32, resetOnFork: Bool) {
            self.policy = policy
            self.priority = priority
            self.resetOnFork = resetOnFork
        }
    }

    /// The session keyring (session-keyring(7)).
    public enum Keyring: Equatable, Sendable {
        /// Our own keyring.
        case inherit
        /// A new keyring.
        case ownSession
        /// A new keyring into which the user's keyring is linked.
        case linkedToUser
    }

    /// The absolute path of the file to execute: `ProgramSearch` finds a name without a slash.
    public var program: String
    /// The arguments (argv), including the zeroth.
    public var arguments: [String]
    /// The whole environment: none of our own is passed on.
    public var environment: [String: String]
    /// Variables whose value is the pid of the program, known only after the fork: `LISTEN_PID`. At most 8.
    public var pidVariables: [String] = []
    /// Standard input, output and error. Like `descriptors` the caller's, and open until `spawn` returns.
    public var standardInput: Int32
    public var standardOutput: Int32
    public var standardError: Int32
    /// Descriptors that become 3, 4, 5, … in this order; numbers may repeat and may collide with targets. At most 1000.
    public var descriptors: [Int32] = []
    /// The working directory; nil: ours.
    public var workingDirectory: WorkingDirectory?
    /// User and groups; nil: ours.
    public var credentials: Credentials?
    /// nil: ours.
    public var umask: UInt32?
    public var limits: [Limit] = []
    /// -20…19; nil: ours.
    public var nice: Int32?
    /// -1000…1000; nil: ours.
    public var oomScoreAdjust: Int32?
    /// Bits of /proc/pid/coredump_filter (core(5)); nil: ours.
    public var coredumpFilter: UInt64?
    /// nil: ours.
    public var cpuScheduling: CPUScheduling?
    /// Numbers of CPUs; empty: ours.
    public var cpuAffinity: Set<Int> = []
    /// The argument of ioprio_set(2); nil: ours.
    public var ioPriority: Int32?
    /// Nanoseconds; nil: ours.
    public var timerSlack: UInt64?
    /// The argument of personality(2); nil: ours.
    public var personality: UInt32?
    /// Whether the program ignores SIGPIPE; all other signals have the kernel's defaults.
    public var ignoreSIGPIPE = false
    public var keyring = Keyring.inherit
    /// 16 bytes, stored in its own keyring under the name "invocation_id"; not stored if nil or of another length.
    public var invocation: [UInt8]?
    /// The capabilities(7) that the program and its children can ever have; nil: ours.
    public var capabilityBoundingSet: UInt64?
    /// Capabilities that the program has although its user is not root.
    public var ambientCapabilities: UInt64 = 0
    /// The secure bits, SECBIT_… of capabilities(7).
    public var secureBits: Int32 = 0
    public var noNewPrivileges = false
    /// The root directory (chroot(2)), set before the working directory; `optional`: a missing one is no error. nil:
    /// ours.
    public var rootDirectory: WorkingDirectory?
    /// Whether it has a session and process group of its own, so that a signal to the group reaches this service only.
    public var newSession = true
    /// The descriptor of a cgroup v2 directory in which the program starts, -1 for ours (`ProcessTree.spawnCgroup`).
    public var cgroup: Int32 = -1
    /// Whether the child enters the cgroup itself before it executes the program. Since Linux 6.18 a cgroup in which
    /// cgroup.kill was ever written kills every process cloned into it (CLONE_INTO_CGROUP).
    public var joinsCgroup = false
    /// The network namespace that the program lives in (`NetworkNamespace.raw`), -1 for ours.
    public var network: Int32 = -1
    /// The terminal that becomes the controlling one of its session, -1 for none; stays the caller's.
    public var terminal: Int32 = -1
    /// Whether it takes the terminal from another session.
    public var takesTerminal = false

    public init(
        program: String, arguments: [String], environment: [String: String] = [:],
        standardInput: Int32, standardOutput: Int32, standardError: Int32
    ) {
        self.program = program
        self.arguments = arguments
        self.environment = environment
        self.standardInput = standardInput
        self.standardOutput = standardOutput
        self.standardError = standardError
    }
}

/// A program that could not be started: the step, its subject, and the cause. No process is left.
///
/// Its description completes "cannot start app.service: ": `executing /srv/x: No such file or directory`.
public struct SpawnError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The steps in their order.
    public enum Step: Int32, CaseIterable, Sendable {
        case forking = 1
        case cgroup, session, terminal, network, descriptors
        case oomScore, coredumpFilter, nice, cpuScheduling, cpuAffinity, ioScheduling, timerSlack, personality, keyring
        case limits, group, capabilities, ambientCapabilities, rootDirectory, user, workingDirectory, secureBits
        case noNewPrivileges, signals, executing
        /// The child could not execute the program: a signal stopped it, it was frozen, or it waited for a file that
        /// other users control.
        case held

        var text: String {
            switch self {
            case .forking: "creating a process"
            case .cgroup: "entering its control group"
            case .session: "creating a session"
            case .terminal: "taking its terminal"
            case .network: "entering its network namespace"
            case .descriptors: "passing descriptors"
            case .oomScore: "setting OOMScoreAdjust="
            case .coredumpFilter: "setting CoredumpFilter="
            case .nice: "setting Nice="
            case .cpuScheduling: "setting CPUSchedulingPolicy="
            case .cpuAffinity: "setting CPUAffinity="
            case .ioScheduling: "setting IOSchedulingClass="
            case .timerSlack: "setting TimerSlackNSec="
            case .personality: "setting Personality="
            case .keyring: "setting KeyringMode="
            case .limits: "setting"
            case .group: "changing to group"
            case .capabilities: "setting CapabilityBoundingSet="
            case .ambientCapabilities: "setting AmbientCapabilities="
            case .rootDirectory: "changing to root directory"
            case .secureBits: "setting SecureBits="
            case .noNewPrivileges: "setting NoNewPrivileges="
            case .user: "changing to user"
            case .workingDirectory: "changing to directory"
            case .signals: "resetting signals"
            case .executing, .held: "executing"
            }
        }

        /// The exit status that the process would have under systemd (systemd.exec(5), "Process exit codes"); nil if
        /// there is no process yet.
        public var exitStatus: Int32? {
            switch self {
            case .forking, .held: nil
            case .workingDirectory: 200
            case .nice: 201
            case .descriptors: 202
            case .executing: 203
            case .limits, .coredumpFilter: 205
            case .oomScore: 206
            case .signals: 207
            case .terminal: 208
            case .ioScheduling: 211
            case .timerSlack: 212
            case .secureBits: 213
            case .cpuScheduling: 214
            case .cpuAffinity: 215
            case .group: 216
            case .user: 217
            case .capabilities, .ambientCapabilities: 218
            case .cgroup: 219
            case .session: 220
            case .network: 225
            case .rootDirectory: 226
            case .noNewPrivileges: 227
            case .personality: 230
            case .keyring: 237
            }
        }
    }

    public var step: Step
    /// The subject of the step: the program, the directory, the uid, the limit.
    public var subject: String?
    public var cause: SystemError

    init(_ step: Step, _ subject: String?, negated: Int32) {
        self.step = step
        self.subject = subject
        self.cause = SystemError(step.text, subject, negated: negated)
    }

    public var description: String { cause.description }

    public var isTransient: Bool { cause.isTransient }
}

extension SpawnPlan.Limit {
    /// The directive that sets the limit, `LimitNOFILE=`.
    public var directive: String {
        let names = [
            "CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS", "LOCKS", "SIGPENDING",
            "MSGQUEUE", "NICE", "RTPRIO", "RTTIME",
        ]
        return names.indices.contains(Int(resource)) ? "Limit" + names[Int(resource)] + "=" : "limit \(resource)"
    }
}
