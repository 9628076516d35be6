import Engine
import Linux
import UnitFiles

/// Notifications of services by sd_notify(3): this code finds out the sender; the engine decides on the effect.
extension Supervisor {
    func received(_ datagram: NotifySocket.Datagram) {
        guard let (id, sender) = sender(datagram.pid) else {
            return logger.debug("a notify message of process \(datagram.pid), which belongs to no service, was dropped")
        }
        var message = NotifyMessage()
        var main: Int32?
        var mainInode: UInt64?
        var store = StoreRequest()
        for part in datagram.messages {
            switch part {
            // The last of these three messages counts.
            case .ready: (message.ready, message.reloading, message.stopping) = (true, false, false)
            case .reloading: (message.ready, message.reloading, message.stopping) = (false, true, false)
            case .stopping: (message.ready, message.reloading, message.stopping) = (false, false, true)
            case .status(let text): message.status = text
            case .errno(let number): message.errno = number
            // systemd accepts neither 0 nor "infinity".
            case .extendTimeout(0), .extendTimeout(.max): break
            case .extendTimeout(let microseconds):
                message.extendTimeout = .microseconds(Int64(clamping: microseconds))
            case .mainPid(let pid): main = pid
            case .mainPidInode(let inode): mainInode = inode
            case .storeDescriptors: store.stores = true
            case .removeDescriptors: store.removes = true
            case .descriptorName(let name): store.name = name
            case .keepHungUp: store.isWatched = false
            case .watchdog: message.watchdog = .keepAlive
            case .watchdogTrigger: message.watchdog = .trigger
            case .watchdogInterval(let microseconds):
                message.watchdogInterval = .microseconds(Int64(clamping: microseconds))
            case .restartReset: message.restartReset = true
            case .monotonic(let microseconds): message.monotonic = .microseconds(Int64(clamping: microseconds))
            // The socket answers BARRIER when this function returns; the others have no meaning here.
            case .barrier, .busError, .unknown: break
            }
        }
        // For the report in case the message is refused.
        if message.ready { message.sender = Self.describe(datagram.pid) }
        // The sender's right depends on which process was the main process when the datagram was sent: a launcher hands
        // over and says READY=1 in one datagram. In the other direction, the process that it names may be the sender
        // itself.
        if store.stores || store.removes, let instance = instances[id], engine.accepts(messagesFrom: sender, of: id) {
            changeStore(instance, store, datagram.descriptors)
            if store.stores, datagram.hasLostDescriptors {
                log(
                    .warning, about: instance.name,
                    "\(instance.name): FDSTORE=1: no room for all of its descriptors (\(FileLimit.description))")
            }
        }
        let wasMain = if case .process(let token) = sender { engine.mainProcess(of: id) == token } else { false }
        let named = main.flatMap { mainProcessChanged(id, $0, inode: mainInode, sender) }
        if wasMain, let named {
            handle(.notified(id, .process(named), message))
        } else {
            handle(.notified(id, self.sender(datagram.pid)?.1 ?? sender, message))
        }
    }

    private static func describe(_ pid: Int32) -> String {
        "process \(pid)" + (ProcessFacts.commandName(of: pid).map { " (\($0))" } ?? "")
    }

    /// The instance that a process belongs to. The sender may be dead by now: then its pid is still known (it is reaped
    /// after its exit was dispatched), or its /proc entry shows its session.
    private func sender(_ pid: Int32) -> (InstanceID, Event.Sender)? {
        if let token = tokenOfPid[pid], let process = processes[token] { return (process.instance, .process(token)) }
        if let facts = ProcessFacts.read(pid) {
            for candidate in [facts.session, facts.processGroup] + ProcessFacts.ancestors(of: pid) {
                if let token = tokenOfPid[candidate], let process = processes[token] {
                    return (process.instance, .other)
                }
            }
        }
        // A process that began a session of its own: one check, whatever the number of services, because unprivileged
        // processes can cause such checks as often as they like.
        return ownerByMark(pid).map { ($0, .other) }
    }

    /// Finds the instance by the process's cgroup, or on hosts without cgroups by its `INVOCATION_ID`, which other
    /// processes cannot guess.
    private func ownerByMark(_ pid: Int32) -> InstanceID? {
        guard trees.usesCgroups else {
            guard let mark = ProcessFacts.environmentVariable("INVOCATION_ID", of: pid) else { return nil }
            return instanceOfMark[mark]
        }
        guard var path = ProcessFacts.cgroup(of: pid)?[...] else { return nil }
        while let slash = path.lastIndex(of: "/") {
            if let id = instanceOfMark[String(path)] { return id }
            path = path[..<slash]
        }
        return nil
    }

    /// `MAINPID=`: follows the real main process, not the launcher (shared-sockets.md, 19).
    ///
    /// - Parameter inode: inode of its pidfd, if the service knows it: then the pid cannot be another process by now.
    /// - Returns: the new main process, if it is another one.
    private func mainProcessChanged(
        _ id: InstanceID, _ pid: Int32, inode: UInt64?, _ sender: Event.Sender
    ) -> Token? {
        guard let instance = instances[id], engine.accepts(messagesFrom: sender, of: id),
            mainProcess(of: id)?.pid != pid
        else {
            return nil
        }
        let member: ProcessHandle?
        do throws(SystemError) {
            member = try self.member(pid, of: instance)
        } catch {
            log(.error, about: instance.name, "\(instance.name): MAINPID=\(pid): \(error)")
            return nil
        }
        guard let handle = member, inode == nil || handle.inode() == inode else {
            log(
                .warning, about: instance.name,
                "\(instance.name): MAINPID=\(pid) is not a process of this service; ignored")
            return nil
        }
        guard let token = watchMain(pid, handle, instance) else { return nil }
        self.handle(.mainProcessChanged(id, token))
        return token
    }
}
