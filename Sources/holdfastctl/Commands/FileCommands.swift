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
        commandName: "reread", abstract: "Read the unit files again and print the differences; change nothing.",
        discussion: "Running units keep their definition until their next start or swap.")
    static let operands = OperandKind.none
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
        commandName: "update", abstract: "Read the unit files again and apply them to running units.",
        discussion: """
            Restarts running units whose files have changed, one after the other (a swap unit is swapped, so that no \
            request is lost), and stops running units without a file. With names, only these units.
            """)
    @OptionGroup var global: GlobalOptions
    @Argument(help: severalNames, completion: .units) var names: [String] = []

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let reply = try session.ask(.update, UpdateReply.self)
        session.report(reply.diagnostics)
        let (listed, unknown) = try session.askSkippingUnknown(names) { names throws(CommandFailure) in
            try session.quiet.ask(.list(names: names.isEmpty ? nil : names, sockets: false), ListReply.self)
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
        commandName: "add", abstract: "Read the unit files again and start new units.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: severalNames, completion: .units) var names: [String]

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        _ = try session.quiet.ask(.update, UpdateReply.self)
        return try session.operateAll(session.operands(names, .starting), .start) { .start(name: $0, hold: false) }
    }
}

struct RemoveCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Forget the failures of units that do not run, and close the sockets held for them.",
        discussion: "The unit files stay; a unit without files is no longer listed.")
    @OptionGroup var global: GlobalOptions
    @Argument(help: severalNames, completion: .units) var names: [String]

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        var targets: [String] = []
        for name in names {
            guard Names.isPattern(name) else {
                targets.append(name)
                continue
            }
            let listed = try session.quiet.ask(.list(names: [name], sockets: false), ListReply.self)
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
        commandName: "avail", abstract: "List all units, and whether they are in use.")
    static let operands = OperandKind.unitsOrAll
    @OptionGroup var global: GlobalOptions
    @OptionGroup var watching: WatchOption
    @Flag(help: "Include socket units.") var sockets = false
    @Argument(help: severalNames, completion: .units) var names: [String] = []

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let request = Request.list(names: names.isEmpty ? nil : names, sockets: sockets)
        return try session.showList(watch: watching, names) { session throws(CommandFailure) in
            (InventoryText.avail(try session.ask(request, ListReply.self).units, session.output), .ok)
        }
    }
}
