/// `holdfastctl verify`: all problems of all units at once, also those that only show between units.
///
/// Templates are looked at as an instance named `RELEASE`, so that what depends on the release is checked as far as it can be.
public struct Verifier {
    let resolver: SwapUnitResolver
    /// nil leaves out what needs it.
    let host: VerifierHost?

    public init(loader: UnitLoader, host: VerifierHost? = nil) {
        resolver = SwapUnitResolver(loader: loader)
        self.host = host
    }

    /// Everything in the search path.
    public func verifyAll() -> [Diagnostic] {
        Diagnostic.inFileOrder(
            resolver.loader.nameDiagnostics + check(resolver.loader.allNames()) + duplicateAddresses()
                + orderingCycles())
    }

    /// Some units, and what is started together with them.
    public func verify(_ names: [UnitName]) -> [Diagnostic] { Diagnostic.inFileOrder(check(names)) }

    private func check(_ names: [UnitName]) -> [Diagnostic] {
        var diagnostics: [Diagnostic] = []
        var definitions: Set<UnitName> = []
        let held = heldAddresses()
        let instances = names.map { name in
            name.isTemplate ? (try? name.instantiated(SwapUnitResolver.placeholder)) ?? name : name
        }
        for (name, named) in zip(names, instances) {
            let unit = resolver.load(named)
            diagnostics += unit.diagnostics
            if unit.isMissing {
                let location = SourceLocation(file: name.description)
                diagnostics.append(Diagnostic(.error, .missingUnit, at: location, "\(name) has no unit file"))
            }
            let owners = resolver.owners(of: named)
            if let service = unit.service {
                diagnostics += programs(service) + signals(service) + proxies(service, held)
                if owners.count > 1 {
                    let list = owners.map(\.description).joined(separator: " and ")
                    let message = "\(named) belongs to \(list), which would both swap it"
                    let location = SourceLocation(file: service.fragmentPath ?? "")
                    diagnostics.append(Diagnostic(.warning, .severalOwners, at: location, message))
                }
            }
            if let owner = owners.first, definitions.contains(owner) { continue }
            if let definition = resolver.resolve(named).definition, definitions.insert(definition.name).inserted {
                diagnostics += definition.diagnostics + sockets(definition)
            }
        }
        // What a swap unit lacks was said with its definition, at the same place.
        let known = Set(diagnostics.filter { $0.severity == .error }.map(\.location))
        return diagnostics + unmetRequirements(of: instances).filter { !known.contains($0.location) }
    }

    // MARK: One service

    private func programs(_ service: ServiceUnit) -> [Diagnostic] {
        guard let host else { return [] }
        // Without these it does not start; without the others it runs.
        var starting = service.execCondition + service.execStartPre + service.execStart + service.execStartPost
        if case .exec(let command)? = service.swap?.readyProbe?.method { starting.append(command) }
        let others = service.execReload + service.execStop + service.execStopPost
        return (starting.map { ($0, true) } + others.map { ($0, false) }).compactMap { command, isNeeded in
            // What depends on the release is not there before a release is.
            guard !command.path.contains(SwapUnitResolver.placeholder), !host.programExists(command.path) else {
                return nil
            }
            return Diagnostic(
                isNeeded && !command.prefixes.ignoreFailure ? .error : .warning, .missingProgram, at: command.location,
                "\(command.path) is missing or cannot be executed")
        }
    }

    private func signals(_ service: ServiceUnit) -> [Diagnostic] {
        guard let swap = service.swap, let signal = swap.drainSignal, signal == service.killSignal else { return [] }
        guard let stop = service.timeoutStop.duration else { return [] }
        let drain = swap.effectiveDrainTimeout.duration
        if let drain, stop >= drain { return [] }
        let location = SourceLocation(file: service.fragmentPath ?? "")
        return [
            Diagnostic(
                .warning, .drainSignalIsKillSignal, at: location, directive: "DrainSignal",
                "DrainSignal= and KillSignal= are both \(signal), and stopping the service (TimeoutStopSec="
                    + "\(service.timeoutStop)) gives it less time than a drain "
                    + "(DrainTimeoutSec=\(swap.effectiveDrainTimeout))")
        ]
    }

    // MARK: Services and sockets

