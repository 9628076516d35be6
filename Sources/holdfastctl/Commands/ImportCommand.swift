import ArgumentParser
import Glibc
import Linux
import UnitFiles

/// The kinds of configuration that can be imported. Another kind needs a case here, a translation in `Import/` (text
/// in, `ImportResult` out, no system calls), and a line in `ImportCommand.translate`.
enum ImportKind: String, ExpressibleByArgument, CaseIterable {
    case systemd, supervisor, procfile, multibinder

    /// Guesses the kind from the name of the target.
    init(guessing target: String) {
        let name = FileTree.name(of: target)
        if name.hasPrefix("Procfile") {
            self = .procfile
        } else if name.hasSuffix(".conf") || name.hasSuffix(".ini") {
            self = .supervisor
        } else if name.hasSuffix(".erb") || name.hasSuffix(".mb") {
            self = .multibinder
        } else {
            self = .systemd
        }
    }
}

struct ImportCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Convert systemd's units, Supervisor's programs, a Procfile, or multibinder's HAProxy.",
        discussion: """
            Prints the units, or writes them with --output. Comments in each unit say what changed and why. A setting that \
            cannot be translated is commented out, and printed on standard error. The result passes "holdfastctl verify".

            Examples:
              holdfastctl import nginx                              nginx.service of this host's systemd, and its sockets
              holdfastctl import /etc/supervisor/supervisord.conf   all programs and groups, with what it includes
              holdfastctl import --output /etc/holdfast/units ./Procfile
              holdfastctl import /etc/haproxy/web.cfg.erb           HAProxy behind multibinder: bind_tcp('0.0.0.0', '80')
            """)
    @OptionGroup var global: GlobalOptions
    @Option(help: "systemd, supervisor, procfile or multibinder; default: by the target's name.") var from: ImportKind?
    @Option(help: ArgumentHelp("Write the units to a directory.", valueName: "directory")) var output: String?
    @Option(
        help: ArgumentHelp(
            "The name for units of a Procfile (default: its directory), or of HAProxy.", valueName: "name"))
    var name: String?
    @Flag(help: "Replace existing files.") var force = false
    @Argument(help: "A unit of systemd, or a file.") var target: String

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        do throws(ImportError) {
            let result = try translate()
            if let output { try write(result, to: output, session) } else { preview(result) }
            for omission in result.omissions { printError(Self.line(omission)) }
            return .ok
        } catch {
            printError("cannot import \(Text.harmless(target)): \(Text.harmless(error.text))")
            return .failure
        }
    }

    private static func line(_ omission: ImportOmission) -> String {
        let setting = omission.setting
        let what = setting.key.isEmpty ? setting.value : "\(setting.key)=\(setting.value)"
        return Text.harmless("not translated: \(setting.origin): \(what): \(omission.reason)")
    }

    // MARK: Reading

    private func translate() throws(ImportError) -> ImportResult {
        switch from ?? ImportKind(guessing: target) {
        case .systemd: return SystemdImport.translate(try InstalledUnits().find(target))
        case .supervisor: return try SupervisorImport.translate(try supervisorFiles())
        case .procfile:
            let path = ImportFile.absolute(target)
            let directory = FileTree.parent(of: path) ?? "/"
            return try ProcfileImport.translate(
                try ImportFile.read(path), path: path, directory: directory,
                application: name ?? FileTree.name(of: directory))
        case .multibinder:
            let path = ImportFile.absolute(target)
            let stem = FileTree.name(of: path).split(separator: ".").first.map(String.init)
            return try MultibinderImport.translate(
                try ImportFile.read(path), path: path, application: name ?? stem ?? "haproxy")
        }
    }

    /// The file, and the files of its `[include] files=`, which are patterns relative to it.
    private func supervisorFiles() throws(ImportError) -> [SupervisorFile] {
        let path = ImportFile.absolute(target)
        let main = SupervisorFile(try ImportFile.read(path), path: path)
        var files = [main]
        let patterns = main.sections.filter { $0.name == "include" }.compactMap { $0["files"] }
        for pattern in patterns.flatMap({ $0.split(whereSeparator: \.isWhitespace) }) {
            let directory = FileTree.parent(of: path) ?? "/"
            for included in ImportFile.matching(pattern.hasPrefix("/") ? String(pattern) : "\(directory)/\(pattern)") {
                files.append(SupervisorFile(try ImportFile.read(included), path: included))
            }
        }
        return files
    }

    // MARK: Writing

    private func preview(_ result: ImportResult) {
        let text = result.units.map { "# ---- \($0.name)\n\($0.text)" }.joined(separator: "\n")
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            emit(Text.harmless(String(line)) + "\n")
        }
    }

    private func write(_ result: ImportResult, to output: String, _ session: Session) throws(ImportError) {
        let directory = ImportFile.absolute(output)
        // All units or none, because they depend on each other.
        if !force, let there = result.units.first(where: { access("\(directory)/\($0.name)", F_OK) == 0 }) {
            throw ImportError(text: "\(directory)/\(there.name) already exists (--force replaces it)")
        }
        do throws(SystemError) {
            try FileTree.makeDirectory(directory)
            for unit in result.units {
                try FileTree.writeAtomically("\(directory)/\(unit.name)", unit.text.utf8)
                session.show([Text.harmless("\(directory)/\(unit.name)")])
            }
        } catch {
            throw ImportError(text: "\(error)")
        }
    }
}

