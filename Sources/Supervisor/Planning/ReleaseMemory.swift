import ControlProtocol
import Engine
import FoundationEssentials
import Linux
import UnitFiles

/// Facts about swap units that outlive a restart of the supervisor or the host: the number of the last generation, the
/// release that served, and the target of `rollback` with the unit files that it had. One small file and one directory
/// of unit files for each, replaced before the new generation counts as serving.
final class ReleaseMemory {
    struct Entry: Codable {
        var unit: String
        /// The last number that was given to a generation, also to one that failed.
        var lastGeneration: Int
        var release: String?
        var previous: Previous?
    }

    /// Units that the last completed swap replaced.
    struct Previous: Codable {
        /// The swap unit with its release, `site@v1.target`.
        var unit: String
        /// Members that were replaced; the others were carried over and stay.
        var members: [String]
    }

    private let directory: String
    private let files: any FilesPort
    private var entries: [GroupID: Entry] = [:]

    init(directory: String, files: any FilesPort) {
        self.directory = directory
        self.files = files
        for name in ((try? files.names(in: directory)) ?? nil) ?? [] where name.hasSuffix(".json") {
            guard let content = try? files.read(directory + "/" + name), case .text(let bytes) = content,
                let entry = try? JSONDecoder().decode(Entry.self, from: Data(bytes))
            else { continue }
            // A number out of range comes from a damaged file; the next number would overflow and end the daemon.
            guard (0..<1 << 53).contains(entry.lastGeneration) else { continue }
            entries[GroupID(entry.unit)] = entry
        }
    }

    func all() -> [(GroupID, GroupMemory)] {
        entries.map { ($0, GroupMemory(lastNumber: $1.lastGeneration)) }.sorted { $0.0 < $1.0 }
    }

    /// The release that served last.
    func release(of group: GroupID) -> String? { entries[group]?.release }

    func previous(of group: GroupID) -> Previous? { entries[group]?.previous }

    /// The directory with the unit files of `previous`.
    func definitions(of group: GroupID) -> String { base(group) + ".previous" }

    private func base(_ group: GroupID) -> String { "\(directory)/\(UnitNameEscaping.escape(group.name))" }

    /// Records the number of a new generation. The record outlives the supervisor, which is enough: after a power cut
    /// no process or file of that generation is left with which the number could be confused, and the new generation
    /// need not wait for the disk.
    func recordNumber(of id: GenerationID) throws(SystemError) {
        var entry = entries[id.group] ?? Entry(unit: id.group.name, lastGeneration: 0)
        entry.lastGeneration = max(entry.lastGeneration, id.number)
        try write(entry, id.group, durable: false)
    }

    /// Records that a generation serves. `texts` are the unit files of the replaced units; without `previous` the
    /// earlier record stays.
    func recordServing(
        _ id: GenerationID, release: String?, previous: Previous?, texts: [String: String]
    ) throws(SystemError) {
        var entry = entries[id.group] ?? Entry(unit: id.group.name, lastGeneration: 0)
        entry.lastGeneration = max(entry.lastGeneration, id.number)
        entry.release = release
        if let previous {
            try replaceDefinitions(of: id.group, with: texts)
            entry.previous = previous
        }
        try write(entry, id.group)
    }

    private func write(_ entry: Entry, _ group: GroupID, durable: Bool = true) throws(SystemError) {
        entries[group] = entry
        guard let object = try? JSONObject(encoding: entry) else { return }
        try files.makeDirectory(directory)
        try files.replace(base(group) + ".json", with: object.bytes, isDurable: durable)
    }

    /// Replaces the kept unit files. A crash in between leaves either directory or none; without one, a rollback after
    /// a restart is refused with the unit's name.
    private func replaceDefinitions(of group: GroupID, with texts: [String: String]) throws(SystemError) {
        let path = definitions(of: group)
        let fresh = path + ".new"
        try files.remove(fresh)
        try files.makeDirectory(fresh)
        for (name, text) in texts.sorted(by: { $0.key < $1.key }) {
            if let parent = FileTree.parent(of: name) { try files.makeDirectory(fresh + "/" + parent) }
            try files.replace(fresh + "/" + name, with: Array(text.utf8))
        }
        try files.remove(path)
        try files.move(fresh, to: path)
    }
}

/// The unit files of definitions, as files of one directory that a loader can read: `app@.service`,
/// `app@.service.d/x.conf`.
enum DefinitionFiles {
    static func of(_ units: [any UnitDefinition]) -> [String: String] {
        var files: [String: String] = [:]
        for unit in units {
            for source in unit.origin.sources {
                let name = FileTree.name(of: source.path)
                if source.path == unit.origin.fragmentPath {
                    files[name] = source.text
                } else if let parent = FileTree.parent(of: source.path) {
                    files[FileTree.name(of: parent) + "/" + name] = source.text
                }
            }
            // Links in `.wants/` directories are not text; a drop-in replaces them.
            let wanted = (unit.unit.wants + unit.unit.requires).map(\.name.description)
            guard unit.name.kind == .target, !wanted.isEmpty else { continue }
            files["\(unit.name).d/~wants.conf"] = "[Unit]\nWants=\(wanted.joined(separator: " "))\n"
        }
        return files
    }
}
