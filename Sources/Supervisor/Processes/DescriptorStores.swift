import Engine
import Linux
import Logging
import UnitFiles

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

/// Interface of the supervisor to the desk of descriptor stores.
protocol DescriptorStoresHost: EventHost {
    /// Whether an operation of the group is under way.
    func hasOperation(_ group: GroupID) -> Bool
}

/// Descriptor stores of services. The next run of the same instance has its store in any case, except with
/// `FileDescriptorStorePreserve=no`; the other rules are for the next instance.
final class DescriptorStores {
    private unowned let host: any DescriptorStoresHost
    private let machine: any Machine
    private let instances: Instances
    /// Descriptor stores of services that will be started again.
    private var kept: [DescriptorStoreKey: DescriptorStore] = [:]

    init(_ machine: any Machine, _ instances: Instances, host: any DescriptorStoresHost) {
        self.machine = machine
        self.instances = instances
        self.host = host
    }

    /// `FDSTORE=1`, `FDSTOREREMOVE=1`
    func change(_ instance: RunningInstance, _ request: StoreRequest, _ received: ReceivedDescriptors) {
        let unit = instance.definition.unit
        let name = request.name ?? "stored"
        if request.removes { return instance.store?.remove(name: name) ?? () }
        let store =
            instance.store
            ?? DescriptorStore(
                limit: unit.descriptorStoreLimit, preserve: unit.descriptorStorePreserve, machine.loop)
        instance.store = store
        while let descriptor = received.takeFirst() {
            guard store.add(descriptor, name: name, isWatched: request.isWatched) else {
                return host.log(
                    .warning, about: instance.name,
                    "\(instance.name): FDSTORE=1: there is no room for more than FileDescriptorStoreMax=\(store.limit)")
            }
        }
    }

    /// Gives an instance its store before a new run.
    func prepare(_ instance: RunningInstance) {
        if instance.definition.unit.descriptorStorePreserve == .no { instance.store = nil }
        guard instance.store == nil else { return }
        instance.store = kept.removeValue(forKey: DescriptorStoreKey(instance))
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
        case .restart: if host.hasOperation(key.group) { kept[key] = store }
        case .yes: kept[key] = store
        }
    }

    /// Drops the group's kept stores at the end of an operation, when the instances that could take them have them.
    func dropStores(of group: GroupID) {
        for (key, store) in kept where key.group == group && store.preserve != .yes { kept[key] = nil }
    }

    /// Drops all stores of a group that is forgotten.
    func dropAllStores(of group: GroupID) {
        if !kept.isEmpty { kept = kept.filter { $0.key.group != group } }
    }

    /// Groups that have a kept store.
    var groups: Set<GroupID> { Set(kept.keys.map(\.group)) }

    // MARK: - For a successor

    var saved: [SavedStore] {
        kept.map { key, store in
            SavedStore(
                group: key.group, member: key.member.description, limit: store.limit,
                isKeptForGood: store.preserve == .yes, entries: store.saved)
        }.sorted { ($0.group, $0.member) < ($1.group, $1.member) }
    }

    func restore(_ records: [SavedStore]) {
        for record in records {
            guard let member = try? UnitName(record.member) else { continue }
            kept[DescriptorStoreKey(group: record.group, member: member)] = restored(
                record.entries, limit: record.limit, record.isKeptForGood ? .yes : .restart, "\(member)")
        }
    }

    /// The store of an instance that a predecessor has handed over.
    func restored(
        _ entries: [SavedDescriptor], limit: Int, _ preserve: DescriptorStorePreserve, _ name: String
    ) -> DescriptorStore {
        let store = DescriptorStore(limit: limit, preserve: preserve, machine.loop)
        for entry in entries {
            do throws(SystemError) {
                let descriptor = try machine.handover.inherit(entry.descriptor)
                _ = store.add(descriptor, name: entry.name, isWatched: entry.isWatched)
            } catch {
                host.log(.error, about: name, "\(name): stored descriptor \(entry.name): \(error)")
            }
        }
        return store
    }
}

/// The settings of a notify datagram that concern the descriptor store.
struct StoreRequest {
    var stores = false
    var removes = false
    var name: String?
    var isWatched = true
}
