import Engine
import Linux
import UnitFiles

/// Descriptors that a service has stored with the supervisor (sd_notify(3), FDSTORE=1): its next process gets them
/// after its sockets.
final class DescriptorStore {
    /// One stored descriptor. A name may occur several times.
    private final class Entry {
        let name: String
        let descriptor: OwnedDescriptor
        /// nil for a regular file, or a descriptor that the service does not want to be watched (FDPOLL=0).
        var source: IOSource?

        init(name: String, descriptor: consuming OwnedDescriptor) {
            self.name = name
            self.descriptor = descriptor
        }

        // Cancelled before the descriptor is closed: epoll would continue to report a description that other processes
        // still have open.
        deinit { source?.cancel() }
    }

    /// `FileDescriptorStoreMax=`
    let limit: Int
    let preserve: DescriptorStorePreserve
    private let loop: EventLoop
    private var entries: [Entry] = []

    init(limit: Int, preserve: DescriptorStorePreserve, loop: EventLoop) {
        self.limit = limit
        self.preserve = preserve
        self.loop = loop
    }

    var isEmpty: Bool { entries.isEmpty }
    var count: Int { entries.count }

    /// Names and descriptors in the order in which they were stored.
    var descriptors: [(name: String, raw: Int32)] { entries.map { ($0.name, $0.descriptor.raw) } }

    /// The store's record for a successor of this process.
    var saved: [SavedDescriptor] {
        entries.map { .init(name: $0.name, descriptor: $0.descriptor.raw, isWatched: $0.source != nil) }
    }

    /// Stores a descriptor; false if there is no room. A file that is stored already is not stored twice.
    /// - Parameter isWatched: whether the descriptor is dropped as soon as its other end is closed (EPOLLHUP,
    ///   EPOLLERR).
    func add(_ descriptor: consuming OwnedDescriptor, name: String, isWatched: Bool) -> Bool {
        let raw = descriptor.raw
        if entries.contains(where: { $0.descriptor.isSameFile(as: raw) }) { return true }
        guard entries.count < limit else { return false }
        let entry = Entry(name: name, descriptor: descriptor)
        if isWatched {
            // A regular file cannot be watched and cannot hang up: that is no error.
            entry.source = try? loop.addIO(raw, [], priority: .notifyMessages) { [unowned self, unowned entry] _ in
                // The local constant keeps the entry alive while it is removed.
                let gone = entry
                entries.removeAll { $0 === gone }
            }
        }
        entries.append(entry)
        return true
    }

    /// Removes all entries of that name (FDSTOREREMOVE=1).
    func remove(name: String) { entries.removeAll { $0.name == name } }
}

/// Owner of a store: a member of a group, in all generations and releases.
struct DescriptorStoreKey: Hashable {
    let group: GroupID
    let member: UnitName

    init(group: GroupID, member: UnitName) {
        self.group = group
        self.member = member
    }

    init(_ instance: RunningInstance) {
        group = instance.definition.group
        member = instance.definition.unit.name.identity
    }
}

/// Stores after the end of their service. The next run of the same instance has its store in any case, except with
/// `FileDescriptorStorePreserve=no`; the other rules are for the next instance.
extension Supervisor {
    /// `FDSTORE=1`, `FDSTOREREMOVE=1`
    func changeStore(_ instance: RunningInstance, _ request: StoreRequest, _ received: ReceivedDescriptors) {
        let unit = instance.definition.unit
        let name = request.name ?? "stored"
        if request.removes { return instance.store?.remove(name: name) ?? () }
        let store =
            instance.store
            ?? DescriptorStore(
                limit: unit.descriptorStoreLimit, preserve: unit.descriptorStorePreserve, loop: eventLoop)
        instance.store = store
        while let descriptor = received.takeFirst() {
            guard store.add(descriptor, name: name, isWatched: request.isWatched) else {
                return log(
                    .warning, about: instance.name,
                    "\(instance.name): FDSTORE=1: there is no room for more than FileDescriptorStoreMax=\(store.limit)")
            }
        }
    }

    /// Gives an instance its store before a new run.
    func prepareStore(_ instance: RunningInstance) {
        if instance.definition.unit.descriptorStorePreserve == .no { instance.store = nil }
        guard instance.store == nil else { return }
        instance.store = keptStores.removeValue(forKey: DescriptorStoreKey(instance))
    }

    /// Keeps a store for the next instance if one will follow: with strategy `queue`, or in a restart. Beside an old
    /// generation that still runs a new one starts with an empty store.
    func keepStore(of instance: RunningInstance) {
        guard let store = instance.store, !store.isEmpty else { return }
        let key = DescriptorStoreKey(instance)
        let isAlone = !instances.values.contains { $0 !== instance && DescriptorStoreKey($0) == key }
        guard isAlone else { return }
        switch store.preserve {
        case .no: break
        case .restart: if engine.view(of: key.group)?.operation != nil { keptStores[key] = store }
        case .yes: keptStores[key] = store
        }
    }

    /// Drops the group's kept stores at the end of an operation, when the instances that could take them have them.
    func dropStores(of group: GroupID) {
        for (key, store) in keptStores where key.group == group && store.preserve != .yes { keptStores[key] = nil }
    }
}

/// The settings of a notify datagram that concern the descriptor store.
struct StoreRequest {
    var stores = false
    var removes = false
    var name: String?
    var isWatched = true
}
