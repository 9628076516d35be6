import Linux
import UnitFiles

/// `RuntimeDirectory=`, `StateDirectory=` and the like.
extension Launcher {
    /// Absolute path of a directory of that kind.
    func path(_ relative: String, _ kind: DirectoryKind) -> String { root(kind) + "/" + relative }

    private func root(_ kind: DirectoryKind) -> String { specifiers.root(of: kind) }

    /// Makes all directories with mode and owner, and the links to them.
    /// - Parameters:
    ///   - spared: files in the directories that keep their owner.
    func makeDirectories(
        of execution: ExecutionSettings, for credentials: Credentials?, sparing spared: Set<FileID>
    ) throws(LaunchError) {
        try makeDirectories(of: execution) { path, mode, keepsExisting throws(SystemError) in
            try machine.serviceFiles.makeDirectory(
                path, mode: mode, owner: owner(credentials), keepsExisting: keepsExisting, sparing: spared)
        }
    }

    /// The same for however long a change of owner takes.
    func makeDirectoriesAtOnce(
        of execution: ExecutionSettings, for credentials: Credentials?
    ) throws(LaunchError) {
        try makeDirectories(of: execution) { path, mode, keepsExisting throws(SystemError) in
            try machine.serviceFiles.makeDirectoryAtOnce(
                path, mode: mode, owner: owner(credentials), keepsExisting: keepsExisting)
        }
    }

    private func makeDirectories(
        of execution: ExecutionSettings, by make: (String, UInt16, Bool) throws(SystemError) -> Void
    ) throws(LaunchError) {
        for kind in DirectoryKind.allCases {
            guard let directories = execution.directories[kind], !directories.entries.isEmpty else { continue }
            do throws(SystemError) {
                // Parents first, as in systemd: a change of a parent's owner includes the directories below.
                for relative in directories.paths.sorted() {
                    try make(path(relative, kind), directories.mode, kind == .configuration)
                }
                for entry in directories.entries {
                    guard let link = entry.link else { continue }
                    try machine.serviceFiles.link(link, to: entry.path, in: root(kind))
                }
            } catch {
                throw LaunchError(
                    text: "setting \(kind.rawValue)=: \(error)", status: kind.exitStatus,
                    isTransient: error.isTransient, isUnfinished: error.errno == .nowInProgress)
            }
        }
    }

    /// Owner for directories; nil for a `--user` supervisor, which cannot change owners.
    private func owner(_ credentials: Credentials?) -> (uid: UInt32, gid: UInt32)? {
        configuration.isUser ? nil : (credentials?.uid ?? 0, credentials?.gid ?? 0)
    }

    /// Runtime directories that are removed when the service stops.
    func runtimeDirectories(of execution: ExecutionSettings) -> Set<String> {
        Set(execution.directories[.runtime]?.paths.map { path($0, .runtime) } ?? [])
    }

    /// Removes the links to all runtime directories except `used`, and returns the directories to remove.
    func unlinkRuntimeDirectories(
        of execution: ExecutionSettings, exceptThose used: Set<String>
    ) throws(SystemError) -> [String] {
        var removed: [String] = []
        for entry in execution.directories[.runtime]?.entries ?? [] {
            let directory = path(entry.path, .runtime)
            if used.contains(directory) { continue }
            if let link = entry.link { try machine.serviceFiles.unlink(link, to: entry.path, in: root(.runtime)) }
            removed.append(directory)
        }
        return removed
    }
}

extension DirectoryKind {
    /// Exit status by systemd.exec(5), "Process exit codes".
    fileprivate var exitStatus: Int32 {
        switch self {
        case .runtime: 233
        case .state: 238
        case .cache: 239
        case .logs: 240
        case .configuration: 241
        }
    }
}
