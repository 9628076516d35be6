import Engine
import Glibc
import Linux
import UnitFiles

/// One listening socket (or FIFO, …) that the supervisor keeps open, and how it is passed on. Closed when its last user lets
/// go of it: the table of shared sockets, or the generations that it belongs to.
final class HeldSocket {
    /// As it was written when the socket was opened or last updated.
    private(set) var unit: SocketUnit
    let endpoint: HeldEndpoint
    /// nil for scope `shared`.
    let owner: GenerationID?
    /// Names it, also in the next supervisor process.
    let number: Int
    /// Told when it closes.
    var closed: ((Int) -> Void)?

    init(unit: SocketUnit, endpoint: HeldEndpoint, owner: GenerationID?, number: Int = .random(in: 1...(.max))) {
        self.unit = unit
        self.endpoint = endpoint
        self.owner = owner
        self.number = number
    }

    deinit {
        closed?(number)
        // A generation's own path goes with it; a shared one stays unless the unit says otherwise, as under systemd.
        if owner != nil || unit.removeOnStop {
            if let path = linkTarget { for link in unit.options.symlinks { SocketLinks.remove(link, to: path) } }
            endpoint.unlinkPath()
        }
    }

    /// Where it listens; nil for a FIFO and others without address.
    var address: SocketAddress? {
        if case .socket(let socket) = endpoint { socket.address } else { nil }
    }

    /// The error if it cannot be watched. (Not thrown: the compiler cannot yet tell that a closure of an actor stays with its
    /// actor when it is passed to something that throws.)
    func watchReadable(_ loop: EventLoop, _ handler: @escaping () -> Bool) -> SystemError? {
        do throws(SystemError) {
            try endpoint.watchReadable(loop: loop, handler)
            return nil
        } catch {
            return error
        }
    }

    func watchArrival(_ loop: EventLoop, _ handler: @escaping () -> Void) -> SystemError? {
        do throws(SystemError) {
            try endpoint.connected?.watchArrival(loop: loop, handler)
            return nil
        } catch {
            return error
        }
    }

    /// Where a new socket is opened if this one breaks: said again when a generation has been taken over.
    func moves(into network: NetworkNamespace?) {
        if case .socket(let socket) = endpoint { socket.network = network }
    }

    /// What `Symlinks=` lead to.
    private var linkTarget: String? {
        switch endpoint.target {
        case .socket(.unix(let path), _), .file(.fifo(let path)): path
        case .socket, .file: nil
        }
    }

    /// `Symlinks=`; what cannot be made is told and gone on without, as under systemd.
    func link() -> [SystemError] {
        guard let path = linkTarget, owner == nil else { return [] }
        var problems: [SystemError] = []
        for link in unit.options.symlinks {
            do throws(SystemError) {
                try SocketLinks.make(
                    link, to: path, directoryMode: mode_t(unit.options.directoryMode), replacing: unit.removeOnStop)
            } catch {
                problems.append(error)
            }
        }
        return problems
    }

    /// Takes over what the unit says now, as far as it can be set on what is open. Returns what cannot.
    func update(_ unit: SocketUnit, _ file: ListeningSocket.FileOptions) -> [String] {
        let before = Linux.SocketOptions(self.unit.options)
        self.unit = unit
        let settings = Linux.SocketOptions(unit.options)
        switch endpoint {
        case .socket(let socket):
            return socket.update(settings: settings, options: file, backlog: Int32(clamping: unit.backlog))
        case .file(let held):
            held.update(options: settings, previous: before, sizes: .init(unit.options))
            return held.file == file ? [] : ["SocketMode=, SocketUser=, SocketGroup="]
        }
    }

    /// `HTTP` for `http.socket`, `APP` for `app@v2.socket`: upper case, other characters `_`, without suffix and instance.
    static func variable(_ name: String) -> String {
        var stem = Substring(name)
        if stem.hasSuffix(".socket") { stem = stem.dropLast(7) }
        if let at = stem.firstIndex(of: "@") { stem = stem[..<at] }
        let characters = stem.utf8.map { byte -> Character in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"): Character(Unicode.Scalar(byte - 32))
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                Character(Unicode.Scalar(byte))
            default: "_"
            }
        }
        return String(characters)
    }
}

struct WeakSocket { weak var held: HeldSocket? }

/// A socket, a directory or a user that could not be had for a generation: `unit` and a sentence.
struct PreparationError: Error {
    let unit: String
    let text: String
}

/// All held sockets with scope `shared`. Those of a generation are in its `GenerationResources`.
final class HeldSockets {
    private let loop: EventLoop
    private(set) var shared: [String: [HeldSocket]] = [:]
    /// Those of multibinder's clients by what they asked for: a thousand binds are not a thousand walks over all sockets.
    var bound: [SocketAddress: WeakSocket] = [:]
    /// Addresses with scope `shared` that programs bind themselves, for as long as a generation has them.
    var reserved: [SocketAddress: WeakReservation] = [:]
    /// A shared unit has other sockets from now on, or none.
    private let changed: (String) -> Void
    /// A socket was found broken (`shutdown` by a sharer) or its path gone, and what was done about it.
    let noticed: (HeldSocket, String) -> Void

