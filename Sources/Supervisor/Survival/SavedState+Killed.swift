import Engine
import Linux

extension SavedState {
    /// The same state without the numbers of descriptors, which mean nothing in another process, and with process trees
    /// as far as they follow from the recorded processes.
    var ofKilled: SavedState {
        var state = self
        state.stores = nil
        for number in state.sockets.keys { state.sockets[number]?.descriptor = nil }
        var started: [InstanceID: [Int32: UInt64]] = [:]
        for index in state.processes.indices {
            state.processes[index].descriptor = nil
            let process = state.processes[index]
            started[process.instance, default: [:]][process.pid] = process.startTime
        }
        for index in state.generations.indices {
            if state.generations[index].network != nil {
                state.generations[index].network = SavedGeneration.lostNetwork
            }
            state.generations[index].reservations = state.generations[index].reservations?.mapValues { list in
                list.map {
                    SavedReservation(unit: $0.unit, requested: $0.requested, address: $0.address, owner: $0.owner)
                }
            }
        }
        for index in (state.activation?.commands ?? []).indices { state.activation?.commands[index].descriptor = nil }
        for index in (state.activation?.connections ?? []).indices {
            state.activation?.connections[index].descriptor = nil
        }
        for index in state.instances.indices {
            state.instances[index].output = nil
            state.instances[index].errorOutput = nil
            state.instances[index].store = nil
            guard state.instances[index].session != nil else { continue }
            var session = SessionTree.State()
            session.leaders = started[state.instances[index].id] ?? [:]
            session.known = session.leaders
            // Earlier children of the tree may be older than all known processes: then every process is examined.
            session.firstStart = 0
            state.instances[index].session = session
        }
        return state
    }
}
