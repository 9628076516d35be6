import Engine
import Linux
import Logging
import UnitFiles

/// Interface of the supervisor to the desk of notifications.
protocol NotificationsHost: EventHost {
    func mainToken(of instance: InstanceID) -> Token?
    /// Whether `NotifyAccess=` lets a process send messages.
    func accepts(messagesFrom sender: Event.Sender, of instance: InstanceID) -> Bool
    func logDebug(_ text: String)
}

/// Notifications of services by sd_notify(3): this code finds out the sender; the engine decides on the effect.
final class NotificationDesk {
    private unowned let host: any NotificationsHost
    private let machine: any Machine
    private let instances: Instances
    private let processes: ProcessDesk
    private let mains: MainProcessDesk
    private let stores: DescriptorStores
    private var socket: (any MachineNotifySocket)?

    init(
        _ machine: any Machine, _ instances: Instances, _ processes: ProcessDesk, _ mains: MainProcessDesk,
        _ stores: DescriptorStores, host: any NotificationsHost
    ) {
        self.machine = machine
        self.instances = instances
        self.processes = processes
        self.mains = mains
        self.stores = stores
        self.host = host
    }

    // MARK: - Socket

    /// Opens the notify socket.
    /// - Parameter inherited: the socket of an earlier program of this process.
    func open(_ path: String, inherited: Int32?) throws(SystemError) {
        let received = { [unowned self] (datagram: NotifySocket.Datagram) in receive(datagram) }
        socket =
            if let inherited {
                try machine.notifications.inherit(path, descriptor: inherited, received)
            } else {
                try machine.notifications.open(path, received)
            }
    }

    /// The socket, for a successor.
    var descriptor: Int32? { socket?.raw }

    /// Handles all waiting messages, before a decision about a process whose last messages may be among them.
    func receiveWaiting() { socket?.receiveWaiting() }

    /// Stops receiving and removes the socket's path.
    func close() { socket?.remove() }

    // MARK: - Messages

    private func receive(_ datagram: NotifySocket.Datagram) {
        guard let (id, sender) = processes.owner(of: datagram.pid) else {
            return host.logDebug(
                "a notify message of process \(datagram.pid), which belongs to no service, was dropped")
        }
        var parts = NotifyParts(datagram.messages)
        // For the report in case the message is refused.
        if parts.message.ready { parts.message.sender = processes.describe(datagram.pid) }
        // The sender's right depends on which process was the main process when the datagram was sent: a launcher hands
        // over and says READY=1 in one datagram. In the other direction, the process that it names may be the sender
        // itself.
        if parts.store.stores || parts.store.removes, let instance = instances[id],
            host.accepts(messagesFrom: sender, of: id)
        {
            changeStore(of: instance, parts.store, datagram)
        }
        let wasMain = if case .process(let token) = sender { host.mainToken(of: id) == token } else { false }
        let named = parts.mainPid.flatMap { changeMain(of: id, to: $0, inode: parts.mainInode, sender) }
        if wasMain, let named {
            host.handle(.notified(id, .process(named), parts.message))
        } else {
            host.handle(.notified(id, processes.owner(of: datagram.pid)?.sender ?? sender, parts.message))
        }
    }

    private func changeStore(of instance: RunningInstance, _ request: StoreRequest, _ datagram: NotifySocket.Datagram) {
        stores.change(instance, request, datagram.descriptors)
        guard request.stores, datagram.hasLostDescriptors else { return }
        host.log(
            .warning, about: instance.name,
            "\(instance.name): FDSTORE=1: no room for all of its descriptors (\(machine.processes.fileLimitText))")
    }

    /// `MAINPID=`: follows the real main process, not the launcher (shared-sockets.md, 19).
    ///
    /// - Parameter inode: inode of its pidfd, if the service knows it: then the pid cannot be another process by now.
    /// - Returns: the new main process, if it is another one.
    private func changeMain(of id: InstanceID, to pid: Int32, inode: UInt64?, _ sender: Event.Sender) -> Token? {
        guard let instance = instances[id], host.accepts(messagesFrom: sender, of: id),
            processes.main(of: id)?.pid != pid
        else {
            return nil
        }
        let member: (any MachineProcess)?
        do throws(SystemError) {
            member = try processes.member(pid, of: instance)
        } catch {
            host.log(.error, about: instance.name, "\(instance.name): MAINPID=\(pid): \(error)")
            return nil
        }
        guard let process = member, inode == nil || process.inode == inode else {
            host.log(
                .warning, about: instance.name,
                "\(instance.name): MAINPID=\(pid) is not a process of this service; ignored")
            return nil
        }
        guard let token = mains.watch(process, asMainOf: instance) else { return nil }
        host.handle(.mainProcessChanged(id, token))
        return token
    }
}

/// The messages of one datagram, by who handles them.
private struct NotifyParts {
    /// For the engine.
    var message = NotifyMessage()
    /// `MAINPID=`, and the inode of its pidfd.
    var mainPid: Int32?
    var mainInode: UInt64?
    /// For the descriptor store.
    var store = StoreRequest()

    init(_ messages: [NotifyAssignment]) {
        for message in messages { add(message) }
    }

    private mutating func add(_ part: NotifyAssignment) {
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
        case .mainPid(let pid): mainPid = pid
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
        // The socket answers BARRIER when the handler returns; the others have no meaning here.
        case .barrier, .busError, .unknown: break
        }
    }
}
