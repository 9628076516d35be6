/// Units that have several names: a link from one unit file to another of another name (systemd.unit(5), "Aliases").
struct UnitAliases: Sendable {
    /// File name of the link -> what it leads to.
    private var targets: [String: UnitName] = [:]

    var isEmpty: Bool { targets.isEmpty }

    /// Takes note of a link if it is an alias: to a unit of the same kind, template to template, plain to plain. A link from
    /// an instance to its template is no alias but a file of its own; to another template, it stands for its instance of that.
    ///
    /// - Parameter isInside: it leads to a file of the search path; else the unit is what the file says, whatever its name.
    /// - Returns: why the link counts for nothing, as under systemd; nil if it counts.
    mutating func add(_ name: UnitName, leadingTo target: String, isInside: Bool) -> String? {
        guard isInside else { return nil }
        let file = target.utf8.lastIndex(of: UInt8(ascii: "/")).map { target[target.utf8.index(after: $0)...] }
        guard let other = try? UnitName(file ?? target[...]), other != name else { return nil }
        guard other.kind == name.kind else {
            return "a link to \(other), which is no \(name.kind.suffix) unit, is ignored"
        }
        if let instance = name.instance, other.isTemplate {
            if other != name.template { targets[name.description] = try? other.instantiated(instance) }
            return nil
        }
        guard name.isTemplate == other.isTemplate, name.instance == other.instance else {
            return "a link to \(other) is ignored: an alias has the same instance, or is a template of a template"
        }
        targets[name.description] = other
        return nil
    }

    /// Forgets those that lead to nothing that exists: such a link is the unit itself, from somewhere else.
    mutating func keep(where exists: (UnitName) -> Bool) {
        targets = targets.filter { exists(resolve($0.value)) }
    }

    func isAlias(_ name: UnitName) -> Bool { targets[name.description] != nil }

    /// The name that the unit is known by; a name that is no alias stays as it is.
    func resolve(_ name: UnitName) -> UnitName {
        guard !targets.isEmpty else { return name }
        var current = name
        // Links that lead in a circle end somewhere; where does not matter, the unit cannot be read then.
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

    /// All names that lead to the unit; to an instance also those of its template, instantiated.
    func names(of unit: UnitName) -> [UnitName] {
        guard !targets.isEmpty else { return [] }
        let names = targets.keys.compactMap { try? UnitName($0) }.map { name in
            guard name.isTemplate, let instance = unit.instance else { return name }
            return (try? name.instantiated(instance)) ?? name
        }
        return Set(names.filter { resolve($0) == unit }).sorted()
    }
}
