import Foundation
import Testing
import UnitFiles
import UnitStore

/// systemd.unit(5)'s look-up order: fragments, masks, aliases, drop-ins and links, as systemd 252 has it
/// (Tests/Differential/record-lookup).
@Suite("Look-up order of unit files")
struct LookupTests {
    struct Case: Decodable {
        struct Seen: Decodable, Equatable {
            var state: String
            var id: String
            var fragment: String?
            var dropIns: [String]?
            var wants: [String]?
            var requires: [String]?
            var description: String?
        }
        var unit: String
        /// Path -> text; `->` begins what a link leads to, `/` is a directory.
        var files: [String: String]
        var seen: Seen
    }

    /// Units that are deliberately loaded otherwise than under systemd, each with the reason.
    private static let deliberate = [
        // A drop-in that cannot be read is ignored there with a line in the log. What it would have changed is not known, so the
        // unit is not started here.
        "c052.service": "a drop-in that is a directory",
        // "Too many levels of symbolic links" says more than "not found".
        "c034.service": "a link to itself", "c035.service": "links in a circle",
        // Paths are told as they were found, with their links.
        "c022@i.service": "a link from an instance to its template",
        "c054.service": "a directory of drop-ins that is a link",
        // Specifiers are those of the name by which a unit is known, not of the name that was asked for first.
        "c023@i.service": "%p by an alias", "c025@i.service": "%p by an alias",
    ]

    private func lay(_ files: [String: String], under root: String) throws {
        let manager = FileManager.default
        for (path, text) in files {
            let place = root + path
            try manager.createDirectory(
                atPath: (place as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
            if text.hasPrefix("->") {
                let target = String(text.dropFirst(2))
                let isInside = target.hasPrefix("/") && target != "/dev/null"
                try manager.createSymbolicLink(
                    atPath: place, withDestinationPath: isInside ? root + target : target)
            } else if text == "/" {
                try manager.createDirectory(atPath: place, withIntermediateDirectories: true)
            } else {
                try text.write(toFile: place, atomically: false, encoding: .utf8)
            }
        }
    }

    private func look(_ unit: UnitName, _ loader: UnitLoader, _ root: String) -> Case.Seen {
        let loaded = loader.load(unit)
        func path(_ path: String) -> String { path.hasPrefix(root) ? String(path.dropFirst(root.count)) : path }
        func names(_ list: [UnitReference]?) -> [String]? {
            let names = (list ?? []).map(\.name.description).sorted()
            return names.isEmpty ? nil : names
        }
        var seen = Case.Seen(state: "loaded", id: loader.canonical(unit).description)
        switch loaded.outcome {
        case .usable: break
        case .unusable: seen.state = "unusable"
        case .masked(let mask): (seen.state, seen.fragment) = ("masked", path(mask))
        case .missing: seen.state = "not-found"
        }
        guard let definition = loaded.unit?.definition else { return seen }
        seen.fragment = definition.fragmentPath.map(path)
        let dropIns = definition.dropInPaths.map(path)
        seen.dropIns = dropIns.isEmpty ? nil : dropIns
        seen.wants = names(definition.unit.wants)
        seen.requires = names(definition.unit.requires)
        seen.description = definition.unit.description ?? definition.name.description
        return seen
    }

    @Test("every case is as systemd 252 has it, but for those with a reason")
    func everyCase() throws {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let data = try Data(contentsOf: tests.appendingPathComponent("Differential/recorded-lookup.json"))
        let cases = try JSONDecoder().decode([Case].self, from: data)
        #expect(cases.count > 100)
        let root = try #require(FileManager.default.temporaryDirectory.path.isEmpty ? nil : "/tmp/lookup-\(getpid())")
        defer { try? FileManager.default.removeItem(atPath: root) }
        for one in cases { try lay(one.files, under: root) }
        try FileManager.default.createSymbolicLink(atPath: root + "/lib", withDestinationPath: "usr/lib")
        let paths = ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system"].map { root + $0 }
        let loader = UnitLoader(source: UnitsOnDisk(), searchPath: paths)
        var different: [String] = []
        for one in cases {
            var theirs = one.seen
            // Masks of drop-ins are among the paths there.
            theirs.dropIns = theirs.dropIns?.filter { path in
                let text = one.files[path]
                return text != "->/dev/null" && text?.hasSuffix("-gone.conf") != true
            }
            if theirs.dropIns?.isEmpty == true || theirs.state != "loaded" { theirs.dropIns = nil }
            var ours = look(try UnitName(one.unit), loader, root)
            // Drop-ins and links of the type count for the units of all cases.
            ours.dropIns = ours.dropIns?.filter { $0.contains(one.unit.prefix(4)) }
            if ours.dropIns?.isEmpty == true { ours.dropIns = nil }
            ours.wants = ours.wants?.filter { $0.contains(one.unit.prefix(4)) }
            if ours.wants?.isEmpty == true { ours.wants = nil }
            guard ours != theirs else { continue }
            different.append(one.unit)
            if Self.deliberate[one.unit] == nil {
                Issue.record("\(one.unit) with \(one.files): \(ours), under systemd \(theirs)")
            }
        }
        #expect(different.sorted() == Self.deliberate.keys.sorted())
    }
}
