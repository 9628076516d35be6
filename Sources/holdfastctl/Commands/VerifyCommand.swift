import ArgumentParser
import ControlProtocol
import Glibc
import Linux
import UnitFiles
import UnitStore

struct VerifyCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Check unit files, without the daemon.",
        discussion: """
            Reports every unknown or unsupported directive with file, line and column. An error makes its unit unusable; an \
            ignored line is a warning. Exit status 1 if there is an error, 0 if there are only warnings.

            Examples:
              holdfastctl verify                     all installed units
              holdfastctl verify site@v3             one of them, and all units that it needs
              holdfastctl verify ./units/app.service a file
            """)
    @OptionGroup var global: GlobalOptions
    @OptionGroup var directories: DirectoryOptions
    @Argument(help: "Files or units; everything in the unit directories if none is named.") var targets: [String] = []

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        var unitDirectories = try UnitDirectories(global, session, named: directories.named)
        unitDirectories.prefer(directoriesOf: targets.filter(Self.isPath))
        let diagnostics = diagnostics(in: unitDirectories)
        if session.json {
            let items = diagnostics.compactMap { (try? JSONObject(encoding: $0))?.description }
            emit("[\(items.joined(separator: ","))]\n")
        } else {
            session.show(diagnostics.map { InventoryText.diagnostic($0, session.output) })
            if !diagnostics.isEmpty { printError(InventoryText.summary(diagnostics)) }
        }
        return diagnostics.contains { $0.severity == .error } ? .failure : .ok
    }

    private func diagnostics(in directories: UnitDirectories) -> [UnitDiagnostic] {
        let loader = directories.loader
        let verifier = Verifier(loader: loader, host: Self.host)
        guard !targets.isEmpty else { return verifier.verifyAll().map(UnitDiagnostic.init) }
        var names: [UnitName] = []
        var problems: [UnitDiagnostic] = []
        for target in targets {
            let name = Self.isPath(target) ? FileTree.name(of: target) : target
            switch loader.resolve(shortName: name) {
            case .success(let found): names.append(found)
            case .failure(let error):
                problems.append(
                    UnitDiagnostic(file: target, severity: .error, code: "missing-unit", message: "\(error)"))
            }
        }
        return problems + verifier.verify(names).map(UnitDiagnostic.init)
    }

    private static let host = VerifierHost(
        programExists: { program in
            guard let path = try? ProgramSearch.find(program) else { return false }
            return access(path, X_OK) == 0
        },
        read: { try? UnitsOnDisk().readNamed($0) },
        matches: { PathPattern.isPattern($0) ? (try? PathPattern.matches($0)) ?? [] : [$0] },
        environmentFile: { path in
            // Environment files hold passwords: if this user may not read one, the supervisor may still.
            if geteuid() != 0, access(path, R_OK) != 0, errno == EACCES { return nil }
            do throws(UnitFileReadError) {
                return .success(try UnitsOnDisk().readNamed(path))
            } catch {
                return .failure(error)
            }
        })

    /// Whether the argument is a path rather than the name of a unit: it has a slash, or a file of that name exists.
    private static func isPath(_ target: String) -> Bool { target.contains("/") || access(target, F_OK) == 0 }
}

extension UnitDiagnostic {
    init(_ diagnostic: Diagnostic) {
        self.init(
            file: diagnostic.location.file, line: diagnostic.location.line, column: diagnostic.location.column,
            severity: diagnostic.severity == .error ? .error : .warning, code: diagnostic.code.rawValue,
            directive: diagnostic.directive, message: diagnostic.message, suggestion: diagnostic.suggestion)
    }
}
