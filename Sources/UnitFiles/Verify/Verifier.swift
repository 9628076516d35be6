/// `holdfastctl verify`: reports all problems of all units at once, including those between units.
///
/// Templates are checked as an instance named `RELEASE`, so that values that depend on the release are checked as far
/// as possible.
public struct Verifier {
    let resolver: SwapUnitResolver
    /// Access to the host; nil leaves out the checks that need it.
    let host: VerifierHost?

    public init(loader: UnitLoader, host: VerifierHost? = nil) {
        resolver = SwapUnitResolver(loader: loader)
        self.host = host
    }

    /// Checks everything in the search path.
    public func verifyAll() -> [Diagnostic] {
        Diagnostic.inFileOrder(
            resolver.loader.nameDiagnostics + check(resolver.loader.allNames()) + duplicateAddresses()
                + orderingCycles())
    }

    /// Checks some units, and the units started together with them.
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
            if let service = unit.service {
                diagnostics +=
                    checkPrograms(service) + checkEnvironmentFiles(service) + checkProxyConfigurations(service, held)
                diagnostics += resolver.warnings(about: service)
            }
            if let owner = resolver.owner(of: named), definitions.contains(owner) { continue }
            if let definition = resolver.resolve(named).definition, definitions.insert(definition.name).inserted {
                diagnostics += definition.diagnostics + resolver.warnings(about: definition)
            }
        }
        // The definition of a swap unit has already reported missing units at the same place.
        let known = Set(diagnostics.filter { $0.severity == .error }.map(\.location))
        return diagnostics + unmetRequirements(of: instances).filter { !known.contains($0.location) }
    }

    // MARK: One service

    private func checkPrograms(_ service: ServiceUnit) -> [Diagnostic] {
        guard let host else { return [] }
        // Commands without which the service does not start; without the others it runs.
        var starting = service.execCondition + service.execStartPre + service.execStart + service.execStartPost
        if case .exec(let command)? = service.swap?.readyProbe?.method { starting.append(command) }
        let others = service.execReload + service.execStop + service.execStopPost
        return (starting.map { ($0, true) } + others.map { ($0, false) }).compactMap { command, isNeeded in
            // A path that depends on the release may not exist before a release does.
            guard !command.path.contains(SwapUnitResolver.placeholder), !host.programExists(command.path) else {
                return nil
            }
            return Diagnostic(
                isNeeded && !command.prefixes.ignoreFailure ? .error : .warning, .missingProgram, at: command.location,
                "\(command.path) does not exist or is not executable")
        }
    }

    /// Sockets with the same address: the second could never be opened.
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
                            "\(entry.target) is already used at \(other.location)"))
                } else {
                    owners[entry.target] = entry
                }
            }
        }
        return diagnostics
    }

    /// Whether only one socket can have the address. Every netlink socket gets a copy of each message.
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
