import Engine
import Linux
import UnitFiles

/// One listening socket (or FIFO, …) that the supervisor keeps open and passes on. Closed when its last owner releases
/// it: the table of shared sockets, or the generations that have it.
final class HeldSocket {
    /// The unit as it was when the socket was opened or last updated.
    private(set) var unit: SocketUnit
    let endpoint: any Endpoint
    private let port: any SocketsPort
    /// The generation that owns the socket; nil for scope `shared`.
    let owner: GenerationID?
    /// Identifies the socket, also in the next supervisor process.
    let number: Int
    /// Called with the number when the socket closes.
    var closed: ((Int) -> Void)?
    /// Whether the socket is, or was, in the table of shared sockets. Before that it belongs to a generation that may
    /// never serve.
    fileprivate(set) var isKept = false
    fileprivate weak var registry: SocketRegistry?
    /// Whether the socket was found open (`LeftProcesses`). Its path is not removed before a unit or a generation has
    /// it.
    var isFound = false
    /// Services whose processes have the socket, and the changes that they made to it.
    var sharers = SocketSharers()
    /// Whether the journal has the present state. Of a unit's thousands of sockets only one may change.
    var isJournaled = false

    init(
        unit: SocketUnit, endpoint: any Endpoint, owner: GenerationID?, port: any SocketsPort, number: Int
    ) {
        self.unit = unit
        self.endpoint = endpoint
        self.port = port
        self.owner = owner
        self.number = number
    }

    deinit {
        registry?.remove(number, at: endpoint.target)
        closed?(number)
        // The path of a generation's own socket goes with it, and so does that of a socket that never came into use;
        // the path of a shared one stays unless the unit asks for its removal, as under systemd.
        if !isFound, owner != nil || unit.removeOnStop || !isKept {
            if let path = linkTarget { for link in unit.options.symlinks { port.removeLink(link, to: path) } }
            endpoint.unlinkPath()
        }
    }

    /// Listening address; nil for a FIFO and others without address.
    var address: SocketAddress? { endpoint.address }

    /// Paths of the socket, which no clean-up may remove.
    var paths: [String] {
        endpoint.paths + (owner == nil ? unit.options.symlinks.compactMap { port.canonicalPath($0) } : [])
    }

    /// Path to which `Symlinks=` lead.
    private var linkTarget: String? {
        switch endpoint.target {
        case .socket(.unix(let path), _), .file(.fifo(let path)): path
        case .socket, .file: nil
        }
    }

    /// Makes `Symlinks=`, except those in use for another path while the socket is not in the unit's table yet. Returns
    /// the failures, which do not stop the unit, as under systemd.
    func link() -> [SystemError] {
        guard let path = linkTarget, owner == nil else { return [] }
        var problems: [SystemError] = []
        for link in unit.options.symlinks {
            do throws(SystemError) {
                try port.makeLink(
                    link, to: path, directoryMode: UInt32(unit.options.directoryMode),
                    replacing: unit.removeOnStop && isKept)
            } catch {
                if isKept || error.errno != .fileExists { problems.append(error) }
            }
        }
        return problems
    }

    /// Applies the unit's present settings, as far as they can be set on an open socket. Returns the settings that
    /// cannot.
    func update(_ unit: SocketUnit, _ file: ListeningSocket.FileOptions) -> [String] {
        let before = SocketOptions(self.unit.options)
        self.unit = unit
        isJournaled = false
        return endpoint.update(EndpointSettings(unit, file), previous: before)
    }

    /// Variable name for a descriptor: `HTTP` for `http.socket`, `APP` for `app@v2.socket`: upper case, other
    /// characters `_`, without suffix and instance.
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

/// All open sockets of scope `shared` by requested address, whether they are in the table or only in a generation.
///
/// A socket that the unit no longer names lives on in the generations that were started with it. A unit that names the
/// address again must get that socket: the address is in use, and clients are connected to that socket.
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

    /// Socket at the address, of any unit.
    func socket(at target: HeldEndpoint.Target) -> HeldSocket? {
        byTarget[target]?.values.lazy.compactMap(\.held).first
    }

    /// The unit's socket at the address. A template with `X-Scope=shared` has one socket for all of its releases:
    /// app@v1.socket and app@v2.socket share it.
    func socket(at target: HeldEndpoint.Target, of unit: SocketUnit) -> HeldSocket? {
        let all =
            byTarget[target]?.values.compactMap(\.held).filter { $0.unit.name.identity == unit.name.identity } ?? []
        return all.first { !$0.endpoint.isBeyondRepair } ?? all.first
    }

    var all: [HeldSocket] { byTarget.values.flatMap { $0.values.compactMap(\.held) } }

    /// Number of open shared sockets.
    var count: Int { byTarget.values.reduce(0) { $0 + $1.count } }

    /// Marks a socket as kept in the table of shared sockets, and its journal record as outdated.
    func keep(_ held: HeldSocket) {
        guard !held.isKept else { return }
        held.isKept = true
        held.isJournaled = false
    }
}

struct WeakSocket { weak var held: HeldSocket? }
