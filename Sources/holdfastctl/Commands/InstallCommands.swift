import ArgumentParser
import ControlProtocol
import Linux
import UnitFiles
import UnitStore

private let unitNames: ArgumentHelp = "Units; the suffix may be left out."
private let runtimeHelp: ArgumentHelp = "Until the next boot only."
private let nowHelp: ArgumentHelp = "Also do it now: start what is enabled, stop what is disabled or masked."
private let unitsHelp: ArgumentHelp = "A unit directory instead of the standard ones; may be repeated."

/// A command that changes links in the unit directories. It does so itself, with the rights of who calls it: so it works for
/// an image that is being built and in a package's scripts, where no daemon runs.
protocol InstallCommand: ControlCommand {
    var unitDirectories: [String] { get }
}

extension InstallCommand {
    /// The units that the names mean.
    func units(_ names: [String], _ loader: UnitLoader) throws(CommandFailure) -> [UnitName] {
        var units: [UnitName] = []
        for name in names {
            switch loader.resolve(shortName: name) {
            case .success(let unit): units.append(unit)
            case .failure(let error): throw .local("\(error)")
            }
        }
        return units
    }

    func change(
        _ session: Session, _ places: UnitPlaces, _ decide: (Installer) throws(InstallError) -> InstallChanges
    ) throws(CommandFailure) {
        let installer = Installer(
            loader: places.loader, runtimeDirectory: places.configuration.runtimeUnitDirectory)
        let changes: InstallChanges
        do throws(InstallError) {
            changes = try decide(installer)
        } catch {
            throw .local("\(error)")
        }
        do throws(SystemError) {
            session.show(try UnitLinks.apply(changes.changes).map { Text.harmless($0) })
        } catch {
            throw .local("\(error)")
        }
        for note in changes.notes { complain(note) }
    }
}

struct EnableCommand: InstallCommand {
    static let configuration = CommandConfiguration(
        commandName: "enable", abstract: "Start units whenever the supervisor starts.",
        discussion: """
            Makes the links that the units' [Install] sections ask for, in the highest unit directory. Whatever is wanted \
            by one of systemd's own targets (multi-user.target, sockets.target, default.target, …) is started with the \
            supervisor; of a swap unit that is a template, the release that served last.

            Examples:
              holdfastctl enable app                app.service, by its WantedBy=
              holdfastctl enable --now site@v3      and start release v3
            """)
    @OptionGroup var global: GlobalOptions
    @Flag(help: nowHelp) var now = false
    @Flag(help: runtimeHelp) var runtime = false
    @Option(name: .customLong("units"), help: unitsHelp) var unitDirectories: [String] = []
    @Argument(help: unitNames) var names: [String]

    func execute(_ session: Session) throws(CommandFailure) -> ExitStatus {
        let places = UnitPlaces(global, session, named: unitDirectories)
        let units = try units(names, places.loader)
        try change(session, places) { installer throws(InstallError) in try installer.enable(units, runtime: runtime) }
        guard now else { return .ok }
        return try forEach(units.map(\.description), session) { name throws(CommandFailure) in
            try session.operate(.start(name: name, hold: false), .start, name)
        }
    }
}

struct DisableCommand: InstallCommand {
    static let configuration = CommandConfiguration(
        commandName: "disable", abstract: "No longer start units whenever the supervisor starts.",
        discussion: "Removes every link to the units from the highest unit directory. What runs goes on, unless --now.")
    @OptionGroup var global: GlobalOptions
    @Flag(help: nowHelp) var now = false
    @Flag(help: runtimeHelp) var runtime = false
    @Option(name: .customLong("units"), help: unitsHelp) var unitDirectories: [String] = []
    @Argument(help: unitNames) var names: [String]

    func execute(_ session: Session) throws(CommandFailure) -> ExitStatus {
        let places = UnitPlaces(global, session, named: unitDirectories)
        let units = try units(names, places.loader)
        try change(session, places) { installer throws(InstallError) in try installer.disable(units, runtime: runtime) }
        guard now else { return .ok }
        return try forEach(units.map(\.description), session) { name throws(CommandFailure) in
            try session.operate(.stop(name: name), .stop, name)
        }
    }
}

