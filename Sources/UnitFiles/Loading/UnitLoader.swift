/// The result of loading one unit.
public struct LoadedUnit: Sendable {
    public enum Outcome: Sendable {
        case usable(Unit)
        /// A file exists, but it is no usable unit; the diagnostics say why.
        case unusable
        /// Masked by an empty file or a link to /dev/null at this path.
        case masked(path: String)
        /// No directory of the search path has a file for the unit.
        case missing
    }

    public var name: UnitName
    public var outcome: Outcome
    public var diagnostics: [Diagnostic]
    /// Whether a file has an `[X-Swap]` section; known even for an unusable unit.
    public var hasSwapSection = false
    /// An unusable target, as far as it could be read: its members must not be taken for units without an owner.
    var unusableTarget: Unit?

    /// The unit if it can be used.
    public var unit: Unit? {
        switch outcome {
        case .usable(let unit): unit
        case .unusable, .masked, .missing: nil
        }
    }

    /// The unit if it can be used and is a service.
    public var service: ServiceUnit? {
        if case .usable(.service(let service)) = outcome { return service }
        return nil
    }

    /// The unit if it can be used and is a socket.
    public var socket: SocketUnit? {
        if case .usable(.socket(let socket)) = outcome { return socket }
        return nil
    }

    /// The unit if it can be used and is a target.
    public var target: TargetUnit? {
        if case .usable(.target(let target)) = outcome { return target }
        return nil
    }

    public var isMissing: Bool {
        if case .missing = outcome { return true }
        return false
    }
}

/// The reason why a name on a command line matches no unit.
public enum NameError: Error, Sendable, Hashable, CustomStringConvertible {
    case invalid(UnitNameError)
    /// Several units match the name without a suffix.
    case ambiguous(String, candidates: [UnitName])
    case unknown(String, suggestion: String?)

    public var description: String {
        switch self {
        case .invalid(let error): "\(error)"
        case .ambiguous(let name, let candidates):
            "\"\(name)\" is ambiguous: \(candidates.map(\.description).joined(separator: " or "))"
        case .unknown(let name, let suggestion):
            "there is no unit \"\(name)\"" + (suggestion.map { " (did you mean \($0)?)" } ?? "")
        }
    }
}

/// Finds the files of a unit in a search path and builds the unit from them (systemd.unit(5), "Unit File Load Path").
///
/// The directories are listed once, when the loader is made. To see changes on disk, make a new loader.
public struct UnitLoader: Sendable {
    /// Directories, highest precedence first.
    public let searchPath: [String]
    public let specifiers: SpecifierEnvironment
    let source: any UnitFileSource
    /// File name of a unit -> index of the first directory that contains it.
    private let fragments: [String: Int]
    /// Name of a `.d`, `.wants`, … directory -> indices of all directories that contain it, in order.
    let companions: [String: [Int]]
    let aliases: UnitAliases
    /// Instances for which a file or companion directory exists by name, so that they may differ from other instances.
    let instancesWithOwnFiles: Set<String>
    /// Diagnostics of files that have a unit's suffix but no valid unit name.
    public let nameDiagnostics: [Diagnostic]
    private let names: [UnitName]

    public init(source: any UnitFileSource, searchPath: [String], specifiers: SpecifierEnvironment = .init()) {
        self.source = source
        self.searchPath = searchPath
        self.specifiers = specifiers
        let index = UnitFileIndex(source, searchPath)
        fragments = index.fragments
        companions = index.companions
        aliases = index.aliases
        names = index.names
        instancesWithOwnFiles = index.instances
        nameDiagnostics = index.diagnostics
    }

    static let companionSuffixes = [".d", ".wants", ".requires", ".upholds"]

    /// The names of all units with a file of their own, including templates but not aliases, sorted.
    public func allNames() -> [UnitName] { names }

    /// The unit's canonical name: the name itself, unless it is an alias.
    public func canonical(_ name: UnitName) -> UnitName { aliases.resolve(name) }

