import Glibc

// UnitStore: unit files where they are on this host. The seam of `UnitFiles` filled with system calls, the directories of
// DESIGN section 6, and the specifiers' values. Both the daemon and `holdfastctl verify` read units through it, so that
// both see the same.

/// Where a supervisor reads and writes, and for whom it runs.
public struct Configuration: Sendable {
    /// Highest precedence first.
    public var unitDirectories: [String]
    /// Control and notify sockets, generation directories; gone after a reboot.
    public var runtimeDirectory: String
    /// History, release memory and definitions to roll back to.
    public var stateDirectory: String
    /// Captured output of services.
    public var logDirectory: String
    /// Runs for one user, without privileges.
    public var isUser: Bool
    /// Where multibinder's protocol is spoken; nil: nowhere.
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
            // The specification: a relative path is to be ignored.
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

    /// The unit directory that is gone after a reboot; nil if the search path has none.
    public var runtimeUnitDirectory: String? {
        let path = runtimeDirectory + "/units"
        return unitDirectories.contains(path) ? path : nil
    }

    public var controlSocket: String { runtimeDirectory + "/io.holdfast" }
    public var notifySocket: String { runtimeDirectory + "/notify" }
    /// Where services find their credentials, each in a directory of its name.
    public var credentialsDirectory: String { runtimeDirectory + "/credentials" }
}
