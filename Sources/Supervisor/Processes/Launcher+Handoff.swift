import Engine
import Linux
import UnitFiles

/// Handover of a generation's sockets to a process: descriptors, and the variables that name them.
struct Handoff {
    var environment: [String: String] = [:]
    /// Descriptors for the numbers from 3 on.
    var descriptors: [Int32] = []
    /// Descriptor for standard input with `X-Handoff=stdin`.
    var standardInput: Int32?
}

extension Launcher {
    /// The environment of the service's program, for its templates: all variables except those that are new in every
    /// run.
    func templateEnvironment(
        of definition: Definition, in generation: GenerationResources
    ) throws(LaunchError) -> [String: String] {
        let execution = definition.unit.execution
        var variables = baseEnvironment(execution, try account(of: execution))
        addHoldfastVariables(to: &variables, definition, generation)
        variables.merge(handoff(to: definition, generation).environment) { $1 }
        // Ignored lines are reported when the program is started.
        var ignored: [String] = []
        try addOwnVariables(of: execution, to: &variables, &ignored)
        return variables
    }

    /// Handover to an instance: its connection (`Accept=yes`), alone as in systemd, or else its sockets.
    func handoff(to instance: RunningInstance, _ generation: GenerationResources) -> Handoff {
        guard let connection = instance.connection else { return handoff(to: instance.definition, generation) }
        var result = Handoff()
        result.descriptors = pass(connection, to: &result.environment)
        return result
    }

    func handoff(to definition: Definition, _ generation: GenerationResources) -> Handoff {
        let settings = definition.unit.handoff
        // Named by the present unit: a shared socket may be older than its present name.
        let sockets = definition.sockets.flatMap { unit in
            (generation.sockets[unit.name.description] ?? []).map {
                PassedSocket(name: unit.fileDescriptorName, endpoint: $0.endpoint)
            }
        }
        var result = Handoff()
        addAddresses(definition.sockets, generation, to: &result.environment)
        guard !sockets.isEmpty else { return result }
        if settings.passesDescriptors { result.descriptors = sockets.map(\.endpoint.raw) }
        for convention in settings.conventions {
            switch convention {
            case .systemd:
                result.environment["LISTEN_FDS"] = "\(sockets.count)"
                result.environment["LISTEN_FDNAMES"] = sockets.map(\.name).joined(separator: ":")
                addNumbers(sockets, to: &result.environment)
            case .fdEnvironment: addNumbers(sockets, to: &result.environment)
            case .nginx:
                result.environment["NGINX"] = sockets.indices.map { "\(3 + $0);" }.joined()
            case .serverStarter:
                result.environment["SERVER_STARTER_PORT"] = sockets.enumerated()
                    .map { "\($1.endpoint.text)=\(3 + $0)" }.joined(separator: ";")
                result.environment["SERVER_STARTER_GENERATION"] = "\(generation.id.number)"
            case .einhorn:
                result.environment["EINHORN_FD_COUNT"] = "\(sockets.count)"
                for index in sockets.indices { result.environment["EINHORN_FD_\(index)"] = "\(3 + index)" }
            case .standardInput: result.standardInput = sockets.first?.endpoint.raw
            }
        }
        return result
    }

    private struct PassedSocket {
        let name: String
        let endpoint: any Endpoint
    }

    /// Adds `LISTEN_FD_NAME` for programs that read only numbers.
    private func addNumbers(_ sockets: [PassedSocket], to environment: inout [String: String]) {
        var names = CountedNames()
        for (index, entry) in sockets.enumerated() {
            environment["LISTEN_FD_" + names.next(HeldSocket.variable(entry.name))] = "\(3 + index)"
        }
    }

    /// Adds `HOST`, `PORT` and `LISTEN_ADDRESS` of the first address that the program must bind, and of each address by
    /// name.
    private func addAddresses(
        _ units: [SocketUnit], _ generation: GenerationResources, to environment: inout [String: String]
    ) {
        var names = CountedNames()
        var isFirst = true
        for unit in units {
            for reservation in generation.reservations[unit.name.description] ?? [] {
                let name = names.next(HeldSocket.variable(unit.fileDescriptorName))
                let address = reservation.address.address
                for suffix in isFirst ? ["", "_" + name] : ["_" + name] {
                    environment["LISTEN_ADDRESS" + suffix] = "\(address)"
                    environment["HOST" + suffix] = address.host
                    environment["PORT" + suffix] = address.port.map { "\($0)" }
                }
                isFirst = false
            }
        }
    }
}

/// Names for a unit's several addresses: the first has the plain name, the others are numbered from 2.
private struct CountedNames {
    private var seen: [String: Int] = [:]

    mutating func next(_ name: String) -> String {
        let count = (seen[name] ?? 0) + 1
        seen[name] = count
        return count == 1 ? name : "\(name)_\(count)"
    }
}
