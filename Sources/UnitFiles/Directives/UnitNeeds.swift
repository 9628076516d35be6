extension SwapUnitResolver {
    /// The units that a unit names as needed, without duplicates, each with the directive or kind of link that names
    /// it: `Requires`, `Wants`, `Sockets`. Empty for an unusable unit.
    public func needs(of unit: UnitName) -> [(unit: UnitName, because: String)] {
        guard let definition = load(unit).unit?.definition else { return [] }
        var edges = definition.unit.requires.map { ($0.name, "Requires") }
        edges += definition.unit.wants.map { ($0.name, "Wants") }
        edges += (resolve(unit).definition?.socketsOf[unit] ?? []).map { ($0, "Sockets") }
        var own: Set<UnitName> = []
        return edges.filter { own.insert($0.0).inserted }.map { (unit: $0.0, because: $0.1) }
    }
}