/// Files of other programs. They may have any place and owner, because nothing in them is executed.
enum ImportFile {
    static func read(_ path: String) throws(ImportError) -> String {
        let content: UnitDirectory.Content
        do throws(UnitDirectory.ReadError) {
            content = try UnitDirectory.read(path, checkOwner: false)
        } catch {
            throw ImportError(text: "read \(path): \(error)")
        }
        switch content {
        case .masked: throw ImportError(text: "\(path) is masked (a link to /dev/null)")
        case .text(let bytes):
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw ImportError(text: "\(path) is not UTF-8")
            }
            return text
        }
    }

    /// The paths that match (glob(7)); empty if there are none.
    static func matching(_ pattern: String) -> [String] {
        var found = glob_t()
        defer { globfree(&found) }
        guard glob(pattern, 0, nil, &found) == 0 else { return [] }
        return (0..<Int(found.gl_pathc)).compactMap { found.gl_pathv[$0].map { String(cString: $0) } }
    }

    static func absolute(_ path: String) -> String {
        guard !path.hasPrefix("/") else { return path }
        guard let directory = getcwd(nil, 0) else { return path }
        defer { free(directory) }
        return String(cString: directory) + "/" + (path.hasPrefix("./") ? String(path.dropFirst(2)) : path)
    }
}

/// systemd's directories of units (systemd.unit(5), "Unit File Load Path").
struct InstalledUnits {
    var directories = [
        "/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
        "/lib/systemd/system",
    ]

    /// A service with its sockets. `target` is a name, with or without suffix, or a file, whose directory is then
    /// searched as well.
    func find(_ target: String) throws(ImportError) -> [InstalledUnit] {
        var directories = directories
        if target.contains("/"), let parent = FileTree.parent(of: ImportFile.absolute(target)) {
            directories.insert(parent, at: 0)
        }
        var base = FileTree.name(of: target)
        for kind in UnitKind.allCases where base.hasSuffix(kind.suffix) {
            base = String(base.dropLast(kind.suffix.count))
        }
        let service = try unit(base + ".service", in: directories)
        var sockets = [base + ".socket"]
        for text in service?.texts ?? [] {
            for assignment in UnitFileParser.parse(text.text, path: text.path).assignments
            where assignment.key == "Sockets" {
                sockets += assignment.value.split(separator: " ").map(String.init).filter { !sockets.contains($0) }
            }
        }
        var found: [InstalledUnit] = []
        if let service { found.append(service) }
        for socket in sockets { if let unit = try unit(socket, in: directories) { found.append(unit) } }
        guard !found.isEmpty else {
            throw ImportError(
                text: "no \(base).service and no \(base).socket in \(directories.joined(separator: ", "))")
        }
        return found
    }

    private func unit(_ text: String, in directories: [String]) throws(ImportError) -> InstalledUnit? {
        let name: UnitName
        do throws(UnitNameError) {
            name = try UnitName(text)
        } catch {
            throw ImportError(text: error.description)
        }
        guard let directory = directories.first(where: { access($0 + "/" + text, F_OK) == 0 }) else { return nil }
        let path = "\(directory)/\(text)"
        var unit = InstalledUnit(name: name, texts: [(path, try ImportFile.read(path))])
        // Drop-ins apply in the order of their names, across directories; of files with the same name the first
        // directory's counts.
        var dropIns: [String: String] = [:]
        for directory in directories.reversed() {
            for entry in (try? UnitDirectory.list("\(directory)/\(text).d")) ?? [] where entry.hasSuffix(".conf") {
                dropIns[entry] = "\(directory)/\(text).d/\(entry)"
            }
        }
        for entry in dropIns.keys.sorted() {
            if let path = dropIns[entry] { unit.texts.append((path, try ImportFile.read(path))) }
        }
        return unit
    }
}
