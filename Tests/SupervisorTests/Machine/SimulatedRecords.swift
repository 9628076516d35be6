import SystemPackage
import Vocabulary

@testable import Linux
@testable import Supervisor

/// One supervisor's view of record files on the simulated disk.
///
/// Records that were written before a crash are in the file. Of the write during which the supervisor crashed the file
/// has none, all, or the first ones (`World.crashShare`).
final class SimulatedRecords: RecordsPort {
    private unowned let machine: SimulatedMachine
    private var world: World { machine.world }
    private var disk: WorldDisk { machine.world.disk }
    /// Note and stage of the fault watch.
    private(set) var watch: (note: String, stage: Int32)?

    init(machine: SimulatedMachine) { self.machine = machine }

    func writer(of path: String) -> any MachineRecordFile { SimulatedRecordFile(path, machine) }

    func read(_ path: String) throws(SystemError) -> RecordFile.Contents {
        try world.step(machine, "read", path)
        switch disk.node(path, follows: false)?.kind {
        case nil: return RecordFile.Contents()
        case .records(let list)?:
            var records: [String: [UInt8]] = [:]
            for record in list { records[record.key] = record.value }
            return RecordFile.Contents(records: records, unreadable: 0)
        case .file(let bytes)?: return RecordFile.Contents(records: [:], unreadable: bytes.count)
        case .link?: throw SystemError("open", path, .tooManySymbolicLinkLevels)
        case .directory?, .fifo?, .socket?, .null?:
            throw SystemError("read", "\(path), which is no regular file", .invalidArgument)
        }
    }

    func isStale(_ path: String) -> Bool {
        world.permits(machine, "stat", path) && disk.node(path, follows: false)?.mode == 0o400
    }

    func age(of path: String) -> Double? {
        guard world.permits(machine, "stat", path), let node = disk.node(path, follows: false) else { return nil }
        return Double(world.now - node.modified) / 1e9
    }

    func rename(_ path: String, to target: String) {
        if world.permits(machine, "rename", path) { try? disk.rename(path, to: target) }
    }

    // MARK: - Faults of this process

    func watchFaults(note path: String, cpuTime: UInt32) throws(SystemError) {
        try world.step(machine, "watch for faults")
        watch = (path, 0)
    }

    func enterStage(_ stage: Int32) { watch?.stage = stage }

    func endFaultWatch() { watch = nil }

    func faultNote(_ path: String) -> FaultWatch.Note? {
        guard world.permits(machine, "read link", path), case .link(let text)? = disk.node(path, follows: false)?.kind
        else { return nil }
        let words = text.split(separator: " ").compactMap { Int32($0) }
        return words.count == 2 ? FaultWatch.Note(signal: Signal(rawValue: words[0]), stage: words[1]) : nil
    }

    func removeFaultNote(_ path: String) {
        if world.permits(machine, "remove", path) { disk.remove(path) }
    }

    /// Writes the note of a fault, as the signal handler of a crashing process does.
    func writeFaultNote(_ signal: Signal) throws(SystemError) {
        guard let watch else { return }
        disk.remove(watch.note)
        try disk.make(watch.note, .link("\(signal.rawValue) \(watch.stage)"))
    }
}

/// Writer with the semantics of `RecordFile`: allocation in advance, all or none on a full disk.
final class SimulatedRecordFile: MachineRecordFile {
    private typealias Record = WorldDisk.Record

    private let path: String
    private unowned let machine: SimulatedMachine
    private var world: World { machine.world }
    private var disk: WorldDisk { machine.world.disk }
    private var pending: [Record] = []
    private var file: WorldDisk.Node?
    private var spare: WorldDisk.Node?
    private var freshPath: String { path + ".new" }

    init(_ path: String, _ machine: SimulatedMachine) {
        self.path = path
        self.machine = machine
    }

    var size: Int { file?.size ?? 0 }
    var existingSize: Int { world.permits(machine, "stat", path) ? disk.node(path)?.size ?? 0 : 0 }
    var hasCollected: Bool { !pending.isEmpty }
    private var pendingSize: Int { pending.reduce(0) { $0 + $1.size } }
    var room: Int { max(0, (file?.allocated ?? 0) - size - pendingSize) }
    var roomForReplacement: Int { spare?.allocated ?? 0 }

    func put(_ key: String, _ value: [UInt8]?) { pending.append(Record(key: key, value: value)) }

    func discard() { pending = [] }

    func flush() throws(SystemError) {
        guard !pending.isEmpty else { return }
        let records = pending
        try world.step(machine, "write", path) { share in
            guard let node = try? opened() else { return }
            try? add(Array(records.prefix(Int(Double(records.count) * share))), to: node)
        }
        try add(records, to: opened())
        pending = []
    }

    func replace() throws(SystemError) {
        let records = pending
        // A crash leaves either file whole: rename(2) is atomic.
        try world.step(machine, "replace", path) { share in
            guard share == 1, let node = try? openedSpare(), (try? add(records, to: node)) != nil else { return }
            try? disk.rename(freshPath, to: path)
        }
        let node = try openedSpare()
        do throws(SystemError) {
            try add(records, to: node)
            try disk.rename(freshPath, to: path)
        } catch {
            node.allocated = 0
            throw error
        }
        (file, spare, pending) = (node, nil, [])
    }

    func markStale() {
        if world.permits(machine, "chmod", path) { (file ?? disk.node(path))?.mode = 0o400 }
    }

    func keepRoom(more: Int, replacement: Int) throws(SystemError) {
        try world.step(machine, "allocate", path)
        let node = try opened()
        let fresh = try openedSpare()
        var failure: SystemError?
        var wanted = replacement
        while fresh.allocated < wanted {
            do throws(SystemError) {
                try disk.allocate(freshPath, fresh, wanted)
            } catch {
                failure = failure ?? error
                // Like RecordFile: as much as there is, in pages.
                wanted = min(wanted - 4096, fresh.room + disk.free)
            }
        }
        let end = size + pendingSize + more
        if node.allocated < end { try disk.allocate(path, node, end) }
        if let failure { throw failure }
    }

    func remove() {
        (file, spare, pending) = (nil, nil, [])
        guard world.permits(machine, "remove", path) else { return }
        disk.remove(path)
        disk.remove(freshPath)
    }

    private func opened() throws(SystemError) -> WorldDisk.Node {
        if let file { return file }
        let present = disk.node(path, follows: false)
        let node = if let present { present } else { try disk.make(path, .records([]), mode: 0o600) }
        file = node
        return node
    }

    private func openedSpare() throws(SystemError) -> WorldDisk.Node {
        if let spare { return spare }
        disk.remove(freshPath)
        let node = try disk.make(freshPath, .records([]), mode: 0o600)
        spare = node
        return node
    }

    private func add(_ records: [Record], to node: WorldDisk.Node) throws(SystemError) {
        var present: [Record] = []
        if case .records(let list) = node.kind { present = list }
        try disk.setContents(path, node, .records(present + records))
    }
}
