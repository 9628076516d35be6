import ControlProtocol
import Engine
import Linux
import UnitFiles

/// A service that has a held socket.
struct SocketSharer {
    /// `web@v2.service (generation 2)`
    let name: String
    /// It races with others for each connection, so accept(2) must not wait.
    let mustNotBlock: Bool
}

/// What a process has done to a held socket.
struct ObservedChange: Codable {
    var change: AttributeChange
    /// Services that had the socket at that time, the latest first.
    var suspects: [String]
    /// Seconds since 1970, of the last time.
    var at: Int64
    /// In a row by the same.
    var count: Int
}

/// Who had a socket, and what was done to it.
struct SocketSharers {
    private(set) var present: [InstanceID: SocketSharer] = [:]
    /// They had it since the last look, and are gone.
    private var former: [String] = []
    /// By attribute.
    var changes: [String: ObservedChange] = [:]

    var mustNotBlock: Bool { present.values.contains(where: \.mustNotBlock) }

    /// Since the last look, the latest first.
    var suspects: [String] {
        let names = present.sorted { $0.key > $1.key }.map(\.value.name) + former.reversed()
        var seen: Set<String> = []
        return names.filter { seen.insert($0).inserted }
    }

    mutating func add(_ id: InstanceID, _ sharer: SocketSharer) { present[id] = sharer }

    mutating func remove(_ id: InstanceID) {
        guard let sharer = present.removeValue(forKey: id) else { return }
        former = former.filter { $0 != sharer.name } + [sharer.name]
    }

    /// What was done until now is known.
    mutating func looked() { former = [] }

    /// Whether it is worth a line in the log: the same by the same is one, once a minute.
    mutating func note(_ change: AttributeChange, at now: Int64) -> Bool {
        let before = changes[change.attribute]
        let isSame = before?.change == change && before?.suspects == suspects
        changes[change.attribute] = ObservedChange(
            change: change, suspects: suspects, at: now, count: isSame ? (before?.count ?? 0) + 1 : 1)
        return !isSame || now - (before?.at ?? 0) >= 60
    }
}

/// Options, filters and flags of a held socket belong to all who share it, and outlive whoever sets them. The unit file says
/// what they are; so whenever a service that has the socket came, went or is about to come, they are put back.
extension Supervisor {
    /// Of a run of an instance that begins.
    func noteSharer(_ instance: RunningInstance) {
        guard let generation = generations[instance.generation] else { return }
        let isSwapped = engine.isSwapUnit(instance.definition.group)
        let name = instance.name + (isSwapped ? " (generation \(instance.generation.number))" : "")
        let input = inputFIFO(of: instance)
        for held in passedSockets(instance, generation) {
            let mustNotBlock = instance.definition.unit.nonBlocking || isSwapped && held !== input
            held.sharers.add(instance.id, SocketSharer(name: name, mustNotBlock: mustNotBlock))
        }
    }

    /// Nothing of a run is left.
    func dropSharer(_ instance: RunningInstance) {
        guard let generation = generations[instance.generation] else { return }
        let list = passedSockets(instance, generation)
        for held in list { held.sharers.remove(instance.id) }
        lookAtSockets(list)
    }

    private func passedSockets(_ instance: RunningInstance, _ generation: GenerationResources) -> [HeldSocket] {
        guard instance.connection == nil else { return [] }
        return instance.definition.sockets.flatMap { generation.sockets[$0.name.description] ?? [] }
    }

    /// Of an instance that has come or gone.
    func lookAtSockets(of instance: RunningInstance) {
        guard let generation = generations[instance.generation] else { return }
        lookAtSockets(passedSockets(instance, generation))
    }

    func lookAtSockets(_ list: [HeldSocket]) {
        for held in list { lookAtSocket(held) }
    }

    /// Puts back what processes have changed, and says who had the socket.
    func lookAtSocket(_ held: HeldSocket) {
        let isAlone = held.sharers.present.isEmpty && held.unit.name.description != HeldSockets.multibinderUnit
        // Our own accept(2) must not wait. Whoever had it could have it as he liked.
        if isAlone, held.endpoint.connected != nil { try? held.endpoint.setNonBlocking(true) }
        let changes = held.endpoint.putBack(nonBlocking: held.sharers.mustNotBlock ? true : nil)
        for change in changes { note(change, of: held) }
        if isAlone, held.endpoint.isBeyondRepair { renew(held) }
        held.sharers.looked()
        if !changes.isEmpty { journal(held) }
    }

    /// Nobody else has it: then another one can take its place.
    private func renew(_ held: HeldSocket) {
        guard case .socket(let socket) = held.endpoint else { return }
        do throws(SystemError) {
            try socket.renew()
            log(.warning, about: "\(held.unit.name)", "\(held.unit.name): a new socket is at \(held.endpoint.text)")
            if let failure = sockets?.watchAgain(held) { throw failure }
        } catch {
            log(.error, about: "\(held.unit.name)", "\(held.unit.name): \(held.endpoint.text): \(error)")
        }
    }

    /// For `sockets`, `why` and the log.
    func note(_ change: AttributeChange, of held: HeldSocket) {
        let suspects = held.sharers.suspects
        guard held.sharers.note(change, at: WallClock.seconds) else { return }
        log(
            .warning, about: "\(held.unit.name)",
            "\(held.unit.name): \(held.endpoint.text): \(Wording.sentence(change, by: suspects))")
    }

    /// All services that have sockets, after another process of the supervisor was taken over.
    func noteSharers() {
        for instance in instances.values where instance.tree != nil { noteSharer(instance) }
    }
}

extension Wording {
    /// `web@v2.service (generation 2) changed SO_RCVBUF from 131072 to 4608; it is put back`
    static func sentence(_ change: AttributeChange, by suspects: [String]) -> String {
        let who = suspects.isEmpty ? "a process" : suspects.joined(separator: " or ")
        let what = "\(who) changed \(change.attribute) from \(change.expected) to \(change.found)"
        return what + (change.problem.map { "; it cannot be put back: \($0)" } ?? "; it is put back")
    }
}

extension SocketChange {
    init(_ observed: ObservedChange) {
        self.init(
            attribute: observed.change.attribute, found: observed.change.found, expected: observed.change.expected,
            suspects: observed.suspects, at: Timestamp.string(unixSeconds: observed.at), count: observed.count,
            problem: observed.change.problem)
    }
}
