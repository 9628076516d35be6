import CSpawn
import Glibc

/// Everything that is decided about a program before it is started. A value: building it starts nothing.
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

    /// Where the program starts. `optional`: that it does not exist is no error (`WorkingDirectory=-/x`).
    public struct WorkingDirectory: Equatable, Sendable {
        public var path: String
        public var optional: Bool
        public init(path: String, optional: Bool = false) {
            self.path = path
            self.optional = optional
        }
    }

    /// The file to execute, absolute: `ProgramSearch` finds a name without a slash.
    public var program: String
    /// argv, the zeroth included.
    public var arguments: [String]
    /// Nothing of our own environment is passed on.
    public var environment: [String: String]
    /// Variables whose value is the pid of the program, known only after the fork: `LISTEN_PID`. At most 8.
    public var pidVariables: [String] = []
    /// Standard input, output, error. Like `descriptors` these stay the caller's and must be open until `spawn` returns.
    public var standardInput: Int32
    public var standardOutput: Int32
    public var standardError: Int32
    /// Become 3, 4, 5, … in this order; numbers may repeat and may collide with targets. At most 1000.
    public var descriptors: [Int32] = []
    /// nil: ours.
    public var workingDirectory: WorkingDirectory?
    /// nil: ours.
    public var credentials: Credentials?
    /// nil: ours.
    public var umask: UInt32?
    public var limits: [Limit] = []
    /// -20…19; nil: ours.
    public var nice: Int32?
    /// -1000…1000; nil: ours.
    public var oomScoreAdjust: Int32?
    /// A session and process group of its own, so that a signal to the group reaches this service only.
    public var newSession = true
    /// The descriptor of a cgroup v2 directory in which the program starts, -1 for ours (`ProcessTree.spawnCgroup`).
    public var cgroup: Int32 = -1

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

/// A program that could not be started: at which step, on what, why. No process is left of it.
///
/// Its description completes "cannot start app.service: ": `executing /srv/x: No such file or directory`.
public struct SpawnError: Error, Equatable, Sendable, CustomStringConvertible {
    /// In the order in which they are taken.
    public enum Step: Int32, CaseIterable, Sendable {
        case forking = 1
        case cgroup, session, descriptors, oomScore, nice, limits, group, user, workingDirectory, signals, executing

        var text: String {
            switch self {
            case .forking: "creating a process"
            case .cgroup: "entering its control group"
            case .session: "creating a session"
            case .descriptors: "passing descriptors"
            case .oomScore: "setting the OOM score to"
            case .nice: "setting the nice level to"
            case .limits: "setting limit"
            case .group: "changing to group"
            case .user: "changing to user"
            case .workingDirectory: "changing to directory"
            case .signals: "resetting signals"
            case .executing: "executing"
            }
        }
    }

    public var step: Step
    /// What the step was about: the program, the directory, the uid, the limit.
    public var subject: String?
    public var cause: SystemError

    init(_ step: Step, _ subject: String?, negated: Int32) {
        self.step = step
        self.subject = subject
        self.cause = SystemError(step.text, subject, negated: negated)
    }

    public var description: String { cause.description }
}

extension SpawnPlan.Limit {
    /// The name in setrlimit(2), `RLIMIT_NOFILE`.
    public var name: String {
        let names = [
            "CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS", "LOCKS", "SIGPENDING",
            "MSGQUEUE", "NICE", "RTPRIO", "RTTIME",
        ]
        return names.indices.contains(Int(resource)) ? "RLIMIT_" + names[Int(resource)] : "\(resource)"
    }
}
