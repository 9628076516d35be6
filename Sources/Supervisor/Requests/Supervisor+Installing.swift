import ControlProtocol
import Linux
import UnitFiles
import UnitStore

/// Clients' questions about unit files, and changes to the links to them.
extension Supervisor {
    /// The unit for a name that has a file.
    func installed(_ name: String) throws(ControlError) -> UnitName {
        switch planning.resolver.loader.resolve(shortName: name) {
        case .success(let found): return found
        case .failure(let error): throw .failed(message: "\(error)")
        }
    }

    func dependencies(_ name: String) throws(ControlError) -> DependenciesReply {
        try planning.refresh()
        let root = try installed(name)
        var dependencies: [Dependency] = []
        var found: Set<UnitName> = [root]
        var queue = [root]
        var next = 0
        while next < queue.count {
            let unit = queue[next]
            next += 1
            for (needed, because) in planning.resolver.needs(of: unit) {
                dependencies.append(
                    Dependency(unit: unit.description, needs: needed.description, because: because))
                if found.insert(needed).inserted { queue.append(needed) }
            }
        }
        return DependenciesReply(unit: root.description, dependencies: dependencies)
    }

    func unitFileStates(_ names: [String]) -> UnitFileStatesReply {
        let places = UnitInstallation(freshLoader, configuration)
        return UnitFileStatesReply(
            units: names.map { name in
                let (unit, state) = places.state(of: name)
                return UnitFileStatus(unit: unit?.description ?? name, state: UnitFileStateWord(state))
            })
    }

    func install(_ verb: Request.InstallVerb, _ names: [String], runtime: Bool) throws(ControlError) -> InstallReply {
        guard !names.isEmpty else { throw .invalidParameter(parameter: "names") }
        let places = UnitInstallation(freshLoader, configuration)
        do {
            let units = try places.units(names, mayBeMissing: verb == .mask || verb == .unmask)
            let done =
                switch verb {
                case .enable: try places.apply(places.installer.enable(units, runtime: runtime))
                case .disable: try places.apply(places.installer.disable(units, runtime: runtime))
                case .mask: try places.apply(places.installer.mask(units, runtime: runtime))
                case .unmask: try places.apply(places.installer.unmask(units, runtime: runtime))
                }
            try planning.refresh()
            return InstallReply(changes: done.changes, notes: done.notes)
        } catch {
            throw .failed(message: "\(error)")
        }
    }

    /// A loader for the present contents of the directories.
    private var freshLoader: UnitLoader { planning.freshResolver().loader }
}

extension UnitFileStateWord {
    fileprivate init(_ state: UnitFileState) {
        self =
            switch state {
            case .enabled: .enabled
            case .enabledRuntime: .enabledRuntime
            case .alias: .alias
            case .masked: .masked
            case .maskedRuntime: .maskedRuntime
            case .static: .static
            case .indirect: .indirect
            case .disabled: .disabled
            case .bad: .bad
            case .notFound: .notFound
            }
    }
}
