import Linux

/// Notify sockets: sd_notify(3) of services.
protocol NotificationsPort: AnyObject {
    /// Binds the path, replacing an existing file.
    func open(
        _ path: String, _ received: @escaping (NotifySocket.Datagram) -> Void
    ) throws(SystemError) -> any MachineNotifySocket

    /// Continues with a socket that an earlier program of this process has bound to the path.
    func inherit(
        _ path: String, descriptor: Int32, _ received: @escaping (NotifySocket.Datagram) -> Void
    ) throws(SystemError) -> any MachineNotifySocket
}

protocol MachineNotifySocket: AnyObject {
    /// The socket, for a successor.
    var raw: Int32 { get }
    /// Handles all waiting datagrams, before a decision about a process whose last messages may be among them.
    func receiveWaiting()
    /// Stops receiving and removes the path.
    func remove()
}
