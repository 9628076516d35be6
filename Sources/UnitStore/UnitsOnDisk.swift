import Glibc
import Linux
import UnitFiles

/// The seam of `UnitFiles`, with system calls behind it.
public struct UnitsOnDisk: UnitFileSource {
    public init() {}

    public func entries(of directory: String) -> [String] { (try? UnitDirectory.list(directory)) ?? [] }

    public func links(of directory: String) -> [String: String] { UnitDirectory.links(directory) }

    public func read(_ path: String) throws(UnitFileReadError) -> String {
        try read(path, checkOwner: true)
    }

    /// A file that a unit names (`EnvironmentFile=`): whoever wrote the unit has chosen it, whoever may write to it.
    public func readNamed(_ path: String) throws(UnitFileReadError) -> String {
        try read(path, checkOwner: false)
    }

    private func read(_ path: String, checkOwner: Bool) throws(UnitFileReadError) -> String {
        let content: UnitDirectory.Content
        do throws(UnitDirectory.ReadError) {
            content = try UnitDirectory.read(path, checkOwner: checkOwner)
        } catch {
            throw UnitFileReadError(error)
        }
        switch content {
        case .masked: throw .masked
        case .text(let bytes): return FileText.decode(bytes)
        }
    }
}

extension UnitFileReadError {
    fileprivate init(_ error: UnitDirectory.ReadError) {
        switch error {
        case .insecure: self = .insecure("\(error)")
        case .tooLarge(path: _, let limit): self = .tooLarge(limit + 1)
        case .notAFile: self = .unreadable("not a regular file")
        case .system(let error):
            self = error.errno == .noSuchFileOrDirectory ? .missing : .unreadable(error.errno.text)
        }
    }
}

extension SpecifierEnvironment {
    /// What specifiers expand to on this host, for this supervisor.
    public init(_ configuration: Configuration, environment: [String: String]) {
        self.init()
        let user = try? Accounts.user("\(geteuid())")
        userID = geteuid()
        groupID = getegid()
        userName = user?.name ?? "\(geteuid())"
        groupName = userName
        homeDirectory = user?.home ?? environment["HOME"] ?? "/"
        shell = user?.shell ?? "/bin/sh"
        #if arch(arm64)
            architecture = "arm64"
        #endif
        machineID = Self.line("/etc/machine-id")
        bootID = Self.line("/proc/sys/kernel/random/boot_id").map { String($0.filter { $0 != "-" }) }
        kernelRelease = Self.line("/proc/sys/kernel/osrelease")
        hostName = Self.line("/proc/sys/kernel/hostname")
        prettyHostName = hostName
        if let temporary = environment["TMPDIR"], temporary.hasPrefix("/") { temporaryDirectory = temporary }
        credentialsRoot = configuration.credentialsDirectory
        // %t and its siblings are what systemd has there, so that a unit can move between the two. In the system's
        // supervisor /run/holdfast is below /run; that of a user, or of a test, is wherever its runtime directory is.
        if configuration.runtimeDirectory != Configuration.system.runtimeDirectory {
            runtimeDirectory = FileTree.parent(of: configuration.runtimeDirectory) ?? "/run"
        }
        guard configuration.isUser else { return }
        func directory(_ variable: String, _ fallback: String) -> String {
            guard let value = environment[variable], value.hasPrefix("/") else { return homeDirectory + fallback }
            return value
        }
        configurationDirectory = directory("XDG_CONFIG_HOME", "/.config")
        stateDirectory = directory("XDG_STATE_HOME", "/.local/state")
        cacheDirectory = directory("XDG_CACHE_HOME", "/.cache")
        logsDirectory = stateDirectory + "/log"
    }

    private static func line(_ path: String) -> String? {
        guard let text = try? UnitDirectory.read(path, checkOwner: false), case .text(let bytes) = text else {
            return nil
        }
        return String(validating: bytes, as: UTF8.self)?.split(separator: "\n").first.map(String.init)
    }
}
