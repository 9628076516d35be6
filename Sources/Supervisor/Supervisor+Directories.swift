import Linux

/// The directories that a supervisor works in, and the locks by which they are its own.
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
        // Before anything is touched: another supervisor's FIFOs, sockets and generation directories are there.
        try FileTree.makeDirectory(configuration.runtimeDirectory)
        if runtimeLockDescriptor == nil { runtimeLock = try lock(configuration.runtimeDirectory) }
        // Holds copies of unit files, whoever may read the originals.
        try FileTree.makeDirectory(configuration.stateDirectory, mode: 0o700)
        if stateLockDescriptor == nil { stateLock = try lock(configuration.stateDirectory) }
    }

    /// - Parameter anew: nothing of an earlier process is gone on with.
    func makeDirectories(anew: Bool) throws(SystemError) {
        try takeTrash()
        // But for what services print that go on unwatched.
        if anew { leaveOutput() }
        // Directories of generations and credentials may still be in use: `tellStrangers` looks.
        if anew { throwAway(configuration.runtimeDirectory + "/output") }
        for name in ["output", "generations", "credentials"] {
            // FIFOs that belong to users of services are there: nobody else is to open them by their path.
            try FileTree.makeDirectory(
                configuration.runtimeDirectory + "/" + name, mode: name == "output" ? 0o700 : 0o755)
        }
        try LogFile.makeDirectory(configuration.logDirectory, group: readers)
    }

    private func takeTrash() throws(SystemError) {
        trash = try Trash(loop: loop, path: configuration.runtimeDirectory + "/trash")
        trash?.failed = { [unowned self] error in logger.warning("\(error); it stays") }
    }

    /// Removes something that may be large, or that cannot be removed: neither is a reason not to go on.
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