    init(
        loop: EventLoop, noticed: @escaping (HeldSocket, String) -> Void,
        changed: @escaping (String) -> Void
    ) {
        self.loop = loop
        self.changed = changed
        self.noticed = noticed
    }

    /// The sockets of a shared unit as it is written now: those that are open already, and new ones for new addresses.
    /// Nothing changes until `keep`.
    func opened(_ unit: SocketUnit) throws(PreparationError) -> [HeldSocket] {
        // A template with X-Scope=shared has one socket for all of its releases: app@v1.socket's is app@v2.socket's.
        let present = (shared[unit.name.description] ?? []) + siblings(of: unit)
        var sockets: [HeldSocket] = []
        for entry in unit.listen {
            let target = try target(of: entry, in: unit)
            if let held = present.first(where: { $0.endpoint.target == target }) {
                sockets.append(held)
            } else {
                sockets.append(try open(unit, entry, target, owner: nil))
            }
        }
        return sockets
    }

    /// From now on these are the unit's sockets. Addresses that it had before are closed when no generation uses them.
    func keep(_ sockets: [HeldSocket], for unit: SocketUnit) {
        for held in siblings(of: unit) where sockets.contains(where: { $0 === held }) {
            for (name, list) in shared {
                let left = list.filter { $0 !== held }
                if left.count < list.count { set(name, left.isEmpty ? nil : left) }
            }
        }
        set(unit.name.description, sockets)
    }

    private func set(_ name: String, _ sockets: [HeldSocket]?) {
        shared[name] = sockets
        changed(name)
    }

    /// Shared sockets of other instances of the same template.
    private func siblings(of unit: SocketUnit) -> [HeldSocket] {
        guard unit.name.instance != nil else { return [] }
        return shared.filter { $0.key != unit.name.description }.values.joined()
            .filter { $0.unit.name.identity == unit.name.identity }
    }

    /// Takes what another process of the supervisor opened, or what lay in store for it.
    func adopt(
        _ descriptor: consuming OwnedDescriptor, _ unit: SocketUnit, _ target: HeldEndpoint.Target,
        owner: GenerationID?, number: Int
    ) throws(SystemError) -> HeldSocket {
        // An account that has gone meanwhile changes nothing about a file that is there.
        let file = (try? fileOptions(unit)) ?? ListeningSocket.FileOptions(mode: mode_t(unit.socketMode))
        let endpoint: HeldEndpoint
        switch target {
        case .socket(let address, let kind):
            endpoint = .socket(
                try ListeningSocket(
                    adopting: descriptor, requested: address, kind: kind, backlog: Int32(clamping: unit.backlog),
                    options: file, settings: Linux.SocketOptions(unit.options)))
        case .file(let target): endpoint = .file(HeldFile(adopting: descriptor, target, file: file))
        }
        let held = HeldSocket(unit: unit, endpoint: endpoint, owner: owner, number: number)
        try watch(held)
        return held
    }

    /// Opens anew what nobody has any more.
    func reopen(
        _ unit: SocketUnit, _ target: HeldEndpoint.Target, owner: GenerationID?, number: Int
    ) throws(PreparationError) -> HeldSocket {
        let file = try fileOptions(unit)
        do throws(SystemError) {
            let held = HeldSocket(
                unit: unit, endpoint: try Self.open(target, unit, file, nil), owner: owner, number: number)
            try watch(held)
            return held
        } catch {
            throw PreparationError(unit: unit.name.description, text: "\(error)" + (target.obstacle(error) ?? ""))
        }
    }

    /// The sockets of a shared unit, as another process of the supervisor had them.
    func restore(_ sockets: [HeldSocket], for name: String) {
        shared[name] = sockets
        if name == Self.multibinderUnit { noteBound(sockets) }
    }

    /// One socket more of a unit that no file describes.
    func add(_ held: HeldSocket, to name: String) throws(SystemError) {
        try watch(held)
        set(name, (shared[name] ?? []) + [held])
    }

    /// One less.
    func remove(_ held: HeldSocket, from name: String) {
        if let list = shared[name] { set(name, list.filter { $0 !== held }) }
    }

    /// Lets go of a unit's sockets; they close when no generation uses them any more.
    func release(_ name: String) { set(name, nil) }

    /// Opens the sockets of a generation, each at an address of its own.
    /// - Parameter network: where; nil for our own.
    func open(
        _ unit: SocketUnit, for generation: GenerationID, in network: NetworkNamespace?
    ) throws(PreparationError) -> [HeldSocket] {
        var sockets: [HeldSocket] = []
        for entry in unit.listen {
            let target = try target(of: entry, in: unit).unique(generation.number)
            sockets.append(try open(unit, entry, target, owner: generation, network))
        }
        return sockets
    }

