import ControlProtocol
import Glibc
import Linux

/// The units that the names on the command line select.
struct LogSelection {
    /// Names of units, or patterns of glob(7) for them.
    private(set) var patterns: [String] = []
    /// Units that are selected although they may have no file.
    private(set) var units: [String] = []

    /// The name of the daemon's own log, which is selected only by name.
    static let daemon = "holdfastd"

    /// - Parameters:
    ///   - names: as typed: units, with or without suffix, `GROUP`, `GROUP:*`, `RELEASE` of a group, patterns, `all`.
    ///   - status: the units that the daemon reports; empty if it cannot be asked.
    ///   - files: units that have a log file.
    /// - Throws: an error for a name that matches nothing.
    init(_ names: [String], status: [UnitStatus], files: [String]) throws(CommandFailure) {
        if names.isEmpty || names.contains("all") {
            patterns = ["*"]
            units = files.filter { $0 != Self.daemon }
            return
        }
        for name in names { try add(name, status, files) }
    }

    func contains(_ unit: String) -> Bool {
        patterns.contains { $0 == unit || unit != Self.daemon && Self.matches($0, unit) }
    }

    /// Matches with FNM_NOESCAPE, because a backslash is a character of unit names.
    private static func matches(_ pattern: String, _ unit: String) -> Bool { fnmatch(pattern, unit, noEscape) == 0 }

    /// FNM_NOESCAPE of fnmatch.h, a macro that Swift does not see.
    private static let noEscape: CInt = 1 << 1

    /// Restricts the selected group to one of its services, in this and in later generations.
    mutating func restrict(to unit: String) {
        patterns = patterns.filter { $0 == unit || Self.matches($0, unit) }
        let left = self
        units = units.filter { left.contains($0) }
    }

    private mutating func add(_ name: String, _ status: [UnitStatus], _ files: [String]) throws(CommandFailure) {
        let bare = name.hasSuffix(":*") ? String(name.dropLast(2)) : name
        if !bare.allSatisfy({ !"*?[".contains($0) }) { return add(patterns: [bare, bare + ".service"], files) }
        for candidate in [bare, bare + ".service"] where files.contains(candidate) {
            return add(patterns: [candidate], files)
        }
        let services = status.filter { Self.isGroup($0, named: bare) }.flatMap { group in
            group.generations.flatMap { generation in generation.services.map { ($0.unit, generation.release) } }
        }
        let release = Self.stem(bare).drop { $0 != "@" }.dropFirst()
        var wanted: [String] = []
        for (unit, itsRelease) in services where release.isEmpty || itsRelease ?? String(release) == release {
            // Without a release the pattern also covers releases after a swap.
            let instance = itsRelease.map { "@\($0)." } ?? "@."
            let general = release.isEmpty ? unit.split(separator: instance, maxSplits: 1) : []
            wanted.append(general.count == 2 ? "\(general[0])@*.\(general[1])" : unit)
            units.append(unit)
        }
        if wanted.isEmpty {
            // A template, whose instances have printed something.
            let pattern = Self.stem(bare).prefix { $0 != "@" } + "@*"
            guard files.contains(where: { Self.matches(String(pattern), $0) }) else {
                let known = status.first { Self.isGroup($0, named: bare) }
                if let known {
                    patterns.append(known.unit)
                    return
                }
                throw .refused(.noSuchUnit(name: name, suggestion: Holdfastctl.nearestName(to: name, in: files)))
            }
            wanted = [String(pattern)]
        }
        add(patterns: wanted, files)
    }

    private mutating func add(patterns wanted: [String], _ files: [String]) {
        patterns += wanted.filter { !patterns.contains($0) }
        units = Set(units + files.filter(contains)).sorted()
    }

    /// A name without its suffix. Dots also occur in names and instances.
    private static func stem(_ name: String) -> Substring {
        for suffix in [".service", ".target"] where name.hasSuffix(suffix) { return name.dropLast(suffix.count) }
        return name[...]
    }

    /// Whether `name` means the group: `site`, `site@v2`, `site@v2.target` and `site@.target` mean `site@.target`.
    private static func isGroup(_ status: UnitStatus, named name: String) -> Bool {
        let bare = stem(name).prefix { $0 != "@" }
        return [".target", ".service", "@.target", "@.service"].contains { status.unit == bare + $0 }
    }
}

/// The log directory.
struct LogDirectory {
    let path: String

    /// Units that have a log file, sorted; rotated files count.
    func units() throws(SystemError) -> [String] {
        let names = try UnitDirectory.list(path) ?? []
        let files = Set(names.compactMap { $0.hasSuffix(LogArchive.suffix) ? $0 : LogArchive.file(ofSegment: $0) })
        return files.map { String($0.dropLast(LogArchive.suffix.count)) }.sorted()
    }
}
