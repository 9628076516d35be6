import ArgumentParser
import ControlProtocol
import Linux
import UnitFiles
import UnitStore

private let unitNames: ArgumentHelp = "Units, with or without their suffix."
private let nowHelp: ArgumentHelp = "Also start enabled units, or stop disabled or masked units, at once."

/// Options of the commands that change links.
struct ChangeOptions: ParsableArguments {
    @Flag(help: "Until the next boot only.") var runtime = false
    @OptionGroup var directories: DirectoryOptions
}

/// A command that works on links in the unit directories. It does so itself, with the caller's rights, so that it also
/// works where no daemon runs: in an image that is being built and in a package's scripts.
protocol InstallCommand: ControlCommand {
    var directories: DirectoryOptions { get }
}

/// A command that changes links.
protocol LinkChange: InstallCommand {
    var options: ChangeOptions { get }
}

extension LinkChange {
    var directories: DirectoryOptions { options.directories }
}

extension InstallCommand {
    fileprivate func places(_ session: Session) throws(CommandFailure) -> UnitInstallation {
        let places = try UnitDirectories(global, session, named: directories.named)
        return UnitInstallation(places.loader, places.configuration)
    }

    /// Turns an error of unit files or links into a failure of the command.
    fileprivate func locally<T>(_ body: () throws -> T) throws(CommandFailure) -> T {
        do {
            return try body()
        } catch {
            throw .local("\(error)")
        }
    }

    /// Changes the links as `decide` returns them, and prints the changes.
    fileprivate func change(
        _ session: Session, _ places: UnitInstallation, _ decide: (Installer) throws -> InstallChanges
    ) throws(CommandFailure) {
        let done = try locally { try places.apply(decide(places.installer)) }
        session.show(done.changes.map { Text.harmless($0) })
        session.printJSON(InstallReply(changes: done.changes, notes: done.notes))
        for note in done.notes { printError(note) }
    }

    /// Starts or stops the units for `--now`.
    fileprivate func operate(
        _ units: [UnitName], _ verb: OperationVerb, _ session: Session, _ request: (String) -> Request
    ) throws(CommandFailure) -> CommandStatus {
        try forEach(units.map(\.description), session) { name throws(CommandFailure) in
            try session.operate(request(name), verb, name)
        }
    }
}

struct EnableCommand: LinkChange {
    static let configuration = CommandConfiguration(
        commandName: "enable", abstract: "Start units together with the supervisor.",
        discussion: """
            Makes the links of the units' [Install] sections in the highest unit directory. Units wanted by one of \
            systemd's own targets (multi-user.target, sockets.target, default.target, …) are started with the supervisor; \
            for a template that is a swap unit, the release that served last.

            Examples:
              holdfastctl enable app                app.service, by its WantedBy=
              holdfastctl enable --now site@v3      and start release v3
            """)
    @OptionGroup var global: GlobalOptions
    @OptionGroup var options: ChangeOptions
    @Flag(help: nowHelp) var now = false
    @Argument(help: unitNames) var names: [String]

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let places = try places(session)
        let units = try locally { try places.units(names, mayBeMissing: false) }
        try change(session, places) { try $0.enable(units, runtime: options.runtime) }
        return now ? try operate(units, .start, session) { .start(name: $0, hold: false) } : .ok
    }
}

struct DisableCommand: LinkChange {
    static let configuration = CommandConfiguration(
        commandName: "disable", abstract: "No longer start units together with the supervisor.",
        discussion:
            "Removes every link to the units from the highest unit directory. Running units keep running, unless --now."
    )
    @OptionGroup var global: GlobalOptions
    @OptionGroup var options: ChangeOptions
    @Flag(help: nowHelp) var now = false
    @Argument(help: unitNames) var names: [String]

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let places = try places(session)
        let units = try locally { try places.units(names, mayBeMissing: false) }
        try change(session, places) { try $0.disable(units, runtime: options.runtime) }
        return now ? try operate(units, .stop, session) { StopCommand.request($0, of: units.map(\.description)) } : .ok
    }
}

struct MaskCommand: LinkChange {
    static let configuration = CommandConfiguration(
        commandName: "mask", abstract: "Prevent units from being started.",
        discussion:
            "Links them to /dev/null in the highest unit directory. An existing unit file there is not replaced.")
    @OptionGroup var global: GlobalOptions
    @OptionGroup var options: ChangeOptions
    @Flag(help: nowHelp) var now = false
    @Argument(help: "Units, with their suffix if they do not exist.") var names: [String]

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let places = try places(session)
        let units = try locally { try places.units(names, mayBeMissing: true) }
        // A masked unit has no definition to stop it by, so it is stopped first.
        let status =
            now ? try operate(units, .stop, session) { StopCommand.request($0, of: units.map(\.description)) } : .ok
        try change(session, places) { try $0.mask(units, runtime: options.runtime) }
        return status
    }
}

struct UnmaskCommand: LinkChange {
    static let configuration = CommandConfiguration(
        commandName: "unmask", abstract: "Allow masked units to be started again.")
    @OptionGroup var global: GlobalOptions
    @OptionGroup var options: ChangeOptions
    @Argument(help: "Units, with their suffix if they have no other file.") var names: [String]

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let places = try places(session)
        let units = try locally { try places.units(names, mayBeMissing: true) }
        try change(session, places) { try $0.unmask(units, runtime: options.runtime) }
        return .ok
    }
}

struct IsEnabledCommand: InstallCommand {
    static let configuration = CommandConfiguration(
        commandName: "is-enabled", abstract: "Show whether units start together with the supervisor.",
        discussion: """
            Prints enabled, enabled-runtime, static, indirect, alias, disabled, masked, masked-runtime, bad or not-found \
            for each unit. Exit status 0 if at least one is enabled, static, indirect or an alias, else 1.
            """)
    @OptionGroup var global: GlobalOptions
    @Flag(name: .shortAndLong, help: "Print nothing.") var quiet = false
    @OptionGroup var directories: DirectoryOptions
    @Argument(help: unitNames) var names: [String]

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let places = try places(session)
        var isEnabled = false
        var states: [UnitFileStatus] = []
        for name in names {
            let (unit, state) = places.state(of: name)
            isEnabled = isEnabled || state.countsAsEnabled
            if !quiet { session.show([state.rawValue]) }
            // Words of the protocol have no dashes.
            guard let word = UnitFileStateWord(rawValue: state.rawValue.replacing("-", with: "_")) else { continue }
            states.append(UnitFileStatus(unit: unit?.description ?? name, state: word))
        }
        if !quiet { session.printJSON(UnitFileStatesReply(units: states)) }
        return isEnabled ? .ok : .failure
    }
}
