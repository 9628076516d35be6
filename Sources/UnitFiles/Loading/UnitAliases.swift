/// Aliases of units: links from one unit file name to another (systemd.unit(5), "Aliases").
struct UnitAliases: Sendable {
    /// File name of the link -> the unit it leads to.
    private var targets: [String: UnitName] = [:]

    var isEmpty: Bool { targets.isEmpty }

    /// Registers a link if it is an alias. The two units must be of the same kind, and both templates or both plain. A
    /// link from an instance to its own template is no alias but the instance's own file; a link from an instance to
    /// another template is an alias of that template's instance of the same name.
    ///
    /// - Parameter isInside: whether the link leads to a file of the search path; otherwise the file is the unit's own,
    ///   whatever its name.
    /// - Returns: why the link is ignored, as under systemd; nil if it counts.
    mutating func add(_ name: UnitName, leadingTo target: String, isInside: Bool) -> String? {
        guard isInside else { return nil }
        let file = target.utf8.lastIndex(of: UInt8(ascii: "/")).map { target[target.utf8.index(after: $0)...] }
        guard let other = try? UnitName(file ?? target[...]), other != name else { return nil }
        guard other.kind == name.kind else {
            return "the link to \(other) is ignored: it is not a \(name.kind.suffix) unit"
        }
        if let instance = name.instance, other.isTemplate {
            if other != name.template { targets[name.description] = try? other.instantiated(instance) }
            return nil
        }
        guard name.isTemplate == other.isTemplate, name.instance == other.instance else {
            return "the link to \(other) is ignored: an alias must have the same instance, or both must be templates"
        }
        targets[name.description] = other
        return nil
    }

    /// Removes the aliases of units that do not exist: such a link is the file of the unit itself.
    mutating func removeDangling(unless exists: (UnitName) -> Bool) {
        targets = targets.filter { exists(resolve($0.value)) }
    }

    func isAlias(_ name: UnitName) -> Bool { targets[name.description] != nil }

    /// The unit's canonical name; a name that is not an alias is returned as it is.
    func resolve(_ name: UnitName) -> UnitName {
        guard !targets.isEmpty else { return name }
        var current = name
        // The bound ends the search in a circle of links. The result is then arbitrary, but the unit cannot be read
        // anyway.
        for _ in 0..<8 {
            if let next = targets[current.description] {
                current = next
            } else if let instance = current.instance, let template = current.template,
                let next = targets[template.description], let named = try? next.instantiated(instance)
            {
                current = named
            } else {
                break
            }
        }
        return current
    }

    /// All aliases of the unit; for an instance also those of its template, instantiated.
    func names(of unit: UnitName) -> [UnitName] {
        guard !targets.isEmpty else { return [] }
        let names = targets.keys.compactMap { try? UnitName($0) }.map { name in
            guard name.isTemplate, let instance = unit.instance else { return name }
            return (try? name.instantiated(instance)) ?? name
        }
        return Set(names.filter { resolve($0) == unit }).sorted()
    }
}
