import ControlProtocol
import Engine
import Linux
import UnitFiles
import UnitStore

/// Interface of the supervisor to planning.
protocol PlanningHost: AnyObject {
    /// The release of a template swap unit that serves, or served last.
    func release(of group: GroupID) -> String?
    func servingRelease(of group: GroupID) -> String?
    /// Running groups with relations to others.
    var relatedGroups: [GroupID] { get }
    /// The definition with which an instance was started.
    func definition(of instance: InstanceID) -> Definition?
    /// Definitions that the engine may still name.
    var definitionsInUse: Set<UInt64> { get }

    func logDiagnostics(_ diagnostics: [Diagnostic])
    /// Logs diagnostics, and returns the sentences for the client that starts the unit.
    func noteDiagnostics(_ diagnostics: [Diagnostic], of unit: UnitName) -> [String]
    /// The unit files were read again: their diagnostics are logged again.
    func unitFilesWereRead()
    /// Refuses if unaccounted processes of the group run.
    func refuseBesideUnaccounted(_ group: GroupID, _ verb: String) throws(ControlError)
    func record(_ definition: Definition)
    func endJournal(ofDefinition id: UInt64)
}

/// Unit files as they were last read, and the definitions of all that was planned from them.
///
/// - `PlanningDesk+Plans`: plans for the engine, from names in requests.
/// - `PlanningDesk+Graph`: the graph on which a transaction is decided.
final class PlanningDesk {
    unowned let host: any PlanningHost
    let machine: any Machine
    let configuration: Configuration
    let environment: [String: String]

    private(set) var resolver: SwapUnitResolver {
        didSet {
            (outdated, knownNodes) = ([:], [:])
            host.unitFilesWereRead()
        }
    }
    /// Facts about each unit that the graph of a transaction shows.
    var knownNodes: [UnitName: KnownNode] = [:]
    /// Whether a running definition differs from the unit files that `resolver` reads; determined once for each.
    private var outdated: [UInt64: Bool] = [:]
    /// Fingerprint of the files that `resolver` has loaded; nil before `start`.
    private var fingerprint: UnitFingerprint?
    /// Resource shortage that kept `resolver` from reading all files whole.
    private var shortage = ReadingShortage()

    private(set) var definitions: [UInt64: Definition] = [:]
    private(set) var lastDefinition: UInt64 = 0

    init(
        _ host: any PlanningHost, _ machine: any Machine, _ configuration: Configuration,
        _ environment: [String: String]
    ) {
        (self.host, self.machine) = (host, machine)
        (self.configuration, self.environment) = (configuration, environment)
        resolver = Self.freshResolver(machine, configuration, environment, shortage)
    }

    private static func freshResolver(
        _ machine: any Machine, _ configuration: Configuration, _ environment: [String: String],
        _ shortage: ReadingShortage?, in directories: [String]? = nil
    ) -> SwapUnitResolver {
        SwapUnitResolver(
            loader: UnitLoader(
                source: machine.units.source(shortage), searchPath: directories ?? configuration.unitDirectories,
                specifiers: machine.units.specifiers(configuration, environment: environment)))
    }

    /// Reads other directories than the configured ones, or these anew.
    func freshResolver(in directories: [String]? = nil) -> SwapUnitResolver {
        Self.freshResolver(machine, configuration, environment, nil, in: directories)
    }

    /// Finds out what there is to read. Throws a shortage of descriptors, in which no unit would be found.
    func start() throws(SystemError) {
        fingerprint = try machine.units.fingerprint(of: configuration.unitDirectories)
    }

    // MARK: - Reading

    /// Reads the unit files again if they have changed; before every request that starts a unit, because an operator
    /// who edits a unit and swaps means the present file.
    func refresh() throws(ControlError) {
        let now = try presentFingerprint()
        // Units that were read during a shortage of descriptors are read again.
        guard now != fingerprint || shortage.error != nil else { return }
        try read(now)
        host.logDiagnostics(resolver.loader.nameDiagnostics)
    }

