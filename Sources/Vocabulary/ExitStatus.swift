/// The end of a process, as wait(2) reports it.
public enum ExitStatus: Hashable, Sendable, Codable, CustomStringConvertible {
    case exited(Int32)
    case signalled(Signal, coreDumped: Bool)
    /// The process has ended and was not our child: before Linux 6.15 only the parent learns the status.
    case unknown

    /// Whether the exit code is 0.
    public var isSuccess: Bool { self == .exited(0) }

    /// `exited with status 1`, `exited with status 203/EXEC`, `killed by SIGKILL`, `killed by SIGSEGV (core dumped)`.
    public var description: String {
        switch self {
        case .exited(let code):
            // Below 200 the names of LSB and sysexits(3) mislead: ordinary programs give these codes other meanings.
            guard code >= 200, let name = Self.name(ofCode: code) else { return "exited with status \(code)" }
            return "exited with status \(code)/\(name)"
        case .signalled(let signal, let coreDumped):
            let name = signal.shortName == nil ? "signal \(signal.rawValue)" : "\(signal)"
            return "killed by \(name)\(coreDumped ? " (core dumped)" : "")"
        case .unknown:
            return "ended with a status that is not known"
        }
    }
}

/// A set of exit codes and signals, as in `SuccessExitStatus=`.
public struct ExitStatusSet: Hashable, Sendable, Codable {
    public var codes: Set<Int32>
    public var signals: Set<Signal>

    public init(codes: Set<Int32> = [], signals: Set<Signal> = []) {
        self.codes = codes
        self.signals = signals
    }

    public var isEmpty: Bool { codes.isEmpty && signals.isEmpty }

    public func contains(_ status: ExitStatus) -> Bool {
        switch status {
        case .exited(let code): codes.contains(code)
        case .signalled(let signal, _): signals.contains(signal)
        case .unknown: false
        }
    }
}

/// Names of exit codes: libc's, LSB's, the service manager's, BSD's (systemd.exec(5), "Process exit codes";
/// `systemd-analyze exit-status`).
extension ExitStatus {
    /// The name of an exit code: 75 is `TEMPFAIL`.
    public static func name(ofCode code: Int32) -> String? { names[code] }

    /// The exit code of a name: `TEMPFAIL` is 75.
    public static func code(named name: String) -> Int32? { codes[name] }

    private static let codes = Dictionary(uniqueKeysWithValues: names.map { ($1, $0) })

    private static let names: [Int32: String] = [
        0: "SUCCESS", 1: "FAILURE",
        2: "INVALIDARGUMENT", 3: "NOTIMPLEMENTED", 4: "NOPERMISSION", 5: "NOTINSTALLED", 6: "NOTCONFIGURED",
        7: "NOTRUNNING",
        64: "USAGE", 65: "DATAERR", 66: "NOINPUT", 67: "NOUSER", 68: "NOHOST", 69: "UNAVAILABLE", 70: "SOFTWARE",
        71: "OSERR", 72: "OSFILE", 73: "CANTCREAT", 74: "IOERR", 75: "TEMPFAIL", 76: "PROTOCOL", 77: "NOPERM",
        78: "CONFIG",
        200: "CHDIR", 201: "NICE", 202: "FDS", 203: "EXEC", 204: "MEMORY", 205: "LIMITS", 206: "OOM_ADJUST",
        207: "SIGNAL_MASK", 208: "STDIN", 209: "STDOUT", 210: "CHROOT", 211: "IOPRIO", 212: "TIMERSLACK",
        213: "SECUREBITS", 214: "SETSCHEDULER", 215: "CPUAFFINITY", 216: "GROUP", 217: "USER", 218: "CAPABILITIES",
        219: "CGROUP", 220: "SETSID", 221: "CONFIRM", 222: "STDERR", 224: "PAM", 225: "NETWORK", 226: "NAMESPACE",
        227: "NO_NEW_PRIVILEGES", 228: "SECCOMP", 229: "SELINUX_CONTEXT", 230: "PERSONALITY", 231: "APPARMOR",
        232: "ADDRESS_FAMILIES", 233: "RUNTIME_DIRECTORY", 235: "CHOWN", 236: "SMACK_PROCESS_LABEL", 237: "KEYRING",
        238: "STATE_DIRECTORY", 239: "CACHE_DIRECTORY", 240: "LOGS_DIRECTORY", 241: "CONFIGURATION_DIRECTORY",
        242: "NUMA_POLICY", 243: "CREDENTIALS", 244: "BPF", 255: "EXCEPTION",
    ]
}
