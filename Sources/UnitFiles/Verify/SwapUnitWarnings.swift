// Warnings about settings that are valid but probably not intended. `verify` and each start report them.

extension SwapUnitResolver {
    /// Warnings about the settings of one service, by its unit files only.
    public func warnings(about service: ServiceUnit) -> [Diagnostic] {
        let owners = owners(of: service.name)
        guard owners.count > 1 else { return signalWarnings(service) }
        let list = owners.map(\.description).joined(separator: " and ")
        let message = "\(service.name) is a member of several swap units: \(list)"
        let location = SourceLocation(file: service.fragmentPath ?? "")
        return signalWarnings(service) + [Diagnostic(.warning, .severalOwners, at: location, message)]
    }

    private func signalWarnings(_ service: ServiceUnit) -> [Diagnostic] {
        guard let swap = service.swap, let signal = swap.drainSignal, signal == service.killSignal else { return [] }
        guard let stop = service.timeoutStop.duration else { return [] }
        let drain = swap.effectiveDrainTimeout.duration
        if let drain, stop >= drain { return [] }
        let location = SourceLocation(file: service.fragmentPath ?? "")
        return [
            Diagnostic(
                .warning, .drainSignalIsKillSignal, at: location, directive: "DrainSignal",
                "DrainSignal= and KillSignal= are both \(signal), and stopping the service (TimeoutStopSec="
                    + "\(service.timeoutStop)) allows less time than a drain "
                    + "(DrainTimeoutSec=\(swap.effectiveDrainTimeout))")
        ]
    }

    /// `MaxDraining=` counts in the section of the swap unit only.
    private func drainLimitWarnings(_ definition: SwapUnitDefinition) -> [Diagnostic] {
        guard let target = definition.target else { return [] }
        return definition.services.filter { $0.swap?.maxDraining != nil }.map { service in
            Diagnostic(
                .warning, .noEffect, at: SourceLocation(file: service.fragmentPath ?? ""), directive: "MaxDraining",
                "MaxDraining= of \(service.name) has no effect: set it in [X-Swap] of \(target.name)")
        }
    }

    /// Warnings about combinations of services and sockets in a swap unit.
    public func warnings(about definition: SwapUnitDefinition) -> [Diagnostic] {
        guard definition.isSwappable else { return [] }
        var diagnostics: [Diagnostic] = drainLimitWarnings(definition)
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
                        "\(name) is shared by all generations: an old generation may answer the probe "
                            + "instead of the new one"))
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
        case .address(let address): return shared.first { $0.key.receives(address) }?.value
        case .host(_, let port): return shared.first { $0.key.wildcardPort == port }?.value
        }
    }
}

extension ListenAddress {
    /// The port of a socket that listens on all addresses of the host.
    fileprivate var wildcardPort: UInt16? {
        switch self {
        case .port(let port), .ipv6(.any, let port, interface: _): port
        case .ipv4(let address, let port): address.bits == 0 ? port : nil
        case .ipv6, .unix, .abstract, .vsock: nil
        }
    }

    /// Whether a socket that listens here gets the connections to an address.
    fileprivate func receives(_ address: ListenAddress) -> Bool {
        switch (self, address) {
        case (_, .ipv4(_, let port)), (_, .ipv6(_, let port, interface: _)):
            if wildcardPort == port { return true }
        case (_, .port), (_, .unix), (_, .abstract), (_, .vsock): break
        }
        if case .ipv6(let own, let ownPort, interface: _) = self,
            case .ipv6(let other, let port, interface: _) = address
        {
            return own == other && ownPort == port
        }
        return self == address
    }
}

extension SocketUnit {
    /// Whether a connection proves nothing: the kernel reports accepted connections for TCP, but not for Unix sockets.
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
