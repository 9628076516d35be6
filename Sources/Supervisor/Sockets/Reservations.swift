import ControlProtocol
import Engine
import Linux
import UnitFiles

/// An address of a socket unit with `X-Pass=address`, released when the last generation that has it is gone.
final class Reservation {
    let unit: SocketUnit
    let address: any AddressReservation
    /// The generation that owns the reservation; nil for scope `shared`.
    let owner: GenerationID?

    init(unit: SocketUnit, address: any AddressReservation, owner: GenerationID?) {
        self.unit = unit
        self.address = address
        self.owner = owner
    }

    deinit {
        // The path belongs to this generation alone; a shared path may be a successor's by now.
        if owner != nil { address.removeLeftover() }
    }
}

struct WeakReservation { weak var reservation: Reservation? }

extension HeldSockets {
    /// Reserves the addresses of a unit with `X-Pass=address`, in the order of the unit.
    func reserve(
        _ unit: SocketUnit, for generation: GenerationID, in network: NetworkNamespace?
    ) throws(PreparationError) -> [Reservation] {
        reserved = reserved.filter { $0.value.reservation != nil }
        var list: [Reservation] = []
        for entry in unit.listen {
            guard case .socket(let address, .stream) = target(of: entry, in: unit) else { continue }
            switch unit.scope {
            case .generation:
                guard case .socket(let own, _) = HeldEndpoint.Target.socket(address, .stream).unique(generation.number)
                else { continue }
                list.append(try reserve(unit, entry, own, owner: generation, network))
            case .shared:
                if let present = reserved[address]?.reservation {
                    list.append(present)
                } else {
                    let fresh = try reserve(unit, entry, address, owner: nil, nil)
                    reserved[address] = WeakReservation(reservation: fresh)
                    list.append(fresh)
                }
            }
        }
        return list
    }

    private func reserve(
        _ unit: SocketUnit, _ entry: ListenEntry, _ address: SocketAddress, owner: GenerationID?,
        _ network: NetworkNamespace?
    ) throws(PreparationError) -> Reservation {
        do throws(SystemError) {
            return Reservation(unit: unit, address: try machine.sockets.reserve(address, in: network), owner: owner)
        } catch {
            var text = "\(entry.location): \(error)"
            if owner != nil, error.errno == .addressInUse, address.port != nil {
                text += " (every generation reserves this address; with port 0 each gets a port of its own)"
            }
            text += obstacle(to: .socket(address, .stream), error) ?? ""
            throw PreparationError(unit: unit.name.description, text: text)
        }
    }
}

extension Supervisor {
    /// Reserved addresses in the `Sockets` call: bound, and not listening.
    func reservationStatus() -> [SocketStatus] {
        var holders: [ObjectIdentifier: [SocketHolder]] = [:]
        for instance in instances.values.sorted(by: { $0.id < $1.id }) where instance.tree != nil {
            guard let generation = generations[instance.generation] else { continue }
            let number = engine.isSwapUnit(instance.definition.group) ? instance.generation.number : nil
            for unit in instance.definition.sockets {
                for reservation in generation.reservations[unit.name.description] ?? [] {
                    holders[ObjectIdentifier(reservation), default: []]
                        .append(SocketHolder(unit: instance.name, generation: number))
                }
            }
        }
        var seen: Set<ObjectIdentifier> = []
        return generations.values.flatMap { $0.reservations.values.joined() }
            .filter { seen.insert(ObjectIdentifier($0)).inserted }
            .map { reservation in
                SocketStatus(
                    unit: reservation.unit.name.description, address: "\(reservation.address.address)",
                    scope: reservation.owner == nil ? .shared : .generation, generation: reservation.owner?.number,
                    descriptorName: reservation.unit.fileDescriptorName, listening: false, backlog: 0,
                    holders: holders[ObjectIdentifier(reservation)] ?? [])
            }
    }
}
