import ArgumentParser
import ControlProtocol
import Glibc

/// Diagnostics from the daemon's last reading of unit files.
extension Session {
    /// Prints errors of unit files on standard error.
    func report(_ diagnostics: [UnitDiagnostic]) {
        for diagnostic in diagnostics {
            emit(InventoryText.diagnostic(diagnostic, errors) + "\n", to: STDERR_FILENO)
        }
    }
}

extension UpdateReply {
    fileprivate var status: CommandStatus { diagnostics.contains { $0.severity == .error } ? .failure : .ok }
}

struct RereadCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "reread", abstract: "Read the unit files again and say what changed; change nothing.",
        discussion: "What runs keeps the definition that it was started with until its next start or swap.")
    @OptionGroup var global: GlobalOptions

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let reply = try session.ask(.update, UpdateReply.self)
        session.show(InventoryText.reread(reply))
        session.report(reply.diagnostics)
        return reply.status
    }
}

struct UpdateCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Read the unit files again and bring what runs up to date.",
        discussion: """
            What runs with an older definition than its files have now is restarted (a swap unit is swapped, so nothing \
            is lost), one after the other; what has no file any more is stopped. With names, only these.
            """)
    @OptionGroup var global: GlobalOptions
    @Argument(help: severalNames, completion: .units) var names: [String] = []

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let reply = try session.ask(.update, UpdateReply.self)
        session.report(reply.diagnostics)
        let (listed, unknown) = try session.askAboutKnown(names) { names throws(CommandFailure) in
            try session.quietly.ask(.list(names: names.isEmpty ? nil : names, sockets: false), ListReply.self)
        }
        let isChosen = { (unit: String) in names.isEmpty || listed.units.contains { $0.unit == unit } }
        let running = listed.units.filter { $0.state != .stopped && $0.state != .failed }
        let gone = reply.removed.filter { unit in running.contains { $0.unit == unit } }
        let old = running.filter { $0.outdated == true && !gone.contains($0.unit) }
        session.show(reply.added.filter(isChosen).map { Text.harmless("\($0): available") })
        if gone.isEmpty, old.isEmpty {
            if reply.added.isEmpty { session.show(["Nothing to update"]) }
            return [reply.status, unknown].first { $0 != .ok } ?? .ok
        }
        let stopped = try forEach(gone, session) { name throws(CommandFailure) in
            try session.operate(.stop(name: name), .stop, name)
        }
        let restarted = try forEach(Names.operands(old, .runningOnly), session) { name throws(CommandFailure) in
            try session.operate(.restart(name: name, hard: false), .restart, name)
        }
        return [stopped, restarted, reply.status, unknown].first { $0 != .ok } ?? .ok
    }
}

struct AddCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Read the unit files again and start units that are new there.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: severalNames, completion: .units) var names: [String]

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        _ = try session.quietly.ask(.update, UpdateReply.self)
        return try session.operateAll(session.operands(names, .starting), .start) { .start(name: $0, hold: false) }
    }
}

struct RemoveCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Forget units that do not run: that they failed, and the sockets held for them.",
        discussion: "Their files stay; with the files gone they are not listed any more.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: severalNames, completion: .units) var names: [String]

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        var targets: [String] = []
        for name in names {
            guard Names.isPattern(name) else {
                targets.append(name)
                continue
            }
            let listed = try session.quietly.ask(.list(names: [name], sockets: false), ListReply.self)
            targets += listed.units.filter { $0.state == .stopped || $0.state == .failed }.map(\.unit)
        }
        return try forEach(session.distinct(targets), session) { name throws(CommandFailure) in
            let reply = try session.ask(.forget(name: name), ListReply.self)
            session.show(reply.units.map { Text.harmless("\($0.unit): removed") })
            return .ok
        }
    }
}

struct AvailCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "avail", abstract: "List the units that there are, and whether they are in use.")
    @OptionGroup var global: GlobalOptions
    @OptionGroup var watching: WatchOption
    @Flag(help: "Socket units, too.") var sockets = false
    @Argument(help: severalNames, completion: .units) var names: [String] = []

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let request = Request.list(names: names.isEmpty ? nil : names, sockets: sockets)
        return try session.list(watch: watching, names) { session throws(CommandFailure) in
            (InventoryText.avail(try session.ask(request, ListReply.self).units, session.output), .ok)
        }
    }
}
