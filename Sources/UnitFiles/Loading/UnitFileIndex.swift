/// The unit files, companion directories and aliases that the directories of a search path contain.
struct UnitFileIndex {
    /// File name of a unit -> index of the first directory that contains it.
    private(set) var fragments: [String: Int] = [:]
    /// Name of a `.d`, `.wants`, … directory -> indices of all directories that contain it, in order.
    private(set) var companions: [String: [Int]] = [:]
    private(set) var aliases = UnitAliases()
    /// The names of all units with a file of their own, sorted, without aliases.
    private(set) var names: [UnitName] = []
    /// Instances for which a file or companion directory exists by name.
    private(set) var instances: Set<String> = []
    private(set) var diagnostics: [Diagnostic] = []

    private let source: any UnitFileSource
    /// The directories, and the directories to which they lead.
    private let roots: Set<String>

    init(_ source: any UnitFileSource, _ searchPath: [String]) {
        self.source = source
        roots = Set(searchPath + searchPath.compactMap { source.realPath($0) })
        for (index, directory) in searchPath.enumerated() { addEntries(of: directory, at: index) }
        let known = fragments
        aliases.removeDangling { name in known[name.description] != nil || known[name.identity.description] != nil }
        instances = Set(names.compactMap(\.instance)).union(companions.keys.compactMap(Self.instance(ofCompanion:)))
        let aliases = aliases
        names = names.filter { !aliases.isAlias($0) }.sorted()
    }

    private mutating func addEntries(of directory: String, at index: Int) {
        let links = source.links(of: directory)
        let directories = source.directories(of: directory)
        for entry in source.entries(of: directory) {
            if UnitLoader.companionSuffixes.contains(where: entry.hasSuffix) {
                companions[entry, default: []].append(index)
            } else if UnitKind.allCases.contains(where: { entry.hasSuffix($0.suffix) }), fragments[entry] == nil,
                !directories.contains(entry)
            {
                addFile(entry, linkedTo: links[entry], in: directory, at: index)
            }
        }
    }

    private mutating func addFile(_ entry: String, linkedTo target: String?, in directory: String, at index: Int) {
        let name: UnitName
        do {
            name = try UnitName(entry)
        } catch {
            return report("\(error); the file is ignored", entry, in: directory)
        }
        if let target {
            let isInside = leadsInside(target, of: directory)
            if let problem = aliases.add(name, leadingTo: target, isInside: isInside) {
                return report(problem, entry, in: directory)
            }
        }
        names.append(name)
        fragments[entry] = index
    }

    private mutating func report(_ problem: String, _ entry: String, in directory: String) {
        let location = SourceLocation(file: UnitLoader.join(directory, entry))
        diagnostics.append(Diagnostic(.warning, .invalidUnitName, at: location, problem))
    }

    /// Whether the link leads to a file of the search path. A link out of it is the file of the unit itself, not an
    /// alias.
    private func leadsInside(_ target: String, of directory: String) -> Bool {
        let path = target.hasPrefix("/") ? target : UnitLoader.join(directory, target)
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return false }
        let parent = Value.withoutParents(String(path[..<slash]))
        return roots.contains(parent) || source.realPath(parent).map(roots.contains) ?? false
    }

    /// The instance in the name of a companion directory.
    private static func instance(ofCompanion companion: String) -> String? {
        guard let dot = companion.utf8.lastIndex(of: UInt8(ascii: ".")) else { return nil }
        return (try? UnitName(companion[..<dot]))?.instance
    }
}
