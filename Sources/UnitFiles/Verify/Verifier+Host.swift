/// The host beyond its unit files, for `verify`. Without it the checks that need it are left out.
public struct VerifierHost: Sendable {
    /// Whether a program (an absolute path, or a name to be looked up) can be executed.
    public var programExists: @Sendable (String) -> Bool
    /// The text of a file; nil if it cannot be read.
    public var read: @Sendable (String) -> String?
    /// The paths that a wildcard matches.
    public var matches: @Sendable (String) -> [String]
    /// The text of a file of `EnvironmentFile=`; nil if only the supervisor may read it.
    public var environmentFile: @Sendable (String) -> Result<String, UnitFileReadError>?

    public init(
        programExists: @escaping @Sendable (String) -> Bool,
        read: @escaping @Sendable (String) -> String? = { _ in nil },
        matches: @escaping @Sendable (String) -> [String] = { [$0] },
        environmentFile: @escaping @Sendable (String) -> Result<String, UnitFileReadError>? = { _ in nil }
    ) {
        self.programExists = programExists
        self.read = read
        self.matches = matches
        self.environmentFile = environmentFile
    }
}

extension Verifier {
    /// Ignored lines in files of `EnvironmentFile=`, and missing files without which the service does not start.
    func checkEnvironmentFiles(_ service: ServiceUnit) -> [Diagnostic] {
        guard let host else { return [] }
        return service.execution.environmentFiles.flatMap { file -> [Diagnostic] in
            // A file whose path depends on the release may not exist before a release does.
            guard !file.path.contains(SwapUnitResolver.placeholder) else { return [] }
            return file.read(paths: host.matches(file.path), host.environmentFile).diagnostics
        }
    }

    /// Configuration files of HAProxy and nginx that bind an address held by Holdfast: the program would find it in
    /// use.
    func checkProxyConfigurations(_ service: ServiceUnit, _ held: [(address: ListenAddress, socket: UnitName)])
        -> [Diagnostic]
    {
        guard let host, !held.isEmpty else { return [] }
        var diagnostics: [Diagnostic] = []
        for command in service.execStart {
            guard let language = ProxyConfiguration.Language(program: command.path) else { continue }
            // nginx recognizes a passed socket by its address, so its configuration must name that address.
            if language == .nginx, service.handoff.conventions.contains(.nginx) { continue }
            var files = language.files(command.arguments)
            var seen: Set<String> = []
            // The bound is for files that include very many others.
            while let file = files.popLast(), seen.count < 100 {
                guard seen.insert(file).inserted, let text = host.read(file) else { continue }
                let configuration = ProxyConfiguration(text, language)
                let directory = file.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(file[..<$0]) } ?? ""
                files += configuration.includes.flatMap { host.matches($0.hasPrefix("/") ? $0 : "\(directory)/\($0)") }
                for bind in configuration.binds {
                    guard let owner = held.first(where: { $0.address.overlaps(bind.address) }) else { continue }
                    diagnostics.append(
                        Diagnostic(
                            .error, .bindsHeldAddress,
                            at: SourceLocation(file: file, line: bind.line, column: bind.column),
                            "\(service.name) would bind \(bind.text), which is already held by \(owner.socket); "
                                + language.remedy))
                }
            }
        }
        return diagnostics
    }

    /// Addresses that are the same for all generations.
    func heldAddresses() -> [(address: ListenAddress, socket: UnitName)] {
        guard host != nil else { return [] }
        return resolver.loader.allNames().filter { $0.kind == .socket && !$0.isTemplate }.flatMap { name in
            guard let socket = resolver.load(name).socket, socket.scope == .shared else {
                return [(address: ListenAddress, socket: UnitName)]()
            }
            return socket.listen.compactMap { entry in
                if case .stream(let address) = entry.target { (address, name) } else { nil }
            }
        }
    }

    /// Cycles of `After=` and `Before=` over all units, without those among the members of one swap unit, which its
    /// resolution reports.
    ///
    /// As in systemd, a start breaks a cycle by leaving out a unit that is not required. The cycle is an error only if
    /// one of its units requires all the others.
    func orderingCycles() -> [Diagnostic] {
        let names = resolver.loader.allNames().filter { !$0.isTemplate }
        var graph = OrderingGraph(names)
        for name in names {
            guard let unit = resolver.load(name).unit?.definition.unit else { continue }
            for reference in unit.after { graph.add(name, after: reference.name, because: reference.location) }
            for reference in unit.before { graph.add(reference.name, after: name, because: reference.location) }
        }
        return graph.sorted().cycles.compactMap { cycle in
            let owners = Set(cycle.map { resolver.owners(of: $0).first })
            if owners.count == 1, owners.first != .some(nil) { return nil }
            let path = cycle.map(\.description).joined(separator: " after ")
            let location = graph.reason(cycle[0], after: cycle[1]) ?? SourceLocation(file: cycle[0].description)
            let isFatal = cycle.dropLast().contains { required(by: $0).isSuperset(of: cycle) }
            return Diagnostic(isFatal ? .error : .warning, .orderingCycle, at: location, "ordering cycle: \(path)")
        }
    }

    /// A unit and all units required by it, directly or indirectly.
    private func required(by name: UnitName) -> Set<UnitName> {
        var found: Set<UnitName> = [name]
        var queue = [name]
        while let next = queue.popLast() {
            guard let section = resolver.load(next).unit?.definition.unit else { continue }
            let references = section.requires + section.graph.bindsTo
            queue += references.map(\.name).filter { found.insert($0).inserted }
        }
        return found
    }
}
