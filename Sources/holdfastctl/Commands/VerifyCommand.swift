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
            Names every directive that is unknown or not honoured, with file, line and column. Ends with 1 if \
            there is an error.

            Examples:
              holdfastctl verify                     all units that are installed
              holdfastctl verify site@v3             one of them, with everything that it needs
              holdfastctl verify ./units/app.service a file
            """)
    @OptionGroup var global: GlobalOptions
    @Option(name: .customLong("units"), help: "A unit directory instead of the standard ones; may be repeated.")
    var unitDirectories: [String] = []
    @Argument(help: "Files or units; everything in the unit directories if none is named.") var targets: [String] = []

    func execute(_ session: Session) throws(CommandFailure) -> ExitStatus {
        let diagnostics = diagnostics(in: directories(session))
        if session.json {
            let items = diagnostics.compactMap { (try? JSONObject(encoding: $0))?.description }
            emit("[\(items.joined(separator: ","))]\n")
        } else {
            session.show(diagnostics.map { InventoryText.diagnostic($0, session.output) })
            if !diagnostics.isEmpty { complain(InventoryText.summary(diagnostics)) }
        }
        return diagnostics.contains { $0.severity == .error } ? .failure : .ok
    }

    /// Those of the command line, else those of the daemon if one runs, else the standard ones; before them the
    /// directories of files that were named, as if these were installed.
    private func directories(_ session: Session) -> [String] {
        var directories = unitDirectories.map(Self.absolute)
        if directories.isEmpty {
            let running = try? session.ask(.describe, DescribeReply.self)
            directories = running?.unitDirectories ?? configuration.unitDirectories
        }
        let parents = targets.filter(Self.isPath).compactMap { FileTree.parent(of: Self.absolute($0)) }
        return parents.filter { !directories.contains($0) } + directories
    }

    private var configuration: UnitStore.Configuration {
        global.user ? .user(environment: Self.environment()) : .system
    }

    private func diagnostics(in directories: [String]) -> [UnitDiagnostic] {
        let loader = UnitLoader(
            source: UnitsOnDisk(), searchPath: directories,
            specifiers: SpecifierEnvironment(configuration, environment: Self.environment()))
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
        matches: { PathPattern.isPattern($0) ? PathPattern.matches($0) : [$0] })

    /// A path, rather than the name of a unit: with a slash, or of a file that is there.
    private static func isPath(_ target: String) -> Bool { target.contains("/") || access(target, F_OK) == 0 }

    private static func absolute(_ path: String) -> String {
        guard !path.hasPrefix("/") else { return path }
        guard let directory = getcwd(nil, 0) else { return path }
        defer { free(directory) }
        let trimmed = path.hasPrefix("./") ? String(path.dropFirst(2)) : path
        return String(cString: directory) + "/" + trimmed
    }

    static func environment() -> [String: String] {
        var result: [String: String] = [:]
        for name in [
            "HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME",
        ] {
            if let value = getenv(name) { result[name] = String(cString: value) }
        }
        return result
    }
}

extension UnitDiagnostic {
    init(_ diagnostic: Diagnostic) {
        self.init(
            file: diagnostic.location.file, line: diagnostic.location.line, column: diagnostic.location.column,
            severity: diagnostic.severity == .error ? .error : .warning, code: diagnostic.code.rawValue,
            directive: diagnostic.directive, message: diagnostic.message, suggestion: diagnostic.suggestion)
    }
}
