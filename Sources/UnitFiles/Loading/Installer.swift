/// The enablement state of a unit's file, in the words of systemctl(1).
public enum UnitFileState: String, Sendable, CaseIterable {
    /// A link of some other unit, usually a target, wants it.
    case enabled
    /// Like `enabled`, but only until the next boot.
    case enabledRuntime = "enabled-runtime"
    /// The name is an alias of another unit.
    case alias
    /// Masked permanently: it cannot be started.
    case masked
    case maskedRuntime = "masked-runtime"
    /// It has no `[Install]` section: other units or an operator start it.
    case `static`
    /// Its `[Install]` section names only other units (`Also=`).
    case indirect
    /// It could be enabled and is not.
    case disabled
    /// Its file is not a usable unit.
    case bad
    case notFound = "not-found"

    /// Whether `systemctl is-enabled` exits with status 0 for this state.
    public var countsAsEnabled: Bool {
        switch self {
        case .enabled, .enabledRuntime, .alias, .static, .indirect: true
        case .masked, .maskedRuntime, .disabled, .bad, .notFound: false
        }
    }
}

/// The changes on disk that enable, disable or mask units.
public struct InstallChanges: Sendable, Hashable {
    public enum Change: Sendable, Hashable {
        /// Makes a symbolic link at `path` to `target`, in place of another link.
        case link(path: String, target: String)
        /// Removes the symbolic link at `path`, and its directory if that is then empty and its name ends in one of the
        /// suffixes.
        case unlink(path: String)
    }
    public var changes: [Change] = []
    /// Notes for the caller.
    public var notes: [String] = []
}

/// The reason why a unit cannot be enabled, disabled or masked.
public enum InstallError: Error, Sendable, Hashable, CustomStringConvertible {
    case notFound(UnitName)
    case masked(UnitName, path: String)
    case unusable(UnitName, problems: [String])
    /// A template without an instance, neither in its name nor by `DefaultInstance=`.
    case needsInstance(UnitName)
    /// `Alias=` of another kind of unit, or a template as alias of a unit that is none (or the reverse).
    case badAlias(UnitName, alias: UnitName)
    /// The path is occupied by a file that is not a link.
    case occupied(path: String)
    case noRuntimeDirectory

    public var description: String {
        switch self {
        case .notFound(let name): "\(name) has no unit file"
        case .masked(let name, let path): "\(name) is masked by \(path)"
        case .unusable(let name, let problems): (["\(name) has errors"] + problems).joined(separator: "\n  ")
        case .needsInstance(let name):
            "\(name) is a template: name an instance, or set DefaultInstance= in its [Install] section"
        case .badAlias(let name, let alias): "Alias=\(alias) cannot be another name of \(name)"
        case .occupied(let path): "cannot replace \(path): it is a file, not a symbolic link"
        case .noRuntimeDirectory: "--runtime: the search path has no runtime unit directory"
        }
    }
}

/// `enable`, `disable`, `mask` and their reverse, as changes to links (systemd.unit(5), "[Install] Section Options").
///
/// Decides only. The code that applies the changes also checks that only links are replaced or removed.
public struct Installer {
    private let loader: UnitLoader
    private let resolver: SwapUnitResolver
    private let runtimeDirectory: String?

    /// - Parameter runtimeDirectory: the unit directory that does not survive a reboot; nil if there is none.
    public init(loader: UnitLoader, runtimeDirectory: String?) {
        self.loader = loader
        self.runtimeDirectory = runtimeDirectory
        resolver = SwapUnitResolver(loader: loader)
    }

    private func directory(runtime: Bool) throws(InstallError) -> String {
        guard runtime else { return loader.searchPath.first ?? "" }
        guard let runtimeDirectory else { throw .noRuntimeDirectory }
        return runtimeDirectory
    }

    // MARK: Enable

