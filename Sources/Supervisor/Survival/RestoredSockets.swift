import Engine
import Linux
import Logging
import UnitFiles

/// Sockets, reserved addresses and network namespaces that another process has left open, or that its services have.
/// What cannot be taken over is logged and left out. A shortage of descriptors or memory is thrown: nothing is lost for
/// want of them.
final class RestoredSockets {
    private let machine: any Machine
    private let sockets: HeldSockets
    private let units: RestoredUnits
    private let logger: Logger
    /// Sockets of living processes, for records without a descriptor.
    private let survivors: any ProcessSockets
    /// Sockets by their numbers in the records.
    private var held: [Int: HeldSocket] = [:]
    /// Reservations and namespaces that several generations share, by descriptor.
    private var reservations: [Int32: Reservation] = [:]
    private var networks: [Int32: NetworkNamespace] = [:]

    /// - Parameter pids: processes that may have the sockets, if the other process was killed.
    init(_ machine: any Machine, _ sockets: HeldSockets, _ units: RestoredUnits, pids: [Int32], logger: Logger)
        throws(SystemError)
    {
        self.machine = machine
        self.sockets = sockets
        self.units = units
        self.logger = logger
        survivors = try machine.sockets.socketsOfProcesses(pids)
    }

    // MARK: - Sockets

    func restore(_ record: SavedSocket, _ number: Int) throws(SystemError) {
        guard let socket = try socket(record, number) else { return }
        held[number] = socket
        if record.isUnkept != true { sockets.registry.keep(socket) }
        for change in record.changes ?? [] { socket.sharers.changes[change.change.attribute] = change }
    }

    private func socket(_ record: SavedSocket, _ number: Int) throws(SystemError) -> HeldSocket? {
        guard let unit = units.socket(record.unit) else { return nil }
        let baseline = record.baseline.flatMap { HeldBaseline(text: $0) }
        do throws(SystemError) {
            if let descriptor = try descriptor(of: record) {
                return try sockets.adopt(
                    descriptor, unit, record.target, owner: record.owner, number: number, baseline)
            }
        } catch {
            if error.isTransient { throw error }
            logger.error("\(unit.name): \(error)")
        }
        do throws(PreparationError) {
            let held = try sockets.reopen(unit, record.target, owner: record.owner, number: number)
            logger.warning("\(unit.name): no process has the socket at \(record.target) any more: opened a new one")
            return held
        } catch {
            logger.error("\(unit.name): \(error.text)")
            return nil
        }
    }

    private func descriptor(of record: SavedSocket) throws(SystemError) -> OwnedDescriptor? {
        if let raw = record.descriptor { return try machine.handover.inherit(raw) }
        return try record.inode.flatMap { inode throws(SystemError) in try survivors.duplicate(inode: inode) }
    }

    /// Puts the sockets of shared units into the table.
    func restoreShared(_ shared: [String: [Int]]) {
        for (name, numbers) in shared.sorted(by: { $0.key < $1.key }) {
            sockets.restore(numbers.compactMap { held[$0] }, for: name)
        }
    }

    // MARK: - Generations

    /// Resources of a generation.
    /// - Parameter pids: processes of the generation.
    func resources(_ record: SavedGeneration, pids: [Int32]) throws(SystemError) -> GenerationResources {
        let resources = GenerationResources(
            id: record.id, release: record.release, directory: record.directory,
            sockets: record.sockets.mapValues { $0.compactMap { held[$0] } })
        for (name, list) in record.reservations ?? [:] {
            for record in list {
                guard let reservation = try reservation(record) else { continue }
                resources.reservations[name, default: []].append(reservation)
            }
        }
        if let raw = record.network { resources.network = try network(raw, pids) }
        for held in resources.own { held.endpoint.network = resources.network }
        return resources
    }

    private func reservation(_ record: SavedReservation) throws(SystemError) -> Reservation? {
        if let raw = record.descriptor, let present = reservations[raw] { return present }
        guard let unit = units.socket(record.unit) else { return nil }
        do throws(SystemError) {
            let reservation = Reservation(unit: unit, address: try address(record), owner: record.owner)
            if record.owner == nil {
                sockets.reserved[record.requested] = WeakReservation(reservation: reservation)
            }
            if let raw = record.descriptor { reservations[raw] = reservation }
            return reservation
        } catch {
            if error.isTransient { throw error }
            logger.error("\(unit.name): \(error)")
            return nil
        }
    }

    private func address(_ record: SavedReservation) throws(SystemError) -> any AddressReservation {
        guard let raw = record.descriptor else {
            return machine.sockets.reservation(at: record.address, requested: record.requested)
        }
        return try machine.sockets.adoptReservation(machine.handover.inherit(raw), requested: record.requested)
    }

    private func network(_ raw: Int32, _ pids: [Int32]) throws(SystemError) -> NetworkNamespace? {
        if raw == SavedGeneration.lostNetwork {
            // The generation's processes are still in the namespace.
            return pids.lazy.compactMap { [machine] in try? machine.sockets.network(of: $0) }.first
        }
        if let present = networks[raw] { return present }
        do throws(SystemError) {
            let network = NetworkNamespace(adopting: try machine.handover.inherit(raw))
            networks[raw] = network
            return network
        } catch {
            if error.isTransient { throw error }
            logger.error("network of a generation: \(error)")
            return nil
        }
    }
}