struct MaskCommand: InstallCommand {
    static let configuration = CommandConfiguration(
        commandName: "mask", abstract: "Make units impossible to start.",
        discussion:
            "Links them to /dev/null in the highest unit directory. A unit file that lies there is not replaced.")
    @OptionGroup var global: GlobalOptions
    @Flag(help: nowHelp) var now = false
    @Flag(help: runtimeHelp) var runtime = false
    @Option(name: .customLong("units"), help: unitsHelp) var unitDirectories: [String] = []
    @Argument(help: "Units, with their suffix if they do not exist.") var names: [String]

    func execute(_ session: Session) throws(CommandFailure) -> ExitStatus {
        let places = UnitPlaces(global, session, named: unitDirectories)
        let units = try namedUnits(names, places.loader)
        // A unit that is masked has no definition to stop it by, so it is stopped before.
        var status = ExitStatus.ok
        if now {
            status = try forEach(units.map(\.description), session) { name throws(CommandFailure) in
                try session.operate(.stop(name: name), .stop, name)
            }
        }
        try change(session, places) { installer throws(InstallError) in try installer.mask(units, runtime: runtime) }
        return status
    }
}

struct UnmaskCommand: InstallCommand {
    static let configuration = CommandConfiguration(
        commandName: "unmask", abstract: "Make units that were masked possible to start again.")
    @OptionGroup var global: GlobalOptions
    @Flag(help: runtimeHelp) var runtime = false
    @Option(name: .customLong("units"), help: unitsHelp) var unitDirectories: [String] = []
    @Argument(help: "Units, with their suffix if they do not exist otherwise.") var names: [String]

    func execute(_ session: Session) throws(CommandFailure) -> ExitStatus {
        let places = UnitPlaces(global, session, named: unitDirectories)
        let units = try namedUnits(names, places.loader)
        try change(session, places) { installer throws(InstallError) in try installer.unmask(units, runtime: runtime) }
        return .ok
    }
}

extension InstallCommand {
    /// Units by names that need not exist.
    fileprivate func namedUnits(_ names: [String], _ loader: UnitLoader) throws(CommandFailure) -> [UnitName] {
        var units: [UnitName] = []
        for name in names {
            if let unit = try? UnitName(name) {
                units.append(unit)
            } else {
                units += try self.units([name], loader)
            }
        }
        return units
    }
}

struct IsEnabledCommand: InstallCommand {
    static let configuration = CommandConfiguration(
        commandName: "is-enabled", abstract: "Say how units stand to the start of the supervisor.",
        discussion: """
            Prints enabled, enabled-runtime, static, indirect, alias, disabled, masked, masked-runtime, bad or not-found \
            for each. Ends with 0 if at least one of them is enabled, static, indirect or an alias, else with 1.
            """)
    @OptionGroup var global: GlobalOptions
    @Flag(name: .shortAndLong, help: "Print nothing.") var quiet = false
    @Option(name: .customLong("units"), help: unitsHelp) var unitDirectories: [String] = []
    @Argument(help: unitNames) var names: [String]

    func execute(_ session: Session) throws(CommandFailure) -> ExitStatus {
        let places = UnitPlaces(global, session, named: unitDirectories)
        let loader = places.loader
        let installer = Installer(loader: loader, runtimeDirectory: places.configuration.runtimeUnitDirectory)
        var isEnabled = false
        for name in names {
            // Asked about by its own name, an alias is one.
            let unit = (try? UnitName(name)) ?? (try? loader.resolve(shortName: name).get())
            let state = unit.map(installer.state(of:)) ?? .notFound
            isEnabled = isEnabled || state.countsAsEnabled
            if !quiet { session.show([state.rawValue]) }
        }
        return isEnabled ? .ok : .failure
    }
}
