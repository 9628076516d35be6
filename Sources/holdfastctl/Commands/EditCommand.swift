import ArgumentParser
import ControlProtocol
import Glibc
import Linux
import UnitFiles
import UnitStore

struct EditCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "edit", abstract: "Edit a drop-in of a unit; it is installed only if it is valid.",
        discussion: """
            $VISUAL, else $EDITOR, else editor, nano or vi opens the drop-in. An invalid text is not installed; the \
            command prints where it is kept. Afterwards, holdfastctl update applies the drop-in to running units.
            """)
    @OptionGroup var global: GlobalOptions
    @Option(help: "The name of the drop-in.") var dropIn = "override.conf"
    @Argument(help: oneName, completion: .units) var name: String

    func validate() throws {
        guard dropIn.hasSuffix(".conf"), !dropIn.contains("/"), !dropIn.hasPrefix(".") else {
            throw ValidationError("--drop-in is a file name that ends with .conf.")
        }
    }

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let directories = try UnitDirectories(global, session)
        let unit = try directories.unit(name)
        guard let directory = directories.configuration.unitDirectories.first else {
            throw .local("cannot edit \(unit): there is no unit directory")
        }
        let path = "\(directory)/\(unit).d/\(dropIn)"
        let old = (try? UnitsOnDisk().read(path)).map(FileText.displayText)
        let text = Editing.draftText(of: unit, path: path, old: old, directories.texts(of: unit))
        let (draft, edited) = try edit(text)
        if edited == Editing.editedText(of: text) {
            Editing.removeDraft(draft)
            session.show(["\(unit): nothing changed"])
            return .ok
        }
        let loader = directories.loader(of: UnitFileOverlay(path: path, text: edited))
        if let problem = checkDropIn(path, of: unit, loader, session) {
            throw .local("cannot install the drop-in: \(problem); your text is in \(draft)")
        }
        do throws(SystemError) {
            try Editing.installDropIn(edited, at: path)
        } catch {
            throw .local("\(error); your text is in \(draft)")
        }
        Editing.removeDraft(draft)
        // Without a daemon, the next one reads the file when it starts.
        _ = try? session.quiet.ask(.update, UpdateReply.self)
        // Sockets take over the new definition without a restart.
        let more = unit.kind == .socket ? "" : "; to apply it to running services: holdfastctl update \(name)"
        session.show(["\(path): written\(more)"])
        return .ok
    }

    /// Lets the user edit a text.
    /// - Returns: the path of the draft, which still exists, and the edited text.
    private func edit(_ text: String) throws(CommandFailure) -> (draft: String, edited: String) {
        do throws(EditingError) {
            let draft = try Editing.writeDraft(text)
            try Editing.runEditor(on: draft)
            guard let edited = try? UnitsOnDisk().read(draft) else {
                throw EditingError(message: "cannot read the edited text: \(draft)")
            }
            return (draft, Editing.editedText(of: edited))
        } catch {
            throw .local(error.message)
        }
    }

    /// Prints the problems of the drop-in.
    /// - Returns: the reason for which it must not be installed; nil if there is none.
    private func checkDropIn(
        _ path: String, of unit: UnitName, _ loader: UnitLoader, _ session: Session
    ) -> String? {
        let loaded = loader.load(unit)
        let problems = loaded.diagnostics.filter { $0.location.file == path }
        session.report(problems.map(UnitDiagnostic.init))
        if problems.contains(where: { $0.severity == .error }) || loaded.unit == nil && !unit.isTemplate {
            return "\(unit) would have errors"
        }
        return problems.contains(where: \.isIgnoredText) ? "some lines would be ignored" : nil
    }
}

/// A source of unit files that includes a file that is not written yet.
struct UnitFileOverlay: UnitFileSource {
    let path: String
    let text: String
    private let disk = UnitsOnDisk()

    init(path: String, text: String) {
        self.path = path
        self.text = text
    }

    func entries(of directory: String) -> [String] {
        var names = Set(disk.entries(of: directory))
        guard let parent = FileTree.parent(of: path) else { return names.sorted() }
        if directory == parent { names.insert(FileTree.name(of: path)) }
        if directory == FileTree.parent(of: parent) { names.insert(FileTree.name(of: parent)) }
        return names.sorted()
    }

    func links(of directory: String) -> [String: String] { disk.links(of: directory) }

    func directories(of directory: String) -> Set<String> { disk.directories(of: directory) }

    func isMask(_ path: String) -> Bool { path == self.path ? text.isEmpty : disk.isMask(path) }

