import UnitFiles

/// `enable` and its siblings in the unit directories of this host: from names that people type to links. The daemon and
/// `holdfastctl` do it alike.
public struct UnitInstallation {
    public let loader: UnitLoader
    /// Decides.
    public let installer: Installer

    public init(_ loader: UnitLoader, _ configuration: Configuration) {
        self.loader = loader
        installer = Installer(loader: loader, runtimeDirectory: configuration.runtimeUnitDirectory)
    }

    /// The units that names mean.
    /// - Parameter mayBeMissing: a full name need not be that of a unit that there is.
    public func units(_ names: [String], mayBeMissing: Bool) throws(NameError) -> [UnitName] {
        var units: [UnitName] = []
        for name in names {
            if mayBeMissing, let unit = try? UnitName(name) {
                units.append(unit)
            } else {
                units.append(try loader.resolve(shortName: name).get())
            }
        }
        return units
    }

    /// How a unit stands to the start of the supervisor. Asked about by its own name, an alias is one.
    public func state(of name: String) -> (unit: UnitName?, state: UnitFileState) {
        let unit = (try? UnitName(name)) ?? (try? loader.resolve(shortName: name).get())
        return (unit, unit.map(installer.state(of:)) ?? .notFound)
    }

    /// Carries it out.
    /// - Returns: what was done, in words, and what is worth knowing.
    public func apply(_ changes: InstallChanges) throws -> (changes: [String], notes: [String]) {
        (try UnitLinks.apply(changes.changes), changes.notes)
    }
}