    /// Whether a file exists for the name: its own, or its template's.
    public func exists(_ name: UnitName) -> Bool { fragmentPath(of: name) != nil }

    /// The path of the unit's file; an instance's own file takes precedence over its template's.
    public func fragmentPath(of name: UnitName) -> String? {
        if let index = fragments[name.description] { return Self.join(searchPath[index], name.description) }
        guard let template = name.template, let index = fragments[template.description] else { return nil }
        return Self.join(searchPath[index], template.description)
    }

    /// Loads a unit with its drop-ins and its `.wants/`, `.requires/` and `.upholds/` directories. For an alias, loads
    /// the unit it stands for, under that unit's name.
    public func load(_ alias: UnitName) -> LoadedUnit {
        let name = canonical(alias)
        guard let path = fragmentPath(of: name) else {
            return LoadedUnit(name: name, outcome: .missing, diagnostics: [])
        }
        let source = source
        var builder = UnitBuilder(
            name: name, environment: specifiers, fragmentPath: path, aliases: aliases,
            realPath: { source.realPath($0) })
        var origin = UnitOrigin()
        do {
            let text = try source.read(path)
            guard !text.isEmpty else { return LoadedUnit(name: name, outcome: .masked(path: path), diagnostics: []) }
            origin.fragmentPath = path
            origin.sources.append(UnitSource(path: path, text: text))
            builder.apply(UnitFileParser.parse(text, path: path), isDropIn: false)
        } catch .masked {
            return LoadedUnit(name: name, outcome: .masked(path: path), diagnostics: [])
        } catch .missing {
            // The file existed when the directory was listed.
            return LoadedUnit(name: name, outcome: .missing, diagnostics: [])
        } catch {
            return LoadedUnit(name: name, outcome: .unusable, diagnostics: [Self.diagnostic(path, error)])
        }
        for path in dropIns(of: name) {
            do {
                let text = try source.read(path)
                origin.dropInPaths.append(path)
                origin.sources.append(UnitSource(path: path, text: text))
                builder.apply(UnitFileParser.parse(text, path: path), isDropIn: true)
            } catch .masked, .missing {
                continue
            } catch {
                // The content of the drop-in is unknown, and with it the program that would be started.
                builder.refuse(Self.diagnostic(path, error))
            }
        }
        let ignored =
            addLinkedUnits(name, ".wants", into: &builder.unit.wants)
            + addLinkedUnits(name, ".requires", into: &builder.unit.requires)
            + addLinkedUnits(name, ".upholds", into: &builder.unit.graph.upholds)
        for diagnostic in ignored { builder.report(diagnostic) }
        let unit = builder.finish(origin: origin)
        return LoadedUnit(
            name: name, outcome: unit.map { .usable($0) } ?? .unusable, diagnostics: builder.diagnostics,
            hasSwapSection: builder.swap != nil,
            unusableTarget: unit == nil ? builder.incompleteTarget.map { .target($0) } : nil)
    }

    /// Builds a unit from texts read earlier, possibly by an earlier version of Holdfast: this version interprets them
    /// anew.
    ///
    /// - Parameters:
    ///   - sources: the unit file first, then its drop-ins in the order in which they apply.
    ///   - wants: units wanted only by links, not by the texts.
    public static func restore(
        _ name: UnitName, sources: [UnitSource], wants: [String], specifiers: SpecifierEnvironment,
        realPath: @escaping @Sendable (String) -> String? = { $0 }
    ) -> LoadedUnit {
        guard let fragment = sources.first else { return LoadedUnit(name: name, outcome: .missing, diagnostics: []) }
        // The file may have been renamed since: the path it had then identifies it.
        var builder = UnitBuilder(
            name: name, environment: specifiers, fragmentPath: fragment.path, realPath: { realPath($0) ?? $0 })
        var origin = UnitOrigin()
        origin.fragmentPath = fragment.path
        origin.sources = sources
        origin.dropInPaths = sources.dropFirst().map(\.path)
        // The running unit was accepted once. Parsed as a drop-in, an invalid section header ends its text, but does
        // not make the unit unusable.
        for source in sources { builder.apply(UnitFileParser.parse(source.text, path: source.path), isDropIn: true) }
        let known = Set((builder.unit.wants + builder.unit.requires).map(\.name))
        for unit in wants.compactMap({ try? UnitName($0) }) where !known.contains(unit) {
            builder.unit.wants.append(UnitReference(unit, at: SourceLocation(file: fragment.path)))
        }
        let unit = builder.finish(origin: origin)
        return LoadedUnit(
            name: name, outcome: unit.map { .usable($0) } ?? .unusable, diagnostics: builder.diagnostics,
            hasSwapSection: builder.swap != nil)
    }