    func realPath(_ path: String) -> String? { path == self.path ? path : disk.realPath(path) }

    func read(_ path: String) throws(UnitFileReadError) -> String {
        path == self.path ? text : try disk.read(path)
    }
}

/// The reason for which a text could not be edited.
struct EditingError: Error { var message: String }

/// Steps of editing a drop-in: the draft, the editor, the result.
enum Editing {
    static let endMark = "### The lines below show the present unit files; they are not part of the drop-in."

    static func draftText(of unit: UnitName, path: String, old: String?, _ sources: [UnitSource]) -> String {
        var text = old ?? "# Drop-in for \(unit)\n\n"
        if !text.hasSuffix("\n") { text += "\n" }
        text += "\n\(endMark)\n"
        for source in sources where source.path != path {
            text += "\n# \(source.path)\n"
            for line in FileText.displayText(source.text).split(separator: "\n", omittingEmptySubsequences: false) {
                text += "# \(line)\n"
            }
        }
        return text
    }

    /// The edited text, without the part below the mark.
    static func editedText(of text: String) -> String {
        let own = text.firstRange(of: endMark).map { String(text[..<$0.lowerBound]) } ?? text
        let trimmed = own.reversed().drop { $0 == "\n" || $0 == " " }
        return String(trimmed.reversed()) + "\n"
    }

    static func writeDraft(_ text: String) throws(EditingError) -> String {
        let directory = (environment("TMPDIR") ?? "/tmp") + "/holdfast-edit-XXXXXX"
        var template = Array(directory.utf8CString)
        guard mkdtemp(&template) != nil else {
            throw EditingError(message: "cannot make a directory \(directory): \(String(cString: strerror(errno)))")
        }
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self) + "/drop-in.conf"
        do throws(SystemError) {
            try FileTree.writeAtomically(path, Array(text.utf8), durable: false)
        } catch {
            throw EditingError(message: "\(error)")
        }
        return path
    }

    static func removeDraft(_ draft: String) {
        if let directory = FileTree.parent(of: draft) { try? FileTree.remove(directory) }
    }

    /// Runs the editor through a shell, as other programs do: $VISUAL and $EDITOR may be commands with arguments.
    static func runEditor(on path: String) throws(EditingError) {
        let named = environment("VISUAL") ?? environment("EDITOR")
        let script =
            named.map { "exec \($0) \"$1\"" }
            ?? "for e in editor nano vi; do command -v $e >/dev/null && exec $e \"$1\"; done; exit 127"
        let words: [String] = ["sh", "-c", script, "sh", path]
        var argv: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for text in argv { free(text) } }
        var pid = pid_t()
        let failure = posix_spawn(&pid, "/bin/sh", nil, nil, &argv, environ)
        guard failure == 0 else {
            throw EditingError(message: "cannot start an editor: \(String(cString: strerror(failure)))")
        }
        var status: CInt = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        guard status == 0 else {
            let ending =
                status & 0x7F == 0 ? "exited with status \(status >> 8)" : "was ended by signal \(status & 0x7F)"
            throw EditingError(message: "the editor \(named.map { $0 + " " } ?? "")\(ending); your text is in \(path)")
        }
    }

    static func installDropIn(_ text: String, at path: String) throws(SystemError) {
        if let directory = FileTree.parent(of: path) { try FileTree.makeDirectory(directory, mode: 0o755) }
        try FileTree.writeAtomically(path, Array(text.utf8), durable: true)
        chmod(path, 0o644)
    }
}

extension Diagnostic {
    /// Whether the diagnostic concerns text that cannot be parsed and is ignored, which its author did not intend.
    /// Names that begin with `X-` may belong to other programs.
    fileprivate var isIgnoredText: Bool {
        switch code {
        case .invalidSyntax, .notText, .unknownSection, .unknownDirective, .invalidValue, .unknownSpecifier:
            directive?.hasPrefix("X-") != true
        case .unknownEscape, .tooManyDiagnostics, .unreadableFile, .insecureFile, .fileTooLarge, .invalidUnitName,
            .notALink,
            .unsupportedDirective, .unsupportedValue, .unsupportedUnitKind, .missingDirective, .missingUnit,
            .unusableUnit, .missingSocket, .missingProgram, .missingFile, .orderingCycle, .duplicateAddress,
            .severalOwners,
            .probeOnSharedSocket, .probeProvesNothing, .upstreamNotGenerationSocket, .bindsHeldAddress,
            .drainSignalIsKillSignal, .noEffect:
            false
        }
    }
}