    private func presentFingerprint() throws(ControlError) -> UnitFingerprint {
        do throws(SystemError) {
            return try machine.units.fingerprint(of: configuration.unitDirectories)
        } catch {
            throw unreadable(error)
        }
    }

    /// Reads all unit files or none: a directory that could not be read is not an empty one.
    private func read(_ now: UnitFingerprint) throws(ControlError) {
        let shortage = ReadingShortage()
        let fresh = Self.freshResolver(machine, configuration, environment, shortage)
        if let error = shortage.error { throw unreadable(error) }
        (fingerprint, self.shortage, resolver) = (now, shortage, fresh)
    }

    private func unreadable(_ error: SystemError) -> ControlError {
        .failed(message: "cannot read the unit files: \(error) (\(machine.processes.fileLimitText))")
    }

    /// Differences between two readings of the unit files.
    struct Update {
        var changed: [String] = []
        var added: [String] = []
        var removed: [String] = []
        var diagnostics: [Diagnostic] = []
    }

    /// Reads the unit files again. Running generations keep their definitions until they are swapped or restarted.
    func update() throws(ControlError) -> Update {
        let old = resolver
        try read(try presentFingerprint())
        let before = Set(old.loader.allNames())
        let after = Set(resolver.loader.allNames())
        var update = Update()
        var diagnostics = resolver.loader.nameDiagnostics
        for name in after.sorted() {
            let loaded = sample(name, resolver)
            diagnostics += loaded?.diagnostics ?? []
            guard before.contains(name) else { continue }
            if sample(name, old)?.unit?.definition.sources != loaded?.unit?.definition.sources {
                update.changed.append(name.description)
            }
        }
        update.added = after.subtracting(before).sorted().map(\.description)
        update.removed = before.subtracting(after).sorted().map(\.description)
        update.diagnostics = Diagnostic.inFileOrder(diagnostics)
        return update
    }

    /// The unit as loaded; for a template its last serving release, if there is one.
    private func sample(_ name: UnitName, _ resolver: SwapUnitResolver) -> LoadedUnit? {
        guard name.isTemplate else { return resolver.load(name) }
        let identity = resolver.owner(of: name)?.identity ?? name
        guard let release = host.release(of: GroupID(identity.description)),
            let instance = try? name.instantiated(release)
        else { return nil }
        return resolver.load(instance)
    }

    /// Drops a unit that was read for a name without a file of its own.
    func forget(_ name: UnitName) {
        resolver.removeFromCache(name)
        knownNodes[name] = nil
    }

    /// Drops units that were read for names without files of their own, if there are more.
    func forgetInstances(over limit: Int) {
        for name in resolver.removeInstances(exceeding: limit) { knownNodes[name] = nil }
    }

    // MARK: - Definitions

    func add(_ definition: Definition) { definitions[definition.id] = definition }

    /// Numbers of new definitions are above this one.
    func reserve(upTo number: UInt64) { lastDefinition = max(lastDefinition, number) }

    func nextDefinition() -> UInt64 {
        lastDefinition &+= 1
        return lastDefinition
    }

    func definitions(of plan: Plan) -> [Definition] { plan.services.compactMap { definitions[$0.definition] } }

    func dropUnusedDefinitions() {
        let used = host.definitionsInUse
        for id in definitions.keys.sorted() where !used.contains(id) {
            definitions[id] = nil
            outdated[id] = nil
            host.endJournal(ofDefinition: id)
        }
    }

    /// Whether the files differ from those with which the serving generation was started. Costs a comparison of texts,
    /// once after each reading of the disk.
    func isOutdated(_ view: GroupView) -> Bool {
        guard let serving = view.generations.first(where: { $0.number == view.serving }) else { return false }
        return serving.services.contains { service in
            guard let running = host.definition(of: service.instance) else { return false }
            if let known = outdated[running.id] { return known }
            let differs = running.units.contains { unit in
                // A missing file is no newer definition.
                guard let now = resolver.load(unit.name).unit?.definition else { return false }
                return now.sources != unit.sources
            }
            outdated[running.id] = differs
            return differs
        }
    }
}
