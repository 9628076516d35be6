import Engine
import Linux
import UnitFiles

/// The descriptors that a service has given us to keep (sd_notify(3), FDSTORE=1): its next process gets them after its sockets.
final class DescriptorStore {
    /// One of them. A name may occur several times.
    private final class Entry {
        let name: String
        let descriptor: OwnedDescriptor
        /// nil: a regular file, or one that the service does not want to be watched (FDPOLL=0).
        var source: IOSource?

        init(name: String, descriptor: consuming OwnedDescriptor) {
            self.name = name
            self.descriptor = descriptor
        }

        // Before the descriptor is closed: epoll would go on telling of a description that others still have open.
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

    /// In the order in which they came.
    var descriptors: [(name: String, raw: Int32)] { entries.map { ($0.name, $0.descriptor.raw) } }

    /// For a successor of this process.
    var saved: [SavedDescriptor] {
        entries.map { .init(name: $0.name, descriptor: $0.descriptor.raw, isWatched: $0.source != nil) }
    }

    /// Keeps one; false if there is no room. One that is there already is not kept twice.
    /// - Parameter isWatched: it is dropped as soon as its other end is gone (EPOLLHUP, EPOLLERR).
    func add(_ descriptor: consuming OwnedDescriptor, name: String, isWatched: Bool) -> Bool {
        let raw = descriptor.raw
        if entries.contains(where: { $0.descriptor.isSameFile(as: raw) }) { return true }
        guard entries.count < limit else { return false }
        let entry = Entry(name: name, descriptor: descriptor)
        if isWatched {
            // A regular file cannot be watched and cannot hang up: that is no error.
            entry.source = try? loop.addIO(raw, [], priority: .notifyMessages) { [unowned self, unowned entry] _ in
                // Kept alive by this: it goes while it is being looked for.
                let gone = entry
                entries.removeAll { $0 === gone }
            }
        }
        entries.append(entry)
        return true
    }

    /// FDSTOREREMOVE=1: all of that name.
    func remove(name: String) { entries.removeAll { $0.name == name } }
}

/// Whose store it is: a member of a group, whatever its generation and release.
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

/// What becomes of a store when its service ends: its next run has it anyway; here it is about the next instance.
extension Supervisor {
    /// `FDSTORE=1`, `FDSTOREREMOVE=1`
    func changeStore(_ instance: RunningInstance, _ request: StoreRequest, _ received: ReceivedDescriptors) {
        let unit = instance.definition.unit
        let name = request.name ?? "stored"
        if request.removes { return instance.store?.remove(name: name) ?? () }
        let store =
            instance.store
            ?? DescriptorStore(limit: unit.descriptorStoreLimit, preserve: unit.descriptorStorePreserve, loop: loop)
        instance.store = store
        while let descriptor = received.takeFirst() {
            guard store.add(descriptor, name: name, isWatched: request.isWatched) else {
                return log(
                    .warning, about: instance.name,
                    "\(instance.name): FDSTORE=1: there is no room for more than FileDescriptorStoreMax=\(store.limit)")
            }
        }
    }

    /// Before a new run of an instance: what it finds in its store.
    func prepareStore(_ instance: RunningInstance) {
        if instance.definition.unit.descriptorStorePreserve == .no { instance.store = nil }
        guard instance.store == nil else { return }
        instance.store = keptStores.removeValue(forKey: DescriptorStoreKey(instance))
    }

    /// A store waits for the next instance if that is to come: the old one of strategy `queue`, or a restart. Beside an
    /// old generation that still runs a new one starts with nothing.
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

    /// The operation is over: who was to take a store has it.
    func dropStores(of group: GroupID) {
        for (key, store) in keptStores where key.group == group && store.preserve != .yes { keptStores[key] = nil }
    }
}

/// The part of a notify datagram that is about the store.
struct StoreRequest {
    var stores = false
    var removes = false
    var name: String?
    var isWatched = true
}
