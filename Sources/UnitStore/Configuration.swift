import Glibc

// UnitStore: unit files on this host. It implements the seam of `UnitFiles` with system calls, and provides the
// directories of DESIGN section 6 and the values of specifiers. Both the daemon and `holdfastctl verify` read units
// through it, so that both see the same.

/// The directories of a supervisor, and whether it is the system's or a user's.
public struct Configuration: Sendable {
    /// The unit directories, highest precedence first.
    public var unitDirectories: [String]
    /// Control and notify sockets, generation directories; gone after a reboot.
    public var runtimeDirectory: String
    /// History, last releases, and definitions for a rollback.
    public var stateDirectory: String
    /// Captured output of services.
    public var logDirectory: String
    /// Whether the supervisor runs for one user, without privileges.
    public var isUser: Bool
    /// The socket of multibinder's protocol; nil if there is none.
    public var multibinderSocket: String?

    public init(
        unitDirectories: [String], runtimeDirectory: String, stateDirectory: String, logDirectory: String, isUser: Bool
    ) {
        self.unitDirectories = unitDirectories
        self.runtimeDirectory = runtimeDirectory
        self.stateDirectory = stateDirectory
        self.logDirectory = logDirectory
        self.isUser = isUser
    }

    /// The system's supervisor (DESIGN section 6).
    public static let system = Configuration(
        unitDirectories: ["/etc/holdfast/units", "/run/holdfast/units", "/usr/lib/holdfast/units"],
        runtimeDirectory: "/run/holdfast", stateDirectory: "/var/lib/holdfast", logDirectory: "/var/log/holdfast",
        isUser: false)

    /// The supervisor of one user: the XDG counterparts, with the defaults of the XDG base directory specification.
    public static func user(environment: [String: String]) -> Configuration {
        func directory(_ variable: String, or fallback: String) -> String {
            // The specification requires that a relative path is ignored.
            guard let value = environment[variable], value.hasPrefix("/") else { return fallback }
            return value
        }
        let home = environment["HOME"] ?? "/"
        let runtime = directory("XDG_RUNTIME_DIR", or: "/run/user/\(getuid())")
        let state = directory("XDG_STATE_HOME", or: home + "/.local/state")
        return Configuration(
            unitDirectories: [
                directory("XDG_CONFIG_HOME", or: home + "/.config") + "/holdfast/units",
                runtime + "/holdfast/units",
                directory("XDG_DATA_HOME", or: home + "/.local/share") + "/holdfast/units",
                "/usr/lib/holdfast/user-units",
            ],
            runtimeDirectory: runtime + "/holdfast", stateDirectory: state + "/holdfast",
            logDirectory: state + "/holdfast/log", isUser: true)
    }

    /// The unit directory that does not survive a reboot; nil if the search path has none.
    public var runtimeUnitDirectory: String? {
        let path = runtimeDirectory + "/units"
        return unitDirectories.contains(path) ? path : nil
    }

    public var controlSocket: String { runtimeDirectory + "/io.holdfast" }
    public var notifySocket: String { runtimeDirectory + "/notify" }
    /// The directory of credentials, with a directory for each service.
    public var credentialsDirectory: String { runtimeDirectory + "/credentials" }
}
