/// The units to start when the supervisor starts.
///
/// systemd's own boot targets always count as reached. Every unit linked into the `.wants/` directory of one of them is
/// therefore wanted from the beginning, as under systemd: by `multi-user.target`, by `sockets.target`, or by a local
/// `default.target`. Targets of shutdown, rescue mode and the initial RAM disk are never reached.
public enum BootUnits {
    /// - Returns: units in the order of their targets and names; a template stands for the release that served last.
    public static func wanted(_ loader: UnitLoader) -> [UnitReference] {
        var found: [UnitReference] = []
        for target in SpecialUnits.reachedTargets {
            guard let name = try? UnitName(target) else { continue }
            let canonical = loader.canonical(name)
            if canonical != name {
                // An alias, such as `default.target` for a local target: that target pulls in the units that it wants.
                found.append(UnitReference(canonical, at: SourceLocation(file: loader.fragmentPath(of: name) ?? "")))
                continue
            }
            // A target with a file of its own may also name units in it.
            let unit = loader.load(name).unit?.definition.unit
            found += (unit?.wants ?? []) + (unit?.requires ?? [])
            found += loader.wanted(by: name)
        }
        return UnitBuilder.unique(found)
    }
}
