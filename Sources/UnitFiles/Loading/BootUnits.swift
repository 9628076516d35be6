/// What is started when the supervisor starts.
///
/// Systemd's own targets are always reached here, so whatever is linked into the `.wants/` directory of one of them is wanted
/// from the beginning, as under systemd: `multi-user.target` as well as `sockets.target` or a `default.target` of one's own.
/// Those of a shutdown, of rescue and of the initial RAM disk are never reached.
public enum BootUnits {
    /// - Returns: units in the order of their targets and names; a template stands for the release that served last.
    public static func wanted(_ loader: UnitLoader) -> [UnitReference] {
        var found: [UnitReference] = []
        for target in SpecialUnits.reachedTargets {
            guard let name = try? UnitName(target) else { continue }
            let canonical = loader.canonical(name)
            if canonical != name {
                // `default.target` as an alias of a target of one's own, which brings what it wants.
                found.append(UnitReference(canonical, at: SourceLocation(file: loader.fragmentPath(of: name) ?? "")))
                continue
            }
            // One that has a file may also name units in it.
            let unit = loader.load(name).unit?.definition.unit
            found += (unit?.wants ?? []) + (unit?.requires ?? [])
            found += loader.wanted(by: name)
        }
        return UnitBuilder.unique(found)
    }
}
