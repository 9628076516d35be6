import Engine
import UnitFiles

/// Units parsed from saved texts by this version of Holdfast.
struct RestoredUnits {
    private let units: [Int: Unit]
    private let names: [Int: String]
    private let specifiers: SpecifierEnvironment
    /// Reasons why some units are missing here.
    let problems: [String]

    /// - Parameter source: unit files, whose paths are resolved again.
    init(_ saved: [Int: SavedUnit], _ specifiers: SpecifierEnvironment, _ source: any UnitFileSource) {
        var units: [Int: Unit] = [:]
        var problems: [String] = []
        for (number, unit) in saved.sorted(by: { $0.key < $1.key }) {
            switch Self.restore(unit, specifiers, source) {
            case .success(let restored): units[number] = restored
            case .failure(let problem): problems.append(problem.text)
            }
        }
        self.units = units
        self.specifiers = specifiers
        names = saved.mapValues(\.name)
        self.problems = problems
    }

    private struct Problem: Error { let text: String }

    private static func restore(
        _ saved: SavedUnit, _ specifiers: SpecifierEnvironment, _ source: any UnitFileSource
    ) -> Result<Unit, Problem> {
        guard let name = try? UnitName(saved.name) else {
            return .failure(Problem(text: "\(saved.name) is no unit name"))
        }
        let loaded = UnitLoader.restore(
            name, sources: saved.sources.map { UnitSource(path: $0.path, text: $0.text) }, wants: saved.wants,
            specifiers: specifiers, realPath: { source.realPath($0) })
        if let unit = loaded.unit { return .success(unit) }
        let reason = loaded.diagnostics.first { $0.severity == .error }.map { "\($0.location): \($0.message)" }
        return .failure(Problem(text: "\(saved.name) cannot be read again: \(reason ?? "not a unit")"))
    }

    func service(_ number: Int) -> ServiceUnit? {
        if case .service(let unit)? = units[number] { unit } else { nil }
    }

    func socket(_ number: Int) -> SocketUnit? {
        if case .socket(let unit)? = units[number] { unit } else { nil }
    }

    func target(_ number: Int) -> TargetUnit? {
        if case .target(let unit)? = units[number] { unit } else { nil }
    }

    func definition(_ saved: SavedDefinition) -> Definition? {
        let read = service(saved.unit)
        guard let unit = read ?? standIn(saved.unit) else { return nil }
        return Definition(
            id: saved.id, unit: unit, group: saved.group, sockets: saved.sockets.compactMap(socket),
            upstreams: saved.upstreams.compactMap(socket), probed: saved.probed.flatMap(socket),
            target: saved.target.flatMap(target), network: saved.isPrivate == true ? .private : .host,
            unread: read == nil ? saved : nil)
    }

    /// A placeholder service of the same name, by which the processes are found; its settings are not used.
    private func standIn(_ number: Int) -> ServiceUnit? {
        guard let text = names[number], let name = try? UnitName(text) else { return nil }
        let loaded = UnitLoader.restore(
            name, sources: [UnitSource(path: "/\(text)", text: "[Service]\nExecStart=/bin/false\n")], wants: [],
            specifiers: specifiers, realPath: { $0 })
        if case .service(let unit)? = loaded.unit { return unit }
        return nil
    }
}
