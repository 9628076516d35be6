import Engine
import Linux
import UnitFiles

/// Resources of one generation apart from its processes, released with it.
final class GenerationResources {
    let id: GenerationID
    let release: String?
    /// `$GENERATION_DIRECTORY`
    let directory: String
    /// All sockets that its services get or connect to, by unit, in the order of the unit's addresses.
    var sockets: [String: [HeldSocket]]
    /// Reservations by unit, for units with `X-Pass=address`.
    var reservations: [String: [Reservation]] = [:]
    /// Network namespace of its processes with `X-GenerationNetwork=private`.
    var network: NetworkNamespace?
    /// Shared units as this generation has them; nil once it serves, when the table has them.
    var pending: PendingSockets?

    init(id: GenerationID, release: String?, directory: String, sockets: [String: [HeldSocket]]) {
        self.id = id
        self.release = release
        self.directory = directory
        self.sockets = sockets
    }

    /// First address of a socket unit, held or reserved.
    func address(of unit: UnitName) -> SocketAddress? {
        let name = unit.description
        return sockets[name]?.first?.address ?? reservations[name]?.first?.address.address
    }

    /// Sockets that have never been in the table of shared sockets.
    var unkept: [HeldSocket] { sockets.values.joined().filter { !$0.isKept } }

    /// Sockets that belong to this generation alone.
    var own: [HeldSocket] { sockets.values.joined().filter { $0.owner == id } }
}

/// Shared socket units whose sockets a generation puts into the table at its cutover.
struct PendingSockets {
    let units: [SocketUnit]
    /// Revision of the reading of these units' files (`HeldSockets.nextRevision`).
    let revision: UInt64
}
