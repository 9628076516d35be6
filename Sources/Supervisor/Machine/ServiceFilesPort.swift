import Linux

/// Files and directories that the start of a service needs.
protocol ServiceFilesPort: AnyObject {
    /// Makes a directory of a service and its parents, and sets its mode and owner, also if it exists.
    ///
    /// A change of owner that takes longer than a round of the loop is EINPROGRESS: call again.
    /// - Parameter keepsExisting: an existing directory stays unchanged.
    func makeDirectory(
        _ path: String, mode: UInt16, owner: ServiceDirectory.Owner?, keepsExisting: Bool, sparing: Set<FileID>
    ) throws(SystemError)
    /// The same, but for as long as it takes.
    func makeDirectoryAtOnce(
        _ path: String, mode: UInt16, owner: ServiceDirectory.Owner?, keepsExisting: Bool
    ) throws(SystemError)
    /// Drops unfinished changes of owner.
    func forgetOwnerChanges()
    func link(_ path: String, to target: String, in root: String) throws(SystemError)
    func unlink(_ path: String, to target: String, in root: String) throws(SystemError)

    /// Reads the credential at a path, or all in a directory.
    func readCredentials(
        _ path: String, as name: String, limit: Int
    ) throws(SystemError) -> [CredentialFiles.Entry]
    /// Replaces the directory by one with exactly these entries; returns the path of the replaced one.
    func writeCredentials(
        _ entries: [CredentialFiles.Entry], to path: String, owner: ServiceDirectory.Owner?
    ) throws(SystemError) -> String?
    /// Makes a directory of credentials removable.
    func releaseCredentials(_ path: String)

    /// Opens a file of `OpenFile=`.
    func openPassed(_ path: String, name: String, _ access: PassedFile.Access) throws(SystemError) -> PassedFile
    /// Opens a template for the renderer, which is root. At a path that a service's user controls, it must be a file that
    /// this user may read, too.
    func openTemplate(_ path: String) throws(SystemError) -> OwnedDescriptor
    /// Opens a file for a standard stream.
    func open(_ target: OutputTarget, stream: Int32) throws(SystemError) -> OwnedDescriptor
    /// Opens a file for standard input and output.
    func openBothWays(_ path: String) throws(SystemError) -> OwnedDescriptor

    func openTerminal(_ path: String, _ flags: Int32) throws(SystemError) -> OwnedDescriptor
    func give(_ terminal: borrowing OwnedDescriptor, _ path: String, to uid: UInt32) throws(SystemError)
    func prepareTerminal(_ path: String, _ preparation: Terminal.Preparation) throws(SystemError)
    /// Value of `TERM` for a terminal.
    func terminalType(of path: String) -> String

    /// - Parameter user: the uid of the service, whose files count beside those of root.
    func readPidFile(_ path: String, user: UInt32) throws(SystemError) -> PidFile.Content
    func removePidFile(_ path: String) throws(SystemError)

    /// Opens the directory of what is being removed. Failures later on are passed to `failed`.
    func openTrash(
        _ path: String, failed: @escaping (SystemError) -> Void
    ) throws(SystemError) -> any MachineTrash

    /// Reports names that appear at awaited paths.
    func watchPaths() throws(SystemError) -> any MachinePathWatcher

    /// Whether there is a file at the path.
    func isThere(_ path: String) -> Bool
    /// The files that a pattern of `EnvironmentFile=` matches.
    func matches(of pattern: String) throws(SystemError) -> [String]
}

/// Directories that are removed piece by piece, because they may be large or impossible to remove.
protocol MachineTrash: AnyObject {
    /// - Parameter withParent: whether the parent directory is removed, too, if it is empty then.
    func throwAway(_ path: String, withParent: Bool) throws(SystemError)
    /// - Parameter held: paths that stay.
    func throwAway(_ path: String, keeping held: [String]) throws(SystemError)
    /// Removes the rest at the end of the supervisor.
    func finish()
}

protocol MachinePathWatcher: AnyObject {
    /// Calls `changed` whenever the file at the path may have appeared or changed.
    func watch(_ path: String, _ changed: @escaping () -> Void)
    func unwatch(_ path: String)
}
