import Linux

/// The directories of this supervisor, and the locks that keep other supervisors out of them.
extension Supervisor {
    func inheritLocks(_ own: SavedOwn) throws(SystemError) {
        if let raw = own.runtimeLock { runtimeLock = DirectoryLock(inherited: try OwnedDescriptor.inherited(raw)) }
        if let raw = own.stateLock { stateLock = DirectoryLock(inherited: try OwnedDescriptor.inherited(raw)) }
    }

    var runtimeLockDescriptor: Int32? { descriptor(of: runtimeLock) }
    var stateLockDescriptor: Int32? { descriptor(of: stateLock) }

    private func descriptor(of lock: borrowing DirectoryLock?) -> Int32? {
        switch lock {
        case .some(let lock): lock.raw
        case .none: nil
        }
    }

    func takeDirectories() throws(SystemError) {
        // The locks precede any change: the FIFOs, sockets and generation directories there may be another
        // supervisor's.
        try FileTree.makeDirectory(configuration.runtimeDirectory)
        if runtimeLockDescriptor == nil { runtimeLock = try lock(configuration.runtimeDirectory) }
        // 0700: the directory holds copies of unit files, and not every user may read the originals.
        try FileTree.makeDirectory(configuration.stateDirectory, mode: 0o700)
        if stateLockDescriptor == nil { stateLock = try lock(configuration.stateDirectory) }
    }

    /// - Parameter anew: this process takes over no state of an earlier one.
    func makeDirectories(anew: Bool) throws(SystemError) {
        try takeTrash()
        // Except for the FIFOs of services that still run without an instance here.
        if anew { leaveOutput() }
        // Directories of generations and credentials may still be in use: `tellStrangers` examines them later.
        if anew { throwAway(configuration.runtimeDirectory + "/output") }
        for name in ["output", "generations", "credentials"] {
            // FIFOs of services' users are in `output`: other users must not open them by path.
            try FileTree.makeDirectory(
                configuration.runtimeDirectory + "/" + name, mode: name == "output" ? 0o700 : 0o755)
        }
        try LogFile.makeDirectory(configuration.logDirectory, group: readers)
    }

    private func takeTrash() throws(SystemError) {
        trash = try Trash(loop: eventLoop, path: configuration.runtimeDirectory + "/trash")
        trash?.failed = { [unowned self] error in logger.warning("\(error); it stays") }
    }

    /// Removes a directory that may be large or impossible to remove; a failure is only logged.
    func throwAway(_ path: String, withParent: Bool = false) {
        do throws(SystemError) {
            try trash?.throwAway(path, withParent: withParent)
        } catch {
            logger.warning("\(error); it stays")
        }
    }

    private func lock(_ directory: String) throws(SystemError) -> DirectoryLock {
        do throws(SystemError) {
            return try DirectoryLock(path: directory + "/lock")
        } catch {
            guard error.errno == .wouldBlock else { throw error }
            throw SystemError("another supervisor runs there: lock", directory + "/lock", error.errno)
        }
    }
}
