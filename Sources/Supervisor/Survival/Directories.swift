import Engine
import Linux
import Logging
import UnitFiles
import UnitStore

/// The directories of this supervisor, the locks that keep other supervisors out of them, and the removal of what is
/// no longer used.
final class Directories {
    private let machine: any Machine
    private let configuration: Configuration
    private let logger: Logger
    private var runtimeLock: (any MachineLock)?
    private var stateLock: (any MachineLock)?
    /// Directories that are being removed.
    private var trash: (any MachineTrash)?

    init(_ machine: any Machine, _ configuration: Configuration, logger: Logger) {
        self.machine = machine
        self.configuration = configuration
        self.logger = logger
    }

    private var files: any FilesPort { machine.files }
    private var runtime: String { configuration.runtimeDirectory }

    /// Directory of the FIFOs through which output is captured.
    var output: String { runtime + "/output" }
    /// Directory of the FIFOs of services without an instance here.
    var unaccountedOutput: String { runtime + "/output.left" }
    var generations: String { runtime + "/generations" }
    private var credentials: String { runtime + "/credentials" }

    func path(of id: GenerationID) -> String {
        "\(generations)/\(UnitNameEscaping.escape(id.group.name))/\(id.number)"
    }

    // MARK: - Locks

    /// Keeps the locks that an earlier program of this process has taken.
    func inheritLocks(_ own: SavedOwn) throws(SystemError) {
        if let raw = own.runtimeLock { runtimeLock = files.inheritLock(try machine.handover.inherit(raw)) }
        if let raw = own.stateLock { stateLock = files.inheritLock(try machine.handover.inherit(raw)) }
    }

    var locks: (runtime: Int32?, state: Int32?) { (runtimeLock?.raw, stateLock?.raw) }

    /// Makes and locks the directories that only this supervisor may use.
    func takeDirectories() throws(SystemError) {
        // The locks precede any change: the FIFOs, sockets and generation directories there may be another
        // supervisor's.
        try files.makeDirectory(runtime)
        if runtimeLock == nil { runtimeLock = try lock(runtime) }
        // 0700: the directory holds copies of unit files, and not every user may read the originals.
        try files.makeDirectory(configuration.stateDirectory, mode: 0o700)
        if stateLock == nil { stateLock = try lock(configuration.stateDirectory) }
    }

    private func lock(_ directory: String) throws(SystemError) -> any MachineLock {
        do throws(SystemError) {
            return try files.lock(directory + "/lock")
        } catch {
            guard error.errno == .wouldBlock else { throw error }
            throw SystemError("another supervisor runs there: lock", directory + "/lock", error.errno)
        }
    }

    // MARK: - Making and removing

    func startTrash() throws(SystemError) {
        trash = try machine.serviceFiles.openTrash(runtime + "/trash") { [unowned self] error in
            logger.warning("\(error); it stays")
        }
    }

    /// - Parameter readers: group that may read captured output.
    func makeDirectories(readers: UInt32?) throws(SystemError) {
        for name in [output, generations, credentials] {
            // FIFOs of services' users are in `output`: other users must not open them by path.
            try files.makeDirectory(name, mode: name == output ? 0o700 : 0o755)
        }
        try machine.logs.makeDirectory(configuration.logDirectory, group: readers)
    }

    /// Removes a directory that may be large or impossible to remove; a failure is only logged.
    func throwAway(_ path: String, withParent: Bool = false) {
        do throws(SystemError) {
            try trash?.throwAway(path, withParent: withParent)
        } catch {
            logger.warning("\(error); it stays")
        }
    }

    /// Removes a directory except for some files in it.
    func throwAway(_ directory: String, keeping paths: [String]) throws(SystemError) {
        try trash?.throwAway(directory, keeping: paths)
    }

    /// Ends the removals, at the end of this process.
    func finish() { trash?.finish() }

    // MARK: - Directories of earlier supervisors

    /// Generations that have a directory.
    func generationsOnDisk() -> [GenerationID] {
        directoriesOfGenerations().compactMap { group, number in
            guard let name = UnitNameEscaping.unescape(group), let number = Int(number) else { return nil }
            return GenerationID(group: GroupID(name), number: number)
        }
    }

    private func directoriesOfGenerations() -> [(group: String, number: String)] {
        var found: [(group: String, number: String)] = []
        for group in (try? files.names(in: generations)) ?? [] {
            for number in (try? files.names(in: "\(generations)/\(group)")) ?? [] { found.append((group, number)) }
        }
        return found
    }

    /// Names of all FIFOs.
    func outputNames() -> [String] {
        [output, unaccountedOutput].flatMap { (try? files.names(in: $0)) ?? [] }
    }

    /// Removes the directories of ended generations and runs.
    /// - Parameters:
    ///   - used: paths of directories that stay.
    ///   - hasInstances: false if no instance may use credentials.
    func removeUnused(besides used: Set<String>, hasInstances: Bool) {
        if !hasInstances {
            for name in (try? files.names(in: credentials)) ?? [] { throwAway("\(credentials)/\(name)") }
        }
        for (group, number) in directoriesOfGenerations() {
            let path = "\(generations)/\(group)/\(number)"
            if !used.contains(path) { throwAway(path) }
        }
    }
}
