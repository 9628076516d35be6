import Engine
import Glibc
import Linux
import UnitFiles

/// Main processes, including those that the supervisor did not execute itself: daemons that fork.
extension Supervisor {
    /// The main process, if it lives. The engine alone knows which one it is: a second record could differ.
    func mainProcess(of id: InstanceID) -> RunningProcess? { engine.mainProcess(of: id).flatMap { processes[$0] } }

    /// Seeks the main process by its PID file, else as the only candidate in the tree.
    func seekMain(_ token: Token, _ id: InstanceID) {
        guard let instance = instances[id] else { return handle(.mainSought(token, .absent)) }
        let settings = instance.definition.unit.lifecycle
        guard let path = settings.pidFile else {
            return handle(.mainSought(token, settings.guessesMainPid ? guessMain(instance) : .absent))
        }
        var look = readPidFile(path, instance)
        if case .nothing = look {
            pidFiles.expect(path, for: token, pidFileLook(path, token, id))
            // The file may have appeared between the read and the watch.
            look = readPidFile(path, instance)
        }
        switch look {
        case .answer(let answer):
            pidFiles.forget(token)
            handle(.mainSought(token, answer))
        case .nothing(let finding):
            handle(.mainSought(token, .later))
            handle(.searchNoted(token, SearchNote(pidFile: path, finding: finding)))
        }
    }

    private func pidFileLook(_ path: String, _ token: Token, _ id: InstanceID) -> () -> Void {
        { [unowned self] in lookAtPidFile(path, token, id) }
    }

    private func lookAtPidFile(_ path: String, _ token: Token, _ id: InstanceID) {
        guard let instance = instances[id] else { return pidFiles.forget(token) }
        switch readPidFile(path, instance) {
        case .answer(let answer):
            pidFiles.forget(token)
            handle(.mainSought(token, answer))
        case .nothing(let finding): handle(.searchNoted(token, SearchNote(pidFile: path, finding: finding)))
        }
    }

    private enum PidFileLook {
        case answer(MainSearch)
        /// Finding about the PID file in place of a main process.
        case nothing(String)
    }

    /// The process that the file names, if it belongs to the service: the file may be outdated, or name any process.
    private func readPidFile(_ path: String, _ instance: RunningInstance) -> PidFileLook {
        let pid: Int32
        do throws(SystemError) {
            let user = (try? launcher.credentials(of: instance.definition.unit.execution))??.uid ?? 0
            switch try PidFile.read(path, user: user) {
            case .missing: return .nothing("it does not exist")
            case .noNumber: return .nothing("it holds no number")
            case .process(let number): pid = number
            }
        } catch {
            return .nothing("\(error)")
        }
        if mainProcess(of: instance.id)?.pid == pid { return .answer(.absent) }
        let member: ProcessHandle?
        do throws(SystemError) {
            member = try self.member(pid, of: instance)
        } catch {
            return .nothing("it names \(pid): \(error)")
        }
        guard let handle = member else {
            guard let facts = ProcessFacts.read(pid), !facts.isDead else {
                return .nothing("it names \(pid), which does not run")
            }
            let name = ProcessFacts.commandName(of: pid).map { " (\($0))" } ?? ""
            return .nothing("it names \(pid)\(name), which is no process of this service")
        }
        return .answer(watchMain(pid, handle, instance).map { .found($0) } ?? .absent)
    }

    /// A living process of a service, by the pid that the service has sent or written.
    ///
    /// The handle is opened before the process is examined, and the process is known to be unreaped after that: so the
    /// examined process is the opened one, and not another service's process that got the pid in between and would be
    /// signalled instead.
    ///
    /// - Returns: nil if there is no such process.
    func member(_ pid: Int32, of instance: RunningInstance) throws(SystemError) -> ProcessHandle? {
        // Trees that are not control groups can overlap, where services have the same user.
        if let token = tokenOfPid[pid], processes[token]?.instance != instance.id { return nil }
        let handle: ProcessHandle
        do throws(SystemError) {
            handle = try ProcessHandle(pid: pid)
        } catch {
            guard !error.isTransient else { throw error }
            return nil
        }
        guard instance.tree?.contains(pid) == true,
            // A dead process is in its cgroup until it is reaped: it would be found, and its end be reported twice.
            let facts = ProcessFacts.read(pid), !facts.isDead, handle.isThere
        else { return nil }
        return handle
    }

