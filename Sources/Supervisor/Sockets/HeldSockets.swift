import Engine
import Linux
import Logging
import UnitFiles

/// Reason why a socket, directory or user is not available to a generation: `unit` and a sentence.
struct PreparationError: Error {
    let unit: String
    let text: String
}

/// Interface of the supervisor to the desk of held sockets.
protocol HeldSocketsHost: AnyObject {
    func log(_ level: Logger.Level, about subject: String, _ text: String)
    /// Takes a socket that unaccounted processes have bound to the address.
    /// - Parameter members: processes among which a holder must be, for an address whose port the kernel has chosen.
    func takeUnaccountedSocket(at target: HeldEndpoint.Target, of members: Set<Int32>?) -> OwnedDescriptor?
    /// Records the state of a socket for a successor.
    func record(_ held: HeldSocket)
    /// Records the sockets of a shared unit for a successor.
    func recordSockets(of unit: String)
}

/// All held sockets with scope `shared`. The sockets of a generation are in its `GenerationResources`.
///
/// The table has the sockets of each unit: they stay when a service stops, and the next generation gets them. A
/// starting generation changes nothing in it: sockets that it opens belong to it alone until it serves (`keep`), and
/// close with it if it never does.
final class HeldSockets {
    let machine: any Machine
    private(set) var shared: [String: [HeldSocket]] = [:]
    /// Revision of the unit files from which each entry of the table was read.
    private var revisions: [String: UInt64] = [:]
    private var lastRevision: UInt64 = 0
    let registry = SocketRegistry()
    /// Multibinder clients' sockets by requested address: a thousand binds must not walk all sockets a thousand times.
    var bound: [SocketAddress: WeakSocket] = [:]
    /// Addresses with scope `shared` that programs bind themselves, for as long as a generation has them.
    var reserved: [SocketAddress: WeakReservation] = [:]
    unowned let host: any HeldSocketsHost
    /// Sockets whose repair failed for lack of descriptors or memory.
    private var unfinished: [WeakSocket] = []
    private var retry: (any LoopTimer)?

    init(_ machine: any Machine, host: any HeldSocketsHost) {
        self.machine = machine
        self.host = host
    }

    /// Reports a repair of a socket, or an obstacle to it.
    func report(_ text: String, about held: HeldSocket) {
        host.log(.warning, about: "\(held.unit.name)", "\(held.unit.name): \(held.endpoint.text): \(text)")
    }

    /// Next revision, later than all earlier readings of unit files.
    func nextRevision() -> UInt64 {
        lastRevision += 1
        return lastRevision
    }

    /// Sockets of a shared unit for its present settings: the open ones, and new ones for new addresses. The table
    /// changes only with `keep`.
    func opened(_ unit: SocketUnit) throws(PreparationError) -> [HeldSocket] {
        var sockets: [HeldSocket] = []
        for entry in unit.listen {
            let target = target(of: entry, in: unit)
            if let held = present(target, of: unit), !sockets.contains(where: { $0 === held }) {
                sockets.append(try usable(held, unit))
            } else {
                sockets.append(try open(unit, entry, target, owner: nil))
            }
        }
        return sockets
    }

    /// The socket, or a new one beside it if a process made a change to it that cannot be undone. Processes that have
    /// the first one accept from it until they end.
    private func usable(_ held: HeldSocket, _ unit: SocketUnit) throws(PreparationError) -> HeldSocket {
        guard held.endpoint.isBeyondRepair, held.endpoint.canHaveSuccessor else { return held }
        do throws(SystemError) {
            let fresh = HeldSocket(
                unit: unit, endpoint: try held.endpoint.successor(), owner: nil, port: machine.sockets,
                number: newNumber())
            try watch(fresh)
            report("processes started from now on get a new socket at the same address", about: held)
            return fresh
        } catch {
            throw PreparationError(unit: unit.name.description, text: "\(error)")
        }
    }

    /// Open sockets for the unit's present addresses.
    func present(_ unit: SocketUnit) -> [HeldSocket] {
        unit.listen.compactMap { present(target(of: $0, in: unit), of: unit) }
    }

    /// The unit's open socket at the address.
    func present(_ target: HeldEndpoint.Target, of unit: SocketUnit) -> HeldSocket? {
        shared[unit.name.description]?.first { $0.endpoint.target == target } ?? registry.socket(at: target, of: unit)
    }

    /// Whether the unit's entry in the table is of a later revision.
    func isOutdated(_ revision: UInt64, _ name: String) -> Bool { revisions[name].map { $0 > revision } ?? false }

