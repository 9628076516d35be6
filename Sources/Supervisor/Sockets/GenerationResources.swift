import Engine
import Linux
import UnitFiles

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
    /// Shared units as this generation has them, until it serves: then they are what the table has.
    var pending: PendingSockets?

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

    /// Those that the table may not have.
    var unkept: [HeldSocket] { sockets.values.joined().filter { !$0.isKept } }

    /// Those that no other generation has.
    var own: [HeldSocket] { sockets.values.joined().filter { $0.owner == id } }
}

/// What a generation makes of shared sockets when it cuts over.
struct PendingSockets {
    let units: [SocketUnit]
    /// When they were read.
    let revision: UInt64
}