    /// Main processes of one service that are watched at the same time. Each costs a descriptor until it ends: a
    /// service that names one process after another as its main one would use them all up.
    private static let maximumWatched = 32

    /// Removes the PID file of a service that has ended, unless another generation uses the same file.
    func removePidFile(of instance: RunningInstance) {
        guard let path = instance.definition.unit.lifecycle.pidFile,
            !instances.values.contains(where: { $0.definition.unit.lifecycle.pidFile == path })
        else { return }
        do throws(SystemError) {
            try PidFile.remove(path)
        } catch {
            log(.warning, about: instance.name, "\(instance.name): removing PIDFile=: \(error)")
        }
    }

    /// The only process of the tree whose parent is outside of it: the executed process has ended, so its daemon is the
    /// supervisor's child by now, or an earlier supervisor's. Among several no main process can be chosen.
    private func guessMain(_ instance: RunningInstance) -> MainSearch {
        let members = Set(instance.tree?.members() ?? [])
        let tops = members.filter { pid in ProcessFacts.read(pid).map { !members.contains($0.parent) } ?? false }
        guard let pid = tops.first, tops.count == 1, let handle = try? member(pid, of: instance) else { return .absent }
        return watchMain(pid, handle, instance).map { .found($0) } ?? .absent
    }

    /// Watches a process as the main one; its end becomes the event `exited` of the token. nil if it cannot be the main
    /// process.
    func watchMain(_ pid: Int32, _ handle: consuming ProcessHandle, _ instance: RunningInstance) -> Token? {
        // Already watched as an earlier main process: a second watch would only report its end twice.
        if let token = tokenOfPid[pid], processes[token]?.instance == instance.id {
            return engine.controlProcess(of: instance.id) == token || probes[token] != nil ? nil : token
        }
        guard instance.run.map({ $0.watch.processes.count < Self.maximumWatched }) ?? true else {
            log(
                .warning, about: instance.name,
                "\(instance.name): more than \(Self.maximumWatched) main processes are alive; \(pid) is not one, too")
            return nil
        }
        let token = engine.newToken(for: instance.id)
        let process = RunningProcess(token: token, instance: instance.id, handle: handle)
        do throws(SystemError) {
            try watch(process)
        } catch {
            log(.error, about: instance.name, "\(instance.name): watching its main process \(pid): \(error)")
            return nil
        }
        enter(process)
        journal.record(process)
        return token
    }
}

/// Awaited PID files, each with the search for a main process that waits for it.
final class PidFiles {
    private let loop: EventLoop
    private var watcher: PathWatcher?
    private var retry: (any LoopTimer)?
    private var awaited: [Token: (path: String, look: () -> Void)] = [:]

    init(loop: EventLoop) { self.loop = loop }

    /// Calls `look` whenever the file at the path may have changed, until `forget`.
    func expect(_ path: String, for token: Token, _ look: @escaping () -> Void) {
        awaited[token] = (path, look)
        if watcher == nil { watcher = try? PathWatcher(loop: loop, for: .appearance) }
        if let watcher { watch(path, watcher) } else { tryLater() }
    }

    private func watch(_ path: String, _ watcher: PathWatcher) {
        watcher.watch(path) { [unowned self] in changed(path) }
    }

    /// Retries later: the host has no inotify instance left.
    private func tryLater() {
        guard retry == nil else { return }
        retry = loop.retry { [unowned self] in
            retry = nil
            let paths = Set(awaited.values.map(\.path)).sorted()
            guard !paths.isEmpty else { return }
            watcher = try? PathWatcher(loop: loop, for: .appearance)
            if let watcher { for path in paths { watch(path, watcher) } } else { tryLater() }
            for path in paths { changed(path) }
        }
    }

    private func changed(_ path: String) {
        for (token, entry) in awaited where entry.path == path {
            // One `look` may end the other searches, or their services.
            if awaited[token] != nil { entry.look() }
        }
    }

    func forget(_ token: Token) {
        guard let entry = awaited.removeValue(forKey: token) else { return }
        if !awaited.values.contains(where: { $0.path == entry.path }) { watcher?.unwatch(entry.path) }
    }
}
