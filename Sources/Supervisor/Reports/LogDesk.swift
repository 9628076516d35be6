import ControlProtocol
import Linux
import Logging
import UnitFiles

/// The log: lines that others can cause, which are bounded, and remarks about unit files, of which each is logged once.
/// Lines about the supervisor itself go to `logger` directly.
final class LogDesk {
    private let logger: Logger
    private let loop: any Loop
    private var bounds = LineBounds()
    /// Timer for the summary of the lines that `bounds` has suppressed.
    private var summaryTimer: (any LoopTimer)?
    private var remarks = LoggedRemarks()

    /// Diagnostics of one unit that are reported one by one.
    static let shownDiagnostics = 10

    init(_ logger: Logger, _ loop: any Loop) {
        self.logger = logger
        self.loop = loop
    }

    // MARK: - Bounded lines

    /// - Parameter subject: the unit that the line is about.
    func log(_ level: Logger.Level, about subject: String, _ text: String) {
        log(level, LineBounds.Subject(kind: .unit, name: Self.identity(subject)), text)
    }

    /// - Parameter user: the denied user in the form `uid 1000`.
    func log(_ level: Logger.Level, aboutDenied user: String, _ text: String) {
        log(level, LineBounds.Subject(kind: .deniedUser, name: user), text)
    }

    /// Common identity of a template's instances, `app@.service` for `app@v2.service`: `Accept=yes` makes an instance
    /// for each connection.
    private static func identity(_ unit: String) -> String {
        guard let at = unit.firstIndex(of: "@"), let dot = unit.lastIndex(of: "."), at < dot else { return unit }
        return String(unit[...at] + unit[dot...])
    }

    private func log(_ level: Logger.Level, _ subject: LineBounds.Subject, _ text: String) {
        guard level >= logger.logLevel else { return }
        let now = loop.now
        if bounds.isOver(at: now) { logSuppressedLines() }
        if bounds.admits(subject, at: now) {
            logger.log(level: level, "\(text)")
        } else if summaryTimer == nil, let end = bounds.end {
            summaryTimer = try? loop.makeTimer(accuracy: 1_000_000, priority: .idle) { [unowned self] in
                logSuppressedLines()
            }
            summaryTimer?.arm(at: end)
        }
    }

    private func logSuppressedLines() {
        summaryTimer = nil
        for entry in bounds.takeSuppressed() {
            log(
                .warning, about: "\(entry.subject)",
                "\(entry.subject): suppressed \(entry.count) more lines within a minute")
        }
    }

    // MARK: - Remarks

    /// Has the diagnostics of unit files that were read again logged again.
    func forgetFiles() { remarks.forgetFiles() }

    func logDiagnostics(_ diagnostics: [Diagnostic]) {
        for diagnostic in diagnostics.prefix(Self.shownDiagnostics) where remarks.isNew(diagnostic) {
            let text = UnitDiagnostic(diagnostic).sentence
            switch diagnostic.severity {
            case .error: logger.error("\(text)")
            case .warning: logger.warning("\(text)")
            }
        }
    }

    /// Logs diagnostics of unit files, and returns the sentences for the answer to the client that starts the unit.
    func noteDiagnostics(_ diagnostics: [Diagnostic], of unit: UnitName) -> [String] {
        guard !diagnostics.isEmpty else { return [] }
        logDiagnostics(diagnostics)
        let warnings = Diagnostic.inFileOrder(diagnostics).filter { $0.severity == .warning }
        let shown = warnings.prefix(Self.shownDiagnostics).map { UnitDiagnostic($0).sentence }
        let more = warnings.count - shown.count
        return more == 0 ? shown : shown + ["\(more) more warnings: holdfastctl verify \(unit)"]
    }

    /// Starts a new run of the unit: remarks of its last start are not logged again.
    func startRemarks(of unit: UnitName) { remarks.startRun(of: unit) }

    /// Logs remarks on a start that the start before it did not have.
    func logRemarks(_ texts: [String], of unit: UnitName) {
        for text in texts where remarks.isNew(text, of: unit) { logger.warning("\(unit): \(text)") }
    }

    /// Logs remarks on a command of a socket unit.
    func logRemarks(_ texts: [String], of socket: String) {
        for text in texts { logger.warning("\(socket): \(text)") }
    }

    /// Remarks on the last start of a unit.
    func remarkTexts(of unit: UnitName) -> [String] { remarks.texts(of: unit) }
}
