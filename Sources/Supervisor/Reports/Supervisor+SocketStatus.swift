import ControlProtocol
import Engine
import Linux

/// Answer of the `Sockets` call.
extension Supervisor {
    func socketStatus() -> SocketsReply {
        var list: [(HeldSocket, [SocketHolder])] = []
        var seen: [ObjectIdentifier: Int] = [:]
        func add(_ held: HeldSocket) -> Int {
            if let index = seen[ObjectIdentifier(held)] { return index }
            list.append((held, []))
            seen[ObjectIdentifier(held)] = list.count - 1
            return list.count - 1
        }
        for held in (sockets?.shared ?? [:]).sorted(by: { $0.key < $1.key }).flatMap(\.value) { _ = add(held) }
        for generation in generations.values {
            for held in generation.sockets.values.joined() { _ = add(held) }
        }
        for instance in instances.values.sorted(by: { $0.id < $1.id }) where instance.tree != nil {
            guard let generation = generations[instance.generation] else { continue }
            for unit in instance.definition.sockets {
                for held in generation.sockets[unit.name.description] ?? [] {
                    let number = engine.isSwapUnit(instance.definition.group) ? instance.generation.number : nil
                    list[add(held)].1.append(SocketHolder(unit: instance.name, generation: number))
                }
            }
        }
        let all = list.map { status(of: $0, holders: $1) } + closedSockets()
        return SocketsReply(
            sockets: (all + reservationStatus()).sorted {
                ($0.unit, $0.generation ?? 0, $0.address) < ($1.unit, $1.generation ?? 0, $1.address)
            })
    }
}