    func target(of entry: ListenEntry, in unit: SocketUnit) throws(PreparationError) -> HeldEndpoint.Target {
        do throws(PreparationText) {
            return try HeldEndpoint.Target(entry.target, unit.options)
        } catch {
            throw PreparationError(unit: unit.name.description, text: "\(entry.location): \(error.text)")
        }
    }

    func open(
        _ unit: SocketUnit, _ entry: ListenEntry, _ target: HeldEndpoint.Target, owner: GenerationID?,
        _ network: NetworkNamespace? = nil
    ) throws(PreparationError) -> HeldSocket {
        let name = unit.name.description
        let file = try fileOptions(unit)
        do throws(SystemError) {
            let held = HeldSocket(unit: unit, endpoint: try Self.open(target, unit, file, network), owner: owner)
            try watch(held)
            for problem in held.endpoint.problems + held.link() { noticed(held, "\(problem); goes on without") }
            return held
        } catch {
            var text = "\(entry.location): \(error)"
            if owner != nil, error.errno == .addressInUse, target.hasPort {
                text += " (every generation opens this socket; with port 0 each gets a port of its own)"
            }
            text += target.obstacle(error) ?? ""
            throw PreparationError(unit: name, text: text)
        }
    }

    private static func open(
        _ target: HeldEndpoint.Target, _ unit: SocketUnit, _ file: ListeningSocket.FileOptions,
        _ network: NetworkNamespace?
    ) throws(SystemError) -> HeldEndpoint {
        let settings = Linux.SocketOptions(unit.options)
        switch target {
        case .socket(let address, let kind):
            return .socket(
                try ListeningSocket(
                    address, kind: kind, backlog: Int32(clamping: unit.backlog), options: file, settings: settings,
                    network: network))
        case .file(let target):
            return .file(try HeldFile(target, file: file, options: settings, sizes: .init(unit.options)))
        }
    }

    func fileOptions(_ unit: SocketUnit) throws(PreparationError) -> ListeningSocket.FileOptions {
        do throws(UnknownAccount) {
            return try ListeningSocket.FileOptions(unit)
        } catch {
            throw PreparationError(unit: unit.name.description, text: "SocketUser= or SocketGroup=: \(error)")
        }
    }

    // MARK: - What sharers do to a socket

    /// `shutdown()` by any sharer refuses connections for all; the holder notices and listens again.
    private func watch(_ held: HeldSocket) throws(SystemError) {
        guard case .socket(let socket) = held.endpoint else { return }
        try socket.watchBroken(loop: loop) { [unowned self, weak held] in
            guard let held, case .socket(let socket) = held.endpoint else { return }
            do throws(SystemError) {
                let served = try socket.heal()
                noticed(
                    held,
                    served
                        ? "a process shut it down; it listens again"
                        : "a process shut it down; a new socket is at its address, for processes started from now on")
                if !served { try? watch(held) }
            } catch {
                noticed(held, "a process shut it down, and it cannot be opened again: \(error)")
            }
        }
    }

    /// Programs unlink Unix sockets that they inherited when they end: looked at whenever one has ended.
    func restorePaths(_ more: [HeldSocket]) {
        for held in shared.values.joined() { restorePath(held) }
        for held in more { restorePath(held) }
    }

    private func restorePath(_ held: HeldSocket) {
        guard case .socket(let socket) = held.endpoint else { return }
        do throws(SystemError) {
            switch try socket.restorePath() {
            case .intact: break
            case .restored: noticed(held, "its path was removed; it is back")
            case .replaced:
                noticed(held, "its path was removed; a new socket is there, for processes started from now on")
                try? watch(held)
            }
        } catch {
            let obstacle = held.endpoint.target.obstacle(error) ?? ""
            noticed(held, "its path was removed and cannot be restored: \(error)\(obstacle)")
        }
    }
}

/// What one generation has beside its processes. Gone with it.
final class GenerationResources {
    let id: GenerationID
    let release: String?
    /// `$GENERATION_DIRECTORY`
    let directory: String
    /// Every socket that its services get or connect to, by unit, in the order of its addresses.
    var sockets: [String: [HeldSocket]]
    /// The same for units with `X-Pass=address`.
    var reservations: [String: [Reservation]] = [:]
    /// With `X-GenerationNetwork=private`: where its processes live.
    var network: NetworkNamespace?

    init(id: GenerationID, release: String?, directory: String, sockets: [String: [HeldSocket]]) {
        self.id = id
        self.release = release
        self.directory = directory
        self.sockets = sockets
    }

    /// Where a socket unit's first address is, whoever listens there.
    func address(of unit: UnitName) -> SocketAddress? {
        let name = unit.description
        return sockets[name]?.first?.address ?? reservations[name]?.first?.address.address
    }

    /// Those that no other generation has.
    var own: [HeldSocket] { sockets.values.joined().filter { $0.owner == id } }
}
