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
    /// It is, or was, one of a shared unit's sockets. Before that it belongs to a generation that may never serve.
    fileprivate(set) var isKept = false
    fileprivate weak var registry: SocketRegistry?
    /// It was found open (`LeftProcesses`), and is not ours to remove before it is a unit's or a generation's.
    var isFound = false
    /// Services whose processes have it, and what they did to it.
    var sharers = SocketSharers()
    /// As it is now. A unit may have thousands of sockets, of which one changes.
    var isJournaled = false

    init(unit: SocketUnit, endpoint: HeldEndpoint, owner: GenerationID?, number: Int = .random(in: 1...(.max))) {
        self.unit = unit
        self.endpoint = endpoint
        self.owner = owner
        self.number = number
    }

    deinit {
        registry?.remove(number, at: endpoint.target)
        closed?(number)
        // A generation's own path goes with it, and so does that of a socket that never came into use; a shared one stays
        // unless the unit says otherwise, as under systemd.
        if !isFound, owner != nil || unit.removeOnStop || !isKept {
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

    /// Paths by which it is reached, which nothing of ours may remove.
    var paths: [String] {
        endpoint.paths + (owner == nil ? unit.options.symlinks.compactMap { SocketLinks.canonical($0) } : [])
    }

    /// What `Symlinks=` lead to.
    private var linkTarget: String? {
        switch endpoint.target {
        case .socket(.unix(let path), _), .file(.fifo(let path)): path
        case .socket, .file: nil
        }
    }

    /// Makes `Symlinks=`, except those that are in use for another path while the socket is not one of the unit's yet. Returns
    /// what could not be made, which is no reason to stop, as under systemd.
    func link() -> [SystemError] {
        guard let path = linkTarget, owner == nil else { return [] }
        var problems: [SystemError] = []
        for link in unit.options.symlinks {
            do throws(SystemError) {
                try SocketLinks.make(
                    link, to: path, directoryMode: mode_t(unit.options.directoryMode),
                    replacing: unit.removeOnStop && isKept)
            } catch {
                if isKept || error.errno != .fileExists { problems.append(error) }
            }
        }
        return problems
    }

    /// Takes over what the unit says now, as far as it can be set on what is open. Returns what cannot.
    func update(_ unit: SocketUnit, _ file: ListeningSocket.FileOptions) -> [String] {
        let before = Linux.SocketOptions(self.unit.options)
        self.unit = unit
        isJournaled = false
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

/// Every open socket of scope `shared`, by what was asked for, whether the table of its unit has it or only a generation.
///
/// A socket that the unit names no more lives on in the generations that were started with it. A unit that names the address
/// again must get that socket: nobody can open a second one there, and it is the one that clients are connected to.
final class SocketRegistry {
    private var byTarget: [HeldEndpoint.Target: [Int: WeakSocket]] = [:]

    func add(_ held: HeldSocket) {
        guard held.owner == nil else { return }
        held.registry = self
        byTarget[held.endpoint.target, default: [:]][held.number] = WeakSocket(held: held)
    }

    fileprivate func remove(_ number: Int, at target: HeldEndpoint.Target) {
        byTarget[target]?[number] = nil
        if byTarget[target]?.isEmpty == true { byTarget[target] = nil }
    }

    /// The socket there, whatever unit it is of.
    func socket(at target: HeldEndpoint.Target) -> HeldSocket? {
        byTarget[target]?.values.lazy.compactMap(\.held).first
    }

    /// The unit's socket there. A template with `X-Scope=shared` has one socket for all of its releases: that of app@v1.socket
    /// is that of app@v2.socket.
    func socket(at target: HeldEndpoint.Target, of unit: SocketUnit) -> HeldSocket? {
        let all =
            byTarget[target]?.values.compactMap(\.held).filter { $0.unit.name.identity == unit.name.identity } ?? []
        return all.first { !$0.endpoint.isBeyondRepair } ?? all.first
    }

    var all: [HeldSocket] { byTarget.values.flatMap { $0.values.compactMap(\.held) } }

    /// How many there are.
    var count: Int { byTarget.values.reduce(0) { $0 + $1.count } }

    /// Marks a socket as one of its unit's, and journaled as that.
    func keep(_ held: HeldSocket) {
        guard !held.isKept else { return }
        held.isKept = true
        held.isJournaled = false
    }
}

struct WeakSocket { weak var held: HeldSocket? }
