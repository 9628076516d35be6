import Engine
import Linux
import UnitFiles

/// Units as texts, each once under a number, however many definitions and sockets use it.
final class UnitTable {
    private(set) var all: [Int: SavedUnit]
    private var numbers: [SavedUnit: Int]
    private var last: Int
    /// Each unit is recorded as soon as it is in the table, before the records that refer to it.
    private let journal: Journal

    init(_ journal: Journal) {
        self.journal = journal
        all = [:]
        numbers = [:]
        last = 0
    }

    /// Continues with the units and the numbers of another process.
    func fill(_ all: [Int: SavedUnit]) {
        self.all = all
        numbers = Dictionary(all.map { ($1, $0) }) { min($0, $1) }
        last = all.keys.max() ?? 0
    }

    func number(of unit: some UnitDefinition) -> Int {
        // The unit's list has all links of `.wants/` directories, its texts only some: so the whole list is saved.
        let wants = unit.name.kind == .target ? unit.unit.wants + unit.unit.requires : []
        let saved = SavedUnit(
            name: unit.name.description, sources: unit.origin.sources.map { .init(path: $0.path, text: $0.text) },
            wants: wants.map(\.name.description))
        if let number = numbers[saved] { return number }
        last &+= 1
        numbers[saved] = last
        all[last] = saved
        journal.put(.unit(last), saved)
        return last
    }

    /// Drops the units that are not in `used`; returns their numbers.
    func keep(only used: Set<Int>) -> [Int] {
        let unused = all.filter { !used.contains($0.key) }
        for (number, unit) in unused {
            all[number] = nil
            numbers[unit] = nil
        }
        return unused.keys.sorted()
    }

    func record(of definition: Definition) -> SavedDefinition {
        if let unread = definition.unread { return unread }
        return SavedDefinition(
            id: definition.id, group: definition.group, unit: number(of: definition.unit),
            sockets: definition.sockets.map { number(of: $0) }, upstreams: definition.upstreams.map { number(of: $0) },
            probed: definition.probed.map { number(of: $0) }, target: definition.target.map { number(of: $0) },
            isPrivate: definition.network == .private ? true : nil)
    }

    func record(of held: HeldSocket) -> SavedSocket {
        SavedSocket(
            unit: number(of: held.unit), target: held.endpoint.target, owner: held.owner,
            descriptor: held.endpoint.raw, inode: held.endpoint.inode,
            isUnkept: held.owner == nil && !held.isKept ? true : nil, baseline: held.endpoint.baseline.text,
            changes: held.sharers.changes.isEmpty ? nil : Array(held.sharers.changes.values))
    }
}

extension SavedDefinition {
    /// Numbers of all units of the definition.
    var units: [Int] { [unit] + sockets + upstreams + [probed, target].compactMap(\.self) }
}
