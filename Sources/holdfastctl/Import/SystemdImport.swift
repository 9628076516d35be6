import UnitFiles

/// A unit of systemd: its file, and its drop-ins in the order in which they apply.
struct InstalledUnit {
    var name: UnitName
    var texts: [(path: String, text: String)]
}

/// Translates an installed service of systemd and its sockets to units of Holdfast; most of the text stays the same.
enum SystemdImport {
    /// - Parameter units: a service and its sockets. References to units outside this list are left out.
    static func translate(_ units: [InstalledUnit]) -> ImportResult {
        let names = Set(units.map(\.name.description))
        let hasSocket = units.contains { $0.name.kind == .socket }
        var result = ImportResult()
        for unit in units { result.units.append(translate(unit, together: names, hasSocket: hasSocket)) }
        result.omitUnsupported()
        return result
    }

    private static func translate(_ unit: InstalledUnit, together names: Set<String>, hasSocket: Bool) -> ImportedUnit {
        let paths = unit.texts.map(\.path).joined(separator: ", ")
        var imported = ImportedUnit(name: unit.name.description, about: "Made from \(paths) by holdfastctl import.")
        let assignments = unit.texts.flatMap { UnitFileParser.parse($0.text, path: $0.path).assignments }
        var sections: [String] = []
        for assignment in assignments where !sections.contains(assignment.section) {
            sections.append(assignment.section)
        }
        if unit.name.kind == .service, !hasSocket, !sections.contains("X-Swap") {
            imported.comment(
                "No [X-Swap] section: the service binds its own port, so two generations cannot run at once. For deployments "
                    + "without lost requests, move the address to a .socket unit, if the program supports passed sockets "
                    + "(LISTEN_FDS).")
        }
        for section in sections where !isForeign(section) {
            imported.section(section)
            for assignment in assignments where assignment.section == section {
                add(assignment, to: &imported, together: names)
            }
            if section == "Service", hasSocket, !sections.contains("X-Swap") { addSwap(to: &imported) }
        }
        return imported
    }

    /// Whether the section belongs to another program: systemd does not read it either.
    private static func isForeign(_ section: String) -> Bool { section.hasPrefix("X-") && section != "X-Swap" }

    private static func add(_ assignment: Assignment, to unit: inout ImportedUnit, together names: Set<String>) {
        let origin = "\(assignment.keyLocation.file):\(assignment.keyLocation.line)"
        guard assignment.section == "Unit", unitListDirectives.contains(assignment.key) else {
            unit.set(assignment.key, assignment.value, from: origin)
            return
        }
        // Only the imported units exist here. A name with `%` is known when the unit runs: the template's own instance.
        let all = assignment.value.split(separator: " ").map(String.init)
        let kept = all.filter { names.contains($0) || $0.contains("%") }
        let before = all.filter { !kept.contains($0) && isBasicSystemUnit($0) }
        let others = all.filter { !kept.contains($0) && !isBasicSystemUnit($0) }
        if !before.isEmpty {
            unit.comment(
                "\(assignment.key)=\(before.joined(separator: " ")) is not needed: systemd starts Holdfast after the basic "
                    + "system.")
        }
        if !others.isEmpty {
            unit.omit(
                .init(key: assignment.key, value: others.joined(separator: " "), origin: origin),
                because:
                    "Holdfast has no such unit. If you import it as well, add it here; if systemd keeps it, order "
                    + "holdfast.service after it (systemctl edit holdfast).")
        }
        if !kept.isEmpty || all.isEmpty { unit.set(assignment.key, kept.joined(separator: " "), from: origin) }
    }

    private static let unitListDirectives: Set<String> = [
        "After", "Before", "Wants", "Requires", "Requisite", "BindsTo", "PartOf", "Upholds", "Conflicts",
        "OnFailure", "OnSuccess", "PropagatesReloadTo", "ReloadPropagatedFrom", "PropagatesStopTo",
        "StopPropagatedFrom",
        "JoinsNamespaceOf",
    ]

    /// Targets that are reached before systemd starts holdfast.service, or that only serve to shut down.
    private static func isBasicSystemUnit(_ name: String) -> Bool {
        [
            "network.target", "network-pre.target", "sysinit.target", "basic.target", "local-fs.target",
            "remote-fs.target",
            "nss-lookup.target", "nss-user-lookup.target", "time-sync.target", "syslog.target", "syslog.service",
            "syslog.socket", "sockets.target", "paths.target", "timers.target", "systemd-tmpfiles-setup.service",
            "systemd-sysusers.service", "systemd-journald.socket", "system.slice", "-.mount", "shutdown.target",
            "umount.target", "dbus.service", "dbus.socket", "tmp.mount", "local-fs-pre.target", "rsyslog.service",
            "auditd.service", "systemd-user-sessions.service", "systemd-logind.service",
        ].contains(name)
    }

    private static func addSwap(to unit: inout ImportedUnit) {
        unit.section("X-Swap")
        unit.comment(
            "Added: `holdfastctl swap` and `restart` start the next generation beside this one, on the same sockets. See "
                + "holdfast.unit(5) for ReadyProbe=, SoakSec= and DrainTimeoutSec=. If two generations must never run at once, add "
                + "Strategy=queue.")
    }
}
