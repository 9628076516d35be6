import Linux

/// The manager behind `$NOTIFY_SOCKET`.
final class LinuxManager: ManagerPort {
    private let descriptors: ManagerStore

    init(environment: [String: String]) { descriptors = ManagerStore(environment: environment) }

    func takeStored() -> [String: Int32] { ManagerStore.takeStored() }

    func store(_ descriptor: Int32, name: String) { descriptors.store(descriptor, name: name) }

    func removeStored(_ name: String) { descriptors.remove(name: name) }

    func notify(_ state: String) { notifyParent(state) }
}
