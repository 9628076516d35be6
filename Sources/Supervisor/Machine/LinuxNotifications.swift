import Linux

/// Notify sockets of this host.
final class LinuxNotifications: NotificationsPort {
    private let loop: EventLoop

    init(loop: EventLoop) { self.loop = loop }

    func open(
        _ path: String, _ received: @escaping (NotifySocket.Datagram) -> Void
    ) throws(SystemError) -> any MachineNotifySocket {
        try NotifySocket(path: path, loop: loop, received)
    }

    func inherit(
        _ path: String, descriptor: Int32, _ received: @escaping (NotifySocket.Datagram) -> Void
    ) throws(SystemError) -> any MachineNotifySocket {
        try NotifySocket(path: path, inherited: try OwnedDescriptor.inherited(descriptor), loop: loop, received)
    }
}

extension NotifySocket: MachineNotifySocket {}
