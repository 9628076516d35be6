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
        var source: (any LoopSource)?

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
    private let loop: any Loop
    private var entries: [Entry] = []

    init(limit: Int, preserve: DescriptorStorePreserve, _ loop: any Loop) {
        self.limit = limit
        self.preserve = preserve
        self.loop = loop
    }

    var isEmpty: Bool { entries.isEmpty }

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
            entry.source = try? loop.watchDescriptor(raw, [], priority: .notifyMessages) {
                [unowned self, unowned entry] _ in
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
