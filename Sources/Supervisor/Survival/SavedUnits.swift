import Engine
import UnitFiles

/// Units as texts, each once, however many definitions and sockets it is part of.
struct SavedUnits {
    private(set) var list: [SavedUnit] = []
    private var indices: [SavedUnit: Int] = [:]

    mutating func add(_ unit: some UnitDefinition) -> Int {
        // What `.wants/` directories say is in the list of the unit, and of its texts only in part: so all of it is told.
        let wants = unit.name.kind == .target ? unit.unit.wants + unit.unit.requires : []
        let saved = SavedUnit(
            name: unit.name.description, sources: unit.origin.sources.map { .init(path: $0.path, text: $0.text) },
            wants: wants.map(\.name.description))
        if let index = indices[saved] { return index }
        indices[saved] = list.count
        list.append(saved)
        return list.count - 1
    }

    mutating func add(_ definition: Definition) -> SavedDefinition {
        SavedDefinition(
            id: definition.id, group: definition.group, unit: add(definition.unit),
            sockets: definition.sockets.map { add($0) }, upstreams: definition.upstreams.map { add($0) },
            probed: definition.probed.map { add($0) }, target: definition.target.map { add($0) },
            isPrivate: definition.network == .private ? true : nil)
    }
}

/// Texts made units again, by this version of Holdfast.
struct RestoredUnits {
    private let units: [Unit?]
    /// Why some of them are missing here.
    let problems: [String]

    init(_ saved: [SavedUnit], _ specifiers: SpecifierEnvironment) {
        var units: [Unit?] = []
        var problems: [String] = []
        for unit in saved {
            switch Self.restore(unit, specifiers) {
            case .success(let restored): units.append(restored)
            case .failure(let problem):
                units.append(nil)
                problems.append(problem.text)
            }
        }
        self.units = units
        self.problems = problems
    }

    private struct Problem: Error { let text: String }

    private static func restore(_ saved: SavedUnit, _ specifiers: SpecifierEnvironment) -> Result<Unit, Problem> {
        guard let name = try? UnitName(saved.name) else {
            return .failure(Problem(text: "\(saved.name) is no unit name"))
        }
        let loaded = UnitLoader.restore(
            name, sources: saved.sources.map { UnitSource(path: $0.path, text: $0.text) }, wants: saved.wants,
            specifiers: specifiers)
        if let unit = loaded.unit { return .success(unit) }
        let reason = loaded.diagnostics.first { $0.severity == .error }.map { "\($0.location): \($0.message)" }
        return .failure(Problem(text: "\(saved.name) cannot be read again: \(reason ?? "not a unit")"))
    }

    func service(_ index: Int) -> ServiceUnit? {
        if units.indices.contains(index), case .service(let unit)? = units[index] { unit } else { nil }
    }

    func socket(_ index: Int) -> SocketUnit? {
        if units.indices.contains(index), case .socket(let unit)? = units[index] { unit } else { nil }
    }

    func target(_ index: Int) -> TargetUnit? {
        if units.indices.contains(index), case .target(let unit)? = units[index] { unit } else { nil }
    }

    func definition(_ saved: SavedDefinition) -> Definition? {
        guard let unit = service(saved.unit) else { return nil }
        return Definition(
            id: saved.id, unit: unit, group: saved.group, sockets: saved.sockets.compactMap(socket),
            upstreams: saved.upstreams.compactMap(socket), probed: saved.probed.flatMap(socket),
            target: saved.target.flatMap(target), network: saved.isPrivate == true ? .private : .host)
    }
}
