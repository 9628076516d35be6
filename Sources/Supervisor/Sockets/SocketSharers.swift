import ControlProtocol
import Engine
import Linux
import UnitFiles

/// A service that has a held socket.
struct SocketSharer {
    /// `web@v2.service (generation 2)`
    let name: String
    /// Whether it races with other processes for each connection, so that accept(2) must not block.
    let mustNotBlock: Bool
}

/// A change that a process made to a held socket.
struct ObservedChange: Codable {
    var change: AttributeChange
    /// Services that had the socket at that time, the latest first.
    var suspects: [String]
    /// Time of the last occurrence, in seconds since 1970.
    var at: Int64
    /// Successive occurrences with the same suspects.
    var count: Int
}

/// Services that have a socket, and the changes made to it.
struct SocketSharers {
    private(set) var present: [InstanceID: SocketSharer] = [:]
    /// Services that had the socket since the last check and are gone.
    private var former: [String] = []
    /// Last change of each attribute.
    var changes: [String: ObservedChange] = [:]

    var mustNotBlock: Bool { present.values.contains(where: \.mustNotBlock) }

    /// Services that had the socket since the last check, the latest first.
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

    /// Forgets former services once all changes up to now are recorded.
    mutating func forgetFormer() { former = [] }

    /// Records a change; returns whether to log it: a repeated change by the same suspects is logged once a minute.
    mutating func note(_ change: AttributeChange, at now: Int64) -> Bool {
        let before = changes[change.attribute]
        let isSame = before?.change == change && before?.suspects == suspects
        changes[change.attribute] = ObservedChange(
            change: change, suspects: suspects, at: now, count: isSame ? (before?.count ?? 0) + 1 : 1)
        return !isSame || now - (before?.at ?? 0) >= 60
    }
}

/// Options, filters and flags of a held socket belong to all who share it, and outlive the process that set them. The
/// unit file defines them, so they are restored whenever a service that has the socket was started, has ended or is
/// about to start.
extension HeldSockets {
    func examine(_ list: [HeldSocket]) { for held in list { examine(held) } }

    /// Restores attributes that processes have changed, and records which services had the socket.
    func examine(_ held: HeldSocket) {
        let isAlone = held.sharers.present.isEmpty && held.unit.name.description != HeldSockets.multibinderUnit
        // The supervisor's own accept(2) must not block. A service that had the socket alone could choose either mode.
        if isAlone, held.endpoint.hasConnections { try? held.endpoint.setNonBlocking(true) }
        let changes = held.endpoint.restoreAttributes(nonBlocking: held.sharers.mustNotBlock ? true : nil)
        for change in changes { note(change, of: held) }
        if isAlone, held.endpoint.isBeyondRepair { renew(held) }
        held.sharers.forgetFormer()
        if !changes.isEmpty { host.record(held) }
    }

    /// Replaces the socket, which no other process has.
    private func renew(_ held: HeldSocket) {
        do throws(SystemError) {
            try held.endpoint.renew()
            report("replaced by a new socket", about: held)
            try watch(held)
        } catch {
            report("\(error)", about: held)
        }
    }

    /// Records a change for `sockets`, `why` and the log.
    private func note(_ change: AttributeChange, of held: HeldSocket) {
        let suspects = held.sharers.suspects
        guard held.sharers.note(change, at: machine.loop.wallClock) else { return }
        report(Wording.sentence(change, by: suspects), about: held)
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
