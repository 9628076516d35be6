import ControlProtocol
import Engine
import FoundationEssentials
import Linux
import UnitFiles

/// What must be known of swap units after a restart of the supervisor or the host: the number of the last generation and
/// the release that served. One small file for each, replaced atomically before the new generation counts as serving.
struct ReleaseMemory {
    private struct Entry: Codable {
        var unit: String
        var generation: Int
        var release: String?
    }
    private let directory: String
    private var entries: [GroupID: Entry] = [:]

    init(directory: String) {
        self.directory = directory
        for name in ((try? UnitDirectory.list(directory)) ?? nil) ?? [] where name.hasSuffix(".json") {
            guard let content = try? UnitDirectory.read(directory + "/" + name, checkOwner: false),
                case .text(let bytes) = content, let entry = try? JSONDecoder().decode(Entry.self, from: Data(bytes))
            else { continue }
            entries[GroupID(entry.unit)] = entry
        }
    }

    func all() -> [(GroupID, GroupMemory)] {
        entries.map { ($0, GroupMemory(lastNumber: $1.generation)) }.sorted { $0.0 < $1.0 }
    }

    /// The release that served last.
    func release(of group: GroupID) -> String? { entries[group]?.release }

    mutating func record(_ id: GenerationID, release: String?) throws(SystemError) {
        let entry = Entry(unit: id.group.name, generation: id.number, release: release)
        entries[id.group] = entry
        guard let object = try? JSONObject(encoding: entry) else { return }
        try FileTree.makeDirectory(directory)
        try FileTree.writeAtomically("\(directory)/\(UnitNameEscaping.escape(id.group.name)).json", object.bytes)
    }
}
