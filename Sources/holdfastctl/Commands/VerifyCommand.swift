import ArgumentParser
import ControlProtocol
import FoundationEssentials
import Glibc

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
        guard let diagnostics = Self.diagnostics(targets: targets, unitDirectories: unitDirectories, user: global.user)
        else {
            complain("verify: not connected")
            return .failure
        }
        if session.json {
            guard let text = try? JSONObject(encoding: Report(diagnostics: diagnostics)) else {
                throw .unexpected("diagnostics that JSON cannot express")
            }
            emit("\(text)\n")
        } else {
            session.show(diagnostics.map { InventoryText.diagnostic($0, session.output) })
            if !diagnostics.isEmpty { complain(InventoryText.summary(diagnostics)) }
        }
        return diagnostics.contains { $0.severity == .error } ? .failure : .ok
    }

    /// What `--json` prints.
    struct Report: Codable {
        var diagnostics: [UnitDiagnostic]
    }

    /// The one place that knows the verifier of `UnitFiles`.
    /// - Parameters:
    ///   - targets: paths (with a slash, or of an existing file) or unit names; empty for everything.
    ///   - unitDirectories: highest precedence first; empty for the standard ones.
    ///   - user: the standard ones are those of `--user`.
    /// - Returns: nil as long as it is not connected.
    static func diagnostics(targets: [String], unitDirectories: [String], user: Bool) -> [UnitDiagnostic]? {
        nil
    }
}
