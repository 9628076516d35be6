import Engine
import Glibc
import Linux
import Logging
import UnitFiles

/// Interface of the supervisor to the desk of main processes.
protocol MainProcessesHost: EventHost {
    func controlToken(of instance: InstanceID) -> Token?
    func newToken(for instance: InstanceID) -> Token
    func record(_ process: RunningProcess)
    /// Uid that the processes of a unit have.
    func user(of execution: ExecutionSettings) -> UInt32
}

/// Main processes that the supervisor did not execute itself: daemons that fork.
final class MainProcessDesk {
    /// Main processes of one service that are watched at the same time. Each costs a descriptor until it ends: a
    /// service that names one process after another as its main one would use them all up.
    private static let maximumWatched = 32

    private unowned let host: any MainProcessesHost
    private let machine: any Machine
    private let instances: Instances
    private let processes: ProcessDesk
    private let pidFiles: PidFiles

    init(_ machine: any Machine, _ instances: Instances, _ processes: ProcessDesk, host: any MainProcessesHost) {
        self.machine = machine
        self.instances = instances
        self.processes = processes
        self.host = host
        pidFiles = PidFiles(machine)
    }

    /// Seeks the main process by its PID file, else as the only candidate in the tree.
    func seek(_ token: Token, of id: InstanceID) {
        guard let instance = instances[id] else { return host.handle(.mainSought(token, .absent)) }
        let settings = instance.definition.unit.lifecycle
        guard let path = settings.pidFile else {
            return host.handle(.mainSought(token, settings.guessesMainPid ? guessMain(of: instance) : .absent))
        }
        var finding = readPidFile(path, of: instance)
        if case .nothing = finding {
            pidFiles.expect(path, for: token) { [unowned self] in checkPidFile(path, token, id) }
            // The file may have appeared between the read and the watch.
            finding = readPidFile(path, of: instance)
        }
        if case .nothing = finding { host.handle(.mainSought(token, .later)) }
        report(finding, of: path, token)
    }

    func cancelSearch(_ token: Token) { pidFiles.forget(token) }

    private func checkPidFile(_ path: String, _ token: Token, _ id: InstanceID) {
        guard let instance = instances[id] else { return pidFiles.forget(token) }
        report(readPidFile(path, of: instance), of: path, token)
    }

    private func report(_ finding: PidFileFinding, of path: String, _ token: Token) {
        switch finding {
        case .answer(let answer):
            pidFiles.forget(token)
            host.handle(.mainSought(token, answer))
        case .nothing(let text): host.handle(.searchNoted(token, SearchNote(pidFile: path, finding: text)))
        }
    }

    private enum PidFileFinding {
        case answer(MainSearch)
        /// Finding about the PID file in place of a main process.
        case nothing(String)
    }

    /// The process that the file names, if it belongs to the service: the file may be outdated, or name any process.
    private func readPidFile(_ path: String, of instance: RunningInstance) -> PidFileFinding {
        let pid: Int32
        do throws(SystemError) {
            let user = host.user(of: instance.definition.unit.execution)
            switch try machine.serviceFiles.readPidFile(path, user: user) {
            case .missing: return .nothing("it does not exist")
            case .noNumber: return .nothing("it holds no number")
            case .process(let number): pid = number
            }
        } catch {
            return .nothing("\(error)")
        }
        if processes.main(of: instance.id)?.pid == pid { return .answer(.absent) }
        do throws(SystemError) {
            guard let process = try processes.member(pid, of: instance) else {
                return .nothing("it names \(whyNoMember(pid))")
            }
            return .answer(watch(process, asMainOf: instance).map { .found($0) } ?? .absent)
        } catch {
            return .nothing("it names \(pid): \(error)")
        }
    }

    private func whyNoMember(_ pid: Int32) -> String {
        guard let facts = machine.processes.facts(of: pid), !facts.isDead else { return "\(pid), which does not run" }
        let name = machine.processes.commandName(of: pid).map { " (\($0))" } ?? ""
        return "\(pid)\(name), which is no process of this service"
    }

    /// The only process of the tree whose parent is outside of it: the executed process has ended, so its daemon is the
    /// supervisor's child by now, or an earlier supervisor's. Among several no main process can be chosen.
    private func guessMain(of instance: RunningInstance) -> MainSearch {
        let members = Set(instance.tree?.members() ?? [])
        let tops = members.filter { pid in
            machine.processes.facts(of: pid).map { !members.contains($0.parent) } ?? false
        }
        guard let pid = tops.first, tops.count == 1, let process = try? processes.member(pid, of: instance) else {
            return .absent
        }
        return watch(process, asMainOf: instance).map { .found($0) } ?? .absent
    }

    /// Watches a process as the main one; its end becomes the event `exited` of the token. nil if it cannot be the main
    /// process.
    func watch(_ process: any MachineProcess, asMainOf instance: RunningInstance) -> Token? {
        let pid = process.pid
        // Already watched as an earlier main process: a second watch would only report its end twice.
        if let known = processes.process(of: pid), known.instance == instance.id {
            return host.controlToken(of: instance.id) == known.token || !known.isKept ? nil : known.token
        }
        guard instance.run.map({ $0.watch.processes.count < Self.maximumWatched }) ?? true else {
            host.log(
                .warning, about: instance.name,
                "\(instance.name): \(Self.maximumWatched) former main processes are alive; ignored process \(pid)")
            return nil
        }
        let token = host.newToken(for: instance.id)
        do throws(SystemError) {
            try processes.take(process, as: token, of: instance.id)
        } catch {
            host.log(
                .error, about: instance.name, "\(instance.name): cannot watch its main process \(pid): \(error)")
            return nil
        }
        if let running = processes[token] { host.record(running) }
        return token
    }

    /// Removes the PID file of a service that has ended, unless another generation uses the same file.
    func removePidFile(of instance: RunningInstance) {
        guard let path = instance.definition.unit.lifecycle.pidFile,
            !instances.values.contains(where: { $0.definition.unit.lifecycle.pidFile == path })
        else { return }
        do throws(SystemError) {
            try machine.serviceFiles.removePidFile(path)
        } catch {
            host.log(.warning, about: instance.name, "\(instance.name): cannot remove PIDFile=: \(error)")
        }
    }
}