    /// Replaces the unit's sockets in the table. Sockets at its former addresses are closed when no generation uses
    /// them.
    /// - Parameter revision: the unit's revision, if the unit was read earlier.
    func keep(_ sockets: [HeldSocket], for unit: SocketUnit, _ revision: UInt64? = nil) {
        revisions[unit.name.description] = revision ?? nextRevision()
        for held in siblings(of: unit) where sockets.contains(where: { $0 === held }) {
            for (name, list) in shared {
                let left = list.filter { $0 !== held }
                if left.count < list.count { set(name, left.isEmpty ? nil : left) }
            }
        }
        set(unit.name.description, sockets)
    }

    private func set(_ name: String, _ sockets: [HeldSocket]?) {
        let before = Set((shared[name] ?? []).map(ObjectIdentifier.init))
        shared[name] = sockets
        if sockets == nil { revisions[name] = nil }
        for held in sockets ?? [] where !before.contains(ObjectIdentifier(held)) {
            registry.keep(held)
            held.isFound = false
            for problem in held.link() { report("\(problem); continuing without it", about: held) }
        }
        host.recordSockets(of: name)
    }

    /// Shared sockets of other instances of the same template.
    private func siblings(of unit: SocketUnit) -> [HeldSocket] {
        guard unit.name.instance != nil else { return [] }
        return shared.filter { $0.key != unit.name.description }.values.joined()
            .filter { $0.unit.name.identity == unit.name.identity }
    }

    /// A number that no other socket has, of this or an earlier supervisor.
    func newNumber() -> Int { Int(machine.random() >> 1) }

    /// Takes over a socket that another supervisor process opened or that systemd kept for it.
    func adopt(
        _ descriptor: consuming OwnedDescriptor, _ unit: SocketUnit, _ target: HeldEndpoint.Target,
        owner: GenerationID?, number: Int, _ baseline: HeldBaseline?
    ) throws(SystemError) -> HeldSocket {
        // The file of the socket exists already: it does not matter that its owner's account is gone.
        let file = (try? fileOptions(unit)) ?? ListeningSocket.FileOptions(mode: UInt32(unit.socketMode))
        let endpoint = try machine.sockets.adopt(
            descriptor, target, EndpointSettings(unit, file), baseline: baseline)
        let held = HeldSocket(unit: unit, endpoint: endpoint, owner: owner, port: machine.sockets, number: number)
        // Nobody else may have it: it is kept, even if it cannot be watched.
        watchOrRetry(held)
        return held
    }

    /// Opens a socket again that no process has any more.
    func reopen(
        _ unit: SocketUnit, _ target: HeldEndpoint.Target, owner: GenerationID?, number: Int
    ) throws(PreparationError) -> HeldSocket {
        if let held = try takeLeft(unit, target, owner: owner, number: number) { return held }
        let file = try fileOptions(unit)
        do throws(SystemError) {
            let held = HeldSocket(
                unit: unit, endpoint: try machine.sockets.open(target, EndpointSettings(unit, file), in: nil),
                owner: owner, port: machine.sockets, number: number)
            try watch(held)
            return held
        } catch {
            throw PreparationError(unit: unit.name.description, text: "\(error)" + (obstacle(to: target, error) ?? ""))
        }
    }

    /// Takes over a socket that unaccounted processes have open at the address; nil if there is none.
    /// - Parameter members: processes among which a holder must be, for an address whose port the kernel has chosen.
    func takeLeft(
        _ unit: SocketUnit, _ target: HeldEndpoint.Target, owner: GenerationID?, number: Int? = nil,
        of members: Set<Int32>? = nil
    ) throws(PreparationError) -> HeldSocket? {
        guard let found = host.takeUnaccountedSocket(at: target, of: members) else { return nil }
        do throws(SystemError) {
            let held = try adopt(found, unit, target, owner: owner, number: number ?? newNumber(), nil)
            held.isFound = true
            return held
        } catch {
            throw PreparationError(unit: unit.name.description, text: "\(error)")
        }
    }

    /// Restores the sockets of a shared unit from another supervisor process.
    func restore(_ sockets: [HeldSocket], for name: String) {
        shared[name] = sockets
        for held in sockets { registry.keep(held) }
        if name == Self.multibinderUnit { noteBound(sockets) }
    }

    /// Adds a socket to a unit without a file.
    func add(_ held: HeldSocket, to name: String) throws(SystemError) {
        try watch(held)
        set(name, (shared[name] ?? []) + [held])
    }

    /// Removes one socket from the unit.
    func remove(_ held: HeldSocket, from name: String) {
        if let list = shared[name] { set(name, list.filter { $0 !== held }) }
    }

    /// Removes the unit's sockets from the table; they close when no generation uses them any more.
    func release(_ name: String) { set(name, nil) }

