import UnitFiles

/// `enable` and its siblings on this host, from typed names to links, for both the daemon and `holdfastctl`.
public struct UnitInstallation {
    public let loader: UnitLoader
    /// Decides which links to change.
    public let installer: Installer

    public init(_ loader: UnitLoader, _ configuration: Configuration) {
        self.loader = loader
        installer = Installer(loader: loader, runtimeDirectory: configuration.runtimeUnitDirectory)
    }

    /// The units with the names.
    /// - Parameter mayBeMissing: accepts a full name without a unit of that name.
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

    /// The state of a unit's file; an alias has the state `alias`.
    public func state(of name: String) -> (unit: UnitName?, state: UnitFileState) {
        let unit = (try? UnitName(name)) ?? (try? loader.resolve(shortName: name).get())
        return (unit, unit.map(installer.state(of:)) ?? .notFound)
    }

    /// Applies the changes.
    /// - Returns: a text for each change, and notes for the caller.
    public func apply(_ changes: InstallChanges) throws -> (changes: [String], notes: [String]) {
        (try UnitLinks.apply(changes.changes), changes.notes)
    }
}
