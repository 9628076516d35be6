import Glibc
import Linux
import UnitFiles

extension SpecifierEnvironment {
    /// The values of specifiers on this host, for this supervisor. They are the same as in systemd 252, so that a unit
    /// can move between the two.
    public init(_ configuration: Configuration, environment: [String: String]) {
        self.init()
        setUser(configuration, environment)
        #if arch(arm64)
            architecture = "arm64"
        #endif
        machineID = Self.line("/etc/machine-id").flatMap { Self.isID($0) ? $0 : nil }
        bootID = Self.line("/proc/sys/kernel/random/boot_id").map { String($0.filter { $0 != "-" }) }
        kernelRelease = Self.line("/proc/sys/kernel/osrelease")
        hostName = Self.line("/proc/sys/kernel/hostname")
        prettyHostName = Self.fields("/etc/machine-info")?["PRETTY_HOSTNAME"].flatMap { $0.isEmpty ? nil : $0 }
        setRelease(Self.fields("/etc/os-release") ?? Self.fields("/usr/lib/os-release"))
        if let temporary = Self.temporaryDirectory(environment) {
            temporaryDirectory = temporary
            persistentTemporaryDirectory = temporary
        }
        credentialsRoot = configuration.credentialsDirectory
        ownDirectories = Self.ownDirectories(configuration)
        // The system's supervisor keeps /run for %t; for others, %t is the parent of the runtime directory.
        if configuration.runtimeDirectory != Configuration.system.runtimeDirectory {
            runtimeDirectory = FileTree.parent(of: configuration.runtimeDirectory) ?? "/run"
        }
        guard configuration.isUser else { return }
        func directory(_ variable: String, _ fallback: String) -> String {
            guard let value = environment[variable], value.hasPrefix("/") else { return homeDirectory + fallback }
            return value
        }
        configurationDirectory = directory("XDG_CONFIG_HOME", "/.config")
        cacheDirectory = directory("XDG_CACHE_HOME", "/.cache")
        // systemd uses $XDG_STATE_HOME only since version 254.
        stateDirectory = configurationDirectory
        logsDirectory = configurationDirectory + "/log"
    }

    /// The supervisor's directories as configured, and with their symbolic links resolved.
    private static func ownDirectories(_ configuration: Configuration) -> [String] {
        let named =
            [configuration.runtimeDirectory, configuration.stateDirectory, configuration.logDirectory]
            + configuration.unitDirectories
        return named + named.compactMap { UnitDirectory.realPath($0) }.filter { !named.contains($0) }
    }

    /// Sets the user's values. Only a user's supervisor uses its environment; the system's does not depend on its
    /// caller.
    private mutating func setUser(_ configuration: Configuration, _ environment: [String: String]) {
        let user = try? Accounts.user("\(geteuid())")
        userID = geteuid()
        groupID = getegid()
        userName = user?.name ?? "\(geteuid())"
        groupName = Accounts.groupName(getegid()) ?? "\(getegid())"
        func path(_ variable: String) -> String? {
            configuration.isUser ? environment[variable].flatMap { try? Value.absolutePath($0) } : nil
        }
        homeDirectory = path("HOME") ?? user?.home ?? "/"
        shell = path("SHELL") ?? user?.shell ?? "/bin/sh"
    }

    private mutating func setRelease(_ fields: [String: String]?) {
        guard let fields else { return }
        osID = fields["ID"] ?? ""
        osVersionID = fields["VERSION_ID"] ?? ""
        osVariantID = fields["VARIANT_ID"] ?? ""
        osImageVersion = fields["IMAGE_VERSION"] ?? ""
        osBuildID = fields["BUILD_ID"] ?? ""
        osImageID = fields["IMAGE_ID"] ?? ""
    }

    /// The first of the variables listed for %T in systemd.unit(5) that names a directory.
    private static func temporaryDirectory(_ environment: [String: String]) -> String? {
        for name in ["TMPDIR", "TEMP", "TMP"] {
            guard let path = environment[name], path.hasPrefix("/"), !path.split(separator: "/").contains("..") else {
                continue
            }
            var status = stat()
            if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { return path }
        }
        return nil
    }

    /// Whether the text is a machine ID; "uninitialized" is not (machine-id(5)).
    private static func isID(_ text: String) -> Bool {
        text.utf8.count == 32 && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
    }

    /// The fields of os-release(5) or machine-info(5); nil if there is no such file.
    private static func fields(_ path: String) -> [String: String]? {
        guard case .text(let bytes)? = try? UnitDirectory.read(path, checkOwner: false) else { return nil }
        guard let parsed = try? EnvironmentFile.parse(FileText.decode(bytes), path: path) else { return nil }
        return Dictionary(parsed.assignments.map { ($0.name, $0.value) }, uniquingKeysWith: { _, last in last })
    }

    private static func line(_ path: String) -> String? {
        guard let text = try? UnitDirectory.read(path, checkOwner: false), case .text(let bytes) = text else {
            return nil
        }
        return String(validating: bytes, as: UTF8.self)?.split(separator: "\n").first.map(String.init)
    }
}