    public func enable(_ names: [UnitName], runtime: Bool) throws(InstallError) -> InstallChanges {
        let directory = try directory(runtime: runtime)
        var result = InstallChanges()
        for name in try unitsWithAlso(names, &result) {
            let definition = try definition(name)
            let fragment = definition.fragmentPath ?? ""
            let linked = try linkName(name, definition)
            for (owners, suffix) in [
                (definition.install.wantedBy, ".wants"), (definition.install.requiredBy, ".requires"),
                (definition.install.upheldBy, ".upholds"),
            ] {
                for owner in owners {
                    let path = UnitLoader.join(directory, "\(owner.name)\(suffix)/\(linked)")
                    result.changes.append(.link(path: path, target: fragment))
                }
            }
            for alias in definition.install.aliases where alias.name != name {
                let fits = alias.name.kind == name.kind && alias.name.isTemplate == name.isTemplate
                guard fits else { throw .badAlias(name, alias: alias.name) }
                result.changes.append(
                    .link(path: UnitLoader.join(directory, alias.name.description), target: fragment))
            }
        }
        return result
    }

    /// The units with those of their `Also=`, followed transitively.
    private func unitsWithAlso(_ names: [UnitName], _ result: inout InstallChanges) throws(InstallError) -> [UnitName] {
        var all: [UnitName] = []
        var queue = names.map { (name: loader.canonical($0), isNamed: true) }
        var seen: Set<UnitName> = []
        var next = 0
        while next < queue.count {
            let (name, isNamed) = queue[next]
            next += 1
            guard seen.insert(name).inserted else { continue }
            let definition: any UnitDefinition
            do throws(InstallError) {
                definition = try self.definition(name)
            } catch {
                if isNamed { throw error }
                result.notes.append("Also=\(name): \(error)")
                continue
            }
            if definition.install.isEmpty, isNamed {
                result.notes.append(
                    "\(name) has no [Install] section, so enabling it has no effect; other units or an operator start it"
                )
            }
            all.append(name)
            queue += definition.install.also.map { (loader.canonical($0.name), false) }
        }
        return all
    }

    private func definition(_ name: UnitName) throws(InstallError) -> any UnitDefinition {
        let unit = loader.load(name)
        switch unit.outcome {
        case .usable(let unit): return unit.definition
        case .missing: throw .notFound(name)
        case .masked(let path): throw .masked(name, path: path)
        case .unusable:
            throw .unusable(name, problems: unit.diagnostics.filter { $0.severity == .error }.map(\.description))
        }
    }

    /// The name of the link. A template of a swap unit stands for the release that serves; any other template needs an
    /// instance.
    private func linkName(_ name: UnitName, _ definition: any UnitDefinition) throws(InstallError) -> UnitName {
        guard name.isTemplate, !isSwapUnit(name) else { return name }
        let owners = definition.install.wantedBy + definition.install.requiredBy + definition.install.upheldBy
        guard let instance = definition.install.defaultInstance else {
            // A template wanted by templates: each of their instances wants the instance of the same name.
            if owners.allSatisfy(\.name.isTemplate) { return name }
            throw .needsInstance(name)
        }
        guard let named = try? name.instantiated(instance) else { throw .needsInstance(name) }
        return named
    }

    private func isSwapUnit(_ name: UnitName) -> Bool {
        loader.load(name).hasSwapSection || resolver.owner(of: name) != nil
    }

    // MARK: Disable

    /// Removes every link to the units in the directory, including links that `[Install]` does not name, or no longer
    /// names.
    public func disable(_ names: [UnitName], runtime: Bool) throws(InstallError) -> InstallChanges {
        let directory = try directory(runtime: runtime)
        var result = InstallChanges()
        var all: Set<UnitName> = []
        for name in names {
            let unit = loader.canonical(name)
            all.insert(unit)
            if let definition = loader.load(unit).unit?.definition {
                all.formUnion(definition.install.also.map { loader.canonical($0.name) })
            }
        }
        for (owner, suffix, entry) in links(in: directory) where all.contains(where: { isLink(entry, to: $0) }) {
            result.changes.append(.unlink(path: UnitLoader.join(directory, "\(owner)\(suffix)/\(entry)")))
        }
        for (entry, _) in loader.source.links(of: directory).sorted(by: { $0.key < $1.key }) {
            guard let alias = try? UnitName(entry), loader.aliases.isAlias(alias) else { continue }
            if all.contains(loader.canonical(alias)) {
                result.changes.append(.unlink(path: UnitLoader.join(directory, entry)))
            }
        }
        return result
    }

