import Linux

/// The service manager that started the supervisor: notifications to it and, if it is systemd, its descriptor store.
protocol ManagerPort: AnyObject {
    /// Descriptors that the store kept for this process, by name: numbers for `HandoverPort.inherit`. Works once.
    func takeStored() -> [String: Int32]

    /// Stores a duplicate of a descriptor.
    func store(_ descriptor: Int32, name: String)

    /// Drops a stored descriptor.
    func removeStored(_ name: String)

    /// Sends a notification, as of sd_notify(3).
    func notify(_ state: String)
}