    private func sockets(_ definition: SwapUnitDefinition) -> [Diagnostic] {
        guard definition.isSwappable else { return [] }
        var diagnostics: [Diagnostic] = []
        var shared: [ListenAddress: UnitName] = [:]
        for socket in definition.sockets where socket.scope == .shared {
            for case .stream(let address) in socket.listen.map(\.target) { shared[address] = socket.name }
        }
        for service in definition.services {
            if let probe = service.swap?.readyProbe, let endpoint = probe.endpoint,
                let name = sharedSocket(endpoint, definition, shared)
            {
                diagnostics.append(
                    Diagnostic(
                        .warning, .probeOnSharedSocket, at: probe.location, directive: "ReadyProbe",
                        "\(name) is shared by all generations: an old one may answer the probe, "
                            + "which says nothing about the new one"))
            }
            if let probe = service.swap?.readyProbe, case .tcp(.socket(let name)) = probe.method,
                let socket = definition.sockets.first(where: { $0.name == name }), socket.listensOnUnixOnly
            {
                diagnostics.append(
                    Diagnostic(
                        .warning, .probeProvesNothing, at: probe.location, directive: "ReadyProbe",
                        "\(name) is held open for the service, so a connection to it succeeds before the service "
                            + "accepts; use an http or exec probe"))
            }
            for reference in service.upstreams {
                guard let socket = definition.referencedSockets[reference.name], socket.scope == .shared else {
                    continue
                }
                diagnostics.append(
                    Diagnostic(
                        .warning, .upstreamNotGenerationSocket, at: reference.location, directive: "X-Upstreams",
                        "\(reference.name) is shared by all generations: a new \(service.name) may be answered "
                            + "by an old backend, and is not swapped along with it"))
            }
        }
        return diagnostics
    }

    private func sharedSocket(
        _ endpoint: ProbeEndpoint, _ definition: SwapUnitDefinition, _ shared: [ListenAddress: UnitName]
    ) -> UnitName? {
        switch endpoint {
        case .socket(let name): return definition.referencedSockets[name]?.scope == .shared ? name : nil
        case .unix(let path): return shared[(try? ListenAddress.parse(path)) ?? .unix(path)]
        case .tcp(let host, let port):
            return shared.first { address, _ in
                switch address {
                case .port(let own): own == port
                case .ipv4(let ip, let own): own == port && (ip.bits == 0 || ip.description == host)
                case .ipv6(let ip, let own, interface: _): own == port && (ip == .any || ip.description == host)
                case .unix, .abstract, .vsock: false
                }
            }?.value
        }
    }

    /// Two sockets at one address: the second could never be opened.
    private func duplicateAddresses() -> [Diagnostic] {
        var owners: [ListenTarget: ListenEntry] = [:]
        var diagnostics: [Diagnostic] = []
        for name in resolver.loader.allNames() where name.kind == .socket && !name.isTemplate {
            guard let socket = resolver.load(name).socket, !socket.options.reusePort else { continue }
            for entry in socket.listen where Self.isExclusive(entry.target) {
                if let other = owners[entry.target] {
                    diagnostics.append(
                        Diagnostic(
                            .error, .duplicateAddress, at: entry.location,
                            "\(entry.target) is also listened on by \(other.location)"))
                } else {
                    owners[entry.target] = entry
                }
            }
        }
        return diagnostics
    }

    /// Only one can have it. Every netlink socket gets a copy of each message.
    private static func isExclusive(_ target: ListenTarget) -> Bool {
        switch target {
        case .stream(let address), .datagram(let address), .sequentialPacket(let address):
            switch address {
            case .ipv4(_, let port), .ipv6(_, let port, interface: _), .port(let port): port != 0
            case .unix, .abstract, .vsock: true
            }
        case .fifo, .messageQueue: true
        case .special, .netlink: false
        }
    }
}

extension SocketUnit {
    /// For TCP the kernel tells whether a connection has been accepted; for Unix sockets it does not.
    fileprivate var listensOnUnixOnly: Bool {
        listen.allSatisfy { entry in
            switch entry.target {
            case .stream(.ipv4), .stream(.ipv6), .stream(.port), .stream(.vsock): false
            case .stream(.unix), .stream(.abstract), .datagram, .sequentialPacket, .fifo, .special, .netlink,
                .messageQueue:
                true
            }
        }
    }
}