    /// The unit that an operator means by a name with or without suffix.
    ///
    /// A full name stays as it is. Without a suffix: the service or target that exists, else its template (`site` for
    /// `site@.target`), and a socket only if there is neither.
    public func resolve(shortName: String, kinds: Set<UnitKind> = Set(UnitKind.allCases)) -> Result<UnitName, NameError>
    {
        do {
            let name = try UnitName(shortName)
            if exists(name), kinds.contains(name.kind) { return .success(canonical(name)) }
            return .failure(.unknown(shortName, suggestion: suggestion(for: shortName, kinds)))
        } catch {
            switch error {
            case .noSuffix, .unknownSuffix: break
            case .empty, .tooLong, .foreignKind, .emptyPrefix, .invalidCharacter, .notTemplate:
                return .failure(.invalid(error))
            }
        }
        func candidates(_ stem: String, _ wanted: [UnitKind]) -> [UnitName] {
            let found = wanted.filter(kinds.contains).compactMap { try? UnitName(stem + $0.suffix) }.filter(exists)
            return Set(found.map(canonical)).sorted()
        }
        let stems = shortName.contains("@") ? [shortName] : [shortName, shortName + "@"]
        for wanted in [[UnitKind.service, .target], [.socket]] {
            for stem in stems {
                let found = candidates(stem, wanted)
                if let only = found.first, found.count == 1 { return .success(only) }
                if found.count > 1 { return .failure(.ambiguous(shortName, candidates: found)) }
            }
        }
        return .failure(.unknown(shortName, suggestion: suggestion(for: shortName, kinds)))
    }

    private func suggestion(for text: String, _ kinds: Set<UnitKind>) -> String? {
        let known = names.filter { kinds.contains($0.kind) }
        if let near = EditDistance.closest(to: text, in: known.map(\.description)) { return near }
        // "ap@v2": compares the prefix and keeps the release. A unit that is no template has none.
        let parts = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let templates = known.filter { $0.description.contains("@") }.map(\.prefix)
        if parts.count > 1, let near = EditDistance.closest(to: parts[0], in: templates) {
            // The same with a suffix that does not exist.
            return near == parts[0] ? nil : near + "@" + parts[1]
        }
        return EditDistance.closest(to: parts[0], in: known.map(\.prefix))
    }

    // MARK: Companions

    /// Drop-ins in the order in which they apply, by file name; of files with the same name, the one in the most
    /// specific directory counts.
    func dropIns(of name: UnitName) -> [String] {
        files(of: name, ".d") { $0.hasSuffix(".conf") && !$0.hasPrefix(".") }.map(\.path)
    }

    /// The entries of the `.d`, `.wants`, … directories of a unit and of its aliases, by file name. Of entries with the
    /// same name the first counts, so that a link to /dev/null there masks the others (systemd.unit(5), "Unit File Load
    /// Path").
    private func files(
        of name: UnitName, _ suffix: String, _ isWanted: (String) -> Bool
    ) -> [(name: String, path: String, directory: String)] {
        guard !companions.isEmpty else { return [] }
        var chosen: [String: String] = [:]
        func addEntries(_ directoryName: String, at index: Int) {
            guard companions[directoryName]?.contains(index) == true else { return }
            let directory = Self.join(searchPath[index], directoryName)
            for entry in source.entries(of: directory) where isWanted(entry) && chosen[entry] == nil {
                chosen[entry] = directory
            }
        }
        for known in [name] + aliases.names(of: name) {
            let own = Self.companionNames(of: known, suffix)
            for index in searchPath.indices { for directory in own { addEntries(directory, at: index) } }
        }
        for index in searchPath.indices { addEntries(name.kind.rawValue + suffix, at: index) }
        return chosen.sorted { $0.key < $1.key }.map { ($0.key, Self.join($0.value, $0.key), $0.value) }
    }

