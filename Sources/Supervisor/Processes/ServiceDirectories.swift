import Linux
import UnitFiles

/// Interface of the supervisor to the desk of directories.
protocol ServiceDirectoriesHost: EventHost {
    /// Files of held sockets: their owners stay as they are.
    var heldFiles: Set<FileID> { get }
    /// Paths of held sockets, which stay in directories that are removed.
    var heldPaths: [String] { get }
    /// Removes a directory that may be large or impossible to remove; a failure is only logged.
    func throwAway(_ path: String)
    func throwAway(_ path: String, keeping held: [String]) throws(SystemError)
}

/// Directories of services that go with a run: `RuntimeDirectory=` and credentials.
final class ServiceDirectories {
    private unowned let host: any ServiceDirectoriesHost
    private let machine: any Machine
    private let launcher: Launcher
    private let instances: Instances

    init(_ machine: any Machine, _ launcher: Launcher, _ instances: Instances, host: any ServiceDirectoriesHost) {
        self.machine = machine
        self.launcher = launcher
        self.instances = instances
        self.host = host
    }

    /// Files of held sockets below the directories of a service: their owners stay as they are.
    func sparedFiles(_ execution: ExecutionSettings) -> Set<FileID> {
        execution.directories.isEmpty ? [] : host.heldFiles
    }

    /// Removes the runtime directories of an instance that no other instance uses: generations share them.
    func removeRuntimeDirectories(of instance: RunningInstance) {
        let execution = instance.definition.unit.execution
        guard execution.directories[.runtime]?.entries.isEmpty == false, execution.runtimeDirectoryPreserve != .yes
        else { return }
        let used = instances.values.filter { $0 !== instance }.reduce(into: Set<String>()) { used, other in
            used.formUnion(launcher.runtimeDirectories(of: other.definition.unit.execution))
        }
        let held = host.heldPaths
        do throws(SystemError) {
            for directory in try launcher.unlinkRuntimeDirectories(of: execution, exceptThose: used) {
                try host.throwAway(directory, keeping: held)
            }
        } catch {
            host.log(.warning, about: instance.name, "\(instance.name): cannot remove RuntimeDirectory=: \(error)")
        }
    }

    /// Makes the credentials of a run, in place of the ones of an earlier run.
    func makeCredentials(of instance: RunningInstance) throws(LaunchError) {
        if let old = try launcher.makeCredentials(of: instance.definition.unit) { throwAwayCredentials(old) }
    }

    /// Removes the credentials together with the last instance of the unit.
    func removeCredentials(of instance: RunningInstance) {
        let unit = instance.definition.unit
        guard let directory = launcher.credentialsDirectory(of: unit),
            !instances.values.contains(where: { $0.definition.unit.name == unit.name })
        else { return }
        throwAwayCredentials(directory)
    }

    /// Throws the directory away piece by piece, because the service may have filled it.
    private func throwAwayCredentials(_ directory: String) {
        machine.serviceFiles.releaseCredentials(directory)
        host.throwAway(directory)
    }
}