    /// Whether a link of this name leads to the unit: by any of its names, and for a template to any instance.
    private func isLink(_ entry: UnitName, to unit: UnitName) -> Bool {
        let canonical = loader.canonical(entry)
        return canonical == unit || (unit.isTemplate && canonical.template == unit)
    }

    /// All links in the `.wants/`, `.requires/` and `.upholds/` directories of one unit directory.
    private func links(in directory: String) -> [(owner: String, suffix: String, entry: UnitName)] {
        guard let index = loader.searchPath.firstIndex(of: directory) else { return [] }
        var found: [(owner: String, suffix: String, entry: UnitName)] = []
        for (companion, indices) in loader.companions.sorted(by: { $0.key < $1.key }) where indices.contains(index) {
            guard let suffix = UnitLoader.companionSuffixes.dropFirst().first(where: companion.hasSuffix) else {
                continue
            }
            for entry in loader.source.entries(of: UnitLoader.join(directory, companion)).sorted() {
                guard let name = try? UnitName(entry) else { continue }
                found.append((String(companion.dropLast(suffix.count)), suffix, name))
            }
        }
        return found
    }

    // MARK: Mask

    public func mask(_ names: [UnitName], runtime: Bool) throws(InstallError) -> InstallChanges {
        let directory = try directory(runtime: runtime)
        var result = InstallChanges()
        for name in names {
            let path = UnitLoader.join(directory, name.description)
            let isThere = loader.source.entries(of: directory).contains(name.description)
            if isThere, loader.source.links(of: directory)[name.description] == nil { throw .occupied(path: path) }
            result.changes.append(.link(path: path, target: "/dev/null"))
        }
        return result
    }

    public func unmask(_ names: [UnitName], runtime: Bool) throws(InstallError) -> InstallChanges {
        let directory = try directory(runtime: runtime)
        let links = loader.source.links(of: directory)
        var result = InstallChanges()
        for name in names where links[name.description] == "/dev/null" {
            result.changes.append(.unlink(path: UnitLoader.join(directory, name.description)))
        }
        return result
    }

    // MARK: State

    public func state(of name: UnitName) -> UnitFileState {
        if loader.aliases.isAlias(name) { return .alias }
        let unit = loader.load(name)
        switch unit.outcome {
        case .missing: return .notFound
        case .masked(let path):
            return runtimeDirectory.map { path.hasPrefix($0 + "/") } == true ? .maskedRuntime : .masked
        case .unusable: return linkState(name) ?? .bad
        case .usable(let usable):
            if let state = linkState(name) { return state }
            let install = usable.definition.install
            if install.isEmpty { return .static }
            let onlyOthers = install.wantedBy.isEmpty && install.requiredBy.isEmpty && install.upheldBy.isEmpty
            return onlyOthers && install.aliases.isEmpty ? .indirect : .disabled
        }
    }

    /// The state by the links to the unit; nil if there are none.
    private func linkState(_ name: UnitName) -> UnitFileState? {
        var state: UnitFileState?
        for directory in loader.searchPath {
            let isLinked = links(in: directory).contains {
                isLink($0.entry, to: name) || isTemplateLink($0.entry, name)
            }
            let isAliased = loader.source.links(of: directory).keys.contains { entry in
                guard let alias = try? UnitName(entry), loader.aliases.isAlias(alias) else { return false }
                return loader.canonical(alias) == name
            }
            guard isLinked || isAliased else { continue }
            if directory != runtimeDirectory { return .enabled }
            state = .enabledRuntime
        }
        return state
    }

    /// Whether the link is one to the template of this instance: it starts the release that serves.
    private func isTemplateLink(_ entry: UnitName, _ name: UnitName) -> Bool {
        entry.isTemplate && name.template == loader.canonical(entry)
    }
}