    /// Opens the sockets of a generation, each at an address of its own.
    /// - Parameter network: the network namespace; nil for the supervisor's own.
    func open(
        _ unit: SocketUnit, for generation: GenerationID, in network: NetworkNamespace?
    ) throws(PreparationError) -> [HeldSocket] {
        var sockets: [HeldSocket] = []
        for entry in unit.listen {
            let target = target(of: entry, in: unit).unique(generation.number)
            sockets.append(try open(unit, entry, target, owner: generation, network))
        }
        return sockets
    }

    func target(of entry: ListenEntry, in unit: SocketUnit) -> HeldEndpoint.Target {
        HeldEndpoint.Target(entry.target, unit.options, hasIPv6: machine.sockets.hasIPv6)
    }

    func open(
        _ unit: SocketUnit, _ entry: ListenEntry, _ target: HeldEndpoint.Target, owner: GenerationID?,
        _ network: NetworkNamespace? = nil
    ) throws(PreparationError) -> HeldSocket {
        let name = unit.name.description
        if network == nil, let held = try takeLeft(unit, target, owner: owner) { return held }
        let file = try fileOptions(unit)
        do throws(SystemError) {
            let endpoint = try machine.sockets.open(target, EndpointSettings(unit, file), in: network)
            let held = HeldSocket(
                unit: unit, endpoint: endpoint, owner: owner, port: machine.sockets, number: newNumber())
            try watch(held)
            for problem in held.endpoint.problems { report("\(problem); continuing without it", about: held) }
            // Failures are reported when the socket becomes its unit's (`keep`).
            _ = held.link()
            return held
        } catch {
            var text = "\(entry.location): \(error)"
            if owner != nil, error.errno == .addressInUse, target.hasPort {
                text += " (every generation opens this socket; with port 0 each gets a port of its own)"
            }
            text += obstacle(to: target, error) ?? ""
            throw PreparationError(unit: name, text: text)
        }
    }

    func fileOptions(_ unit: SocketUnit) throws(PreparationError) -> ListeningSocket.FileOptions {
        do throws(UnknownAccount) {
            return try ListeningSocket.FileOptions(unit, machine.accounts)
        } catch {
            throw PreparationError(unit: unit.name.description, text: "SocketUser= or SocketGroup=: \(error)")
        }
    }

    // MARK: - Changes by sharers of a socket

    /// Watches for `shutdown()`, which by any sharer refuses connections for all; the holder listens again.
    func watch(_ held: HeldSocket) throws(SystemError) {
        registry.add(held)
        try held.endpoint.watchBroken { [unowned self, weak held] in
            guard let held else { return }
            do throws(SystemError) {
                let served = try held.endpoint.listenAgain()
                report(
                    served
                        ? "a process shut it down; it listens again"
                        : "a process shut it down; a new socket is at its address, for processes started from now on",
                    about: held)
                if !served { watchOrRetry(held) }
            } catch {
                report("a process shut it down, and it cannot be opened again: \(error)", about: held)
            }
        }
    }

    private func watchOrRetry(_ held: HeldSocket) {
        do throws(SystemError) {
            try watch(held)
        } catch {
            report("cannot watch it: \(error); retrying", about: held)
            tryAgain(held)
        }
    }

    /// Schedules another attempt at a repair that lacked descriptors or memory: no notification reports that they are
    /// available again.
    private func tryAgain(_ held: HeldSocket) {
        unfinished.append(WeakSocket(held: held))
        guard retry == nil else { return }
        retry = machine.loop.retry { [unowned self] in
            retry = nil
            let list = unfinished.compactMap(\.held)
            unfinished = []
            for held in list {
                do throws(SystemError) {
                    try watch(held)
                } catch {
                    if error.isTransient { tryAgain(held) }
                }
                restorePath(held, isAgain: true)
            }
        }
    }

    /// Restores paths that programs have unlinked: some unlink an inherited Unix socket when they end, so this runs
    /// after each end.
    func restorePaths(_ more: [HeldSocket]) {
        for held in registry.all { restorePath(held) }
        for held in more { restorePath(held) }
    }

    private func restorePath(_ held: HeldSocket, isAgain: Bool = false) {
        do throws(SystemError) {
            switch try held.endpoint.restorePath() {
            case .intact: break
            case .restored: report("its path was removed; it is back", about: held)
            case .replaced:
                report("its path was removed; a new socket is there, for processes started from now on", about: held)
                watchOrRetry(held)
            }
        } catch {
            if error.isTransient {
                tryAgain(held)
                if isAgain { return }
            }
            let obstacle = obstacle(to: held.endpoint.target, error) ?? ""
            report("its path was removed and cannot be restored: \(error)\(obstacle)", about: held)
        }
    }
}