    /// The names of a unit's companion directories, most specific first: `foo-bar@v2.service.d`, then the template's,
    /// `foo-.service.d`, `foo-@v2.service.d` and `foo-@.service.d`. The order is that of systemd 252 (its
    /// unit_file_process_dir()).
    private static func companionNames(of name: UnitName, _ suffix: String) -> [String] {
        let ending = name.kind.suffix + suffix
        var prefixes: [Substring] = []
        var rest = name.prefix[...]
        while let dash = rest.dropLast().utf8.lastIndex(of: UInt8(ascii: "-")) {
            rest = rest[...dash]
            prefixes.append(rest)
        }
        let plain = prefixes.map { String($0) + ending }
        guard name.template != nil else { return [name.description + suffix] + plain }
        guard let instance = name.instance else { return [name.prefix + "@" + ending] + plain }
        return [name.description + suffix, name.prefix + "@" + ending] + plain
            + prefixes.flatMap { ["\($0)@\(instance)\(ending)", "\($0)@\(ending)"] }
    }

    /// The units linked into `NAME.wants/` of any directory, even if `NAME` has no file (systemd's own targets).
    public func wanted(by name: UnitName) -> [UnitReference] {
        var list: [UnitReference] = []
        for suffix in Self.companionSuffixes.dropFirst() {
            addLinkedUnits(name, suffix, keepsTemplates: true, into: &list)
        }
        return UnitBuilder.unique(list)
    }

    /// Adds the units linked into `NAME.wants/` (or an alias's, or the template's) of any directory.
    ///
    /// - Parameter keepsTemplates: a template stays a template and stands for its release; otherwise, as in `Wants=`,
    ///   it stands for its instance with the unit's instance or prefix.
    /// - Returns: warnings about files that are not links.
    @discardableResult
    private func addLinkedUnits(
        _ name: UnitName, _ suffix: String, keepsTemplates: Bool = false, into list: inout [UnitReference]
    ) -> [Diagnostic] {
        var diagnostics: [Diagnostic] = []
        var links: [String: [String: String]] = [:]
        for file in files(of: name, suffix, { !$0.hasPrefix(".") }) {
            if links[file.directory] == nil { links[file.directory] = source.links(of: file.directory) }
            // This includes links to masked units.
            if source.isMask(file.path) { continue }
            let location = SourceLocation(file: file.path)
            guard links[file.directory]?[file.name] != nil else {
                let message = "\(file.name) is ignored: it is not a symbolic link"
                diagnostics.append(Diagnostic(.warning, .notALink, at: location, message))
                continue
            }
            guard var unit = try? UnitName(file.name) else { continue }
            if unit.isTemplate, name.isInstance || !name.isTemplate && !keepsTemplates {
                guard let instantiated = try? unit.instantiated(name.instance ?? name.prefix) else { continue }
                unit = instantiated
            }
            unit = canonical(unit)
            if unit != name { list.append(UnitReference(unit, at: location)) }
        }
        return diagnostics
    }

    static func join(_ directory: String, _ name: String) -> String {
        directory.utf8.last == UInt8(ascii: "/") ? directory + name : directory + "/" + name
    }

    private static func diagnostic(_ path: String, _ error: UnitFileReadError) -> Diagnostic {
        let code: DiagnosticCode
        switch error {
        case .missing, .unreadable, .notText, .masked: code = .unreadableFile
        case .insecure: code = .insecureFile
        case .tooLarge: code = .fileTooLarge
        }
        return Diagnostic(.error, code, at: SourceLocation(file: path), "cannot read \(path): \(error)")
    }
}
