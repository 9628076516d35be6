/// A place in a unit file. Lines and columns count from 1, columns in Unicode scalars; 0 means the whole file or line.
public struct SourceLocation: Sendable, Hashable, Comparable, CustomStringConvertible {
    public var file: String
    public var line: Int
    public var column: Int

    public init(file: String, line: Int = 0, column: Int = 0) {
        self.file = file
        self.line = line
        self.column = column
    }

    /// `path:7:12`, `path:7`, or `path`.
    public var description: String {
        if line == 0 { return file }
        return column == 0 ? "\(file):\(line)" : "\(file):\(line):\(column)"
    }

    public static func < (left: SourceLocation, right: SourceLocation) -> Bool {
        if left.file != right.file { return left.file < right.file }
        return (left.line, left.column) < (right.line, right.column)
    }
}

/// The subject of a diagnostic. Scripts rely on the raw values: they never change.
public enum DiagnosticCode: String, Sendable, CaseIterable {
    // Syntax.
    case invalidSyntax = "invalid-syntax"
    case notText = "not-text"
    case unknownEscape = "unknown-escape"
    case tooManyDiagnostics = "too-many-diagnostics"
    // Files.
    case unreadableFile = "unreadable-file"
    case insecureFile = "insecure-file"
    case fileTooLarge = "file-too-large"
    case invalidUnitName = "invalid-unit-name"
    case notALink = "not-a-link"
    // Directives and values.
    case unknownSection = "unknown-section"
    case unknownDirective = "unknown-directive"
    case unsupportedDirective = "unsupported-directive"
    case invalidValue = "invalid-value"
    case unsupportedValue = "unsupported-value"
    case unknownSpecifier = "unknown-specifier"
    case unsupportedUnitKind = "unsupported-unit-kind"
    case missingDirective = "missing-directive"
    // Between units.
    case missingUnit = "missing-unit"
    case unusableUnit = "unusable-unit"
    case missingSocket = "missing-socket"
    case missingProgram = "missing-program"
    case missingFile = "missing-file"
    case orderingCycle = "ordering-cycle"
    case duplicateAddress = "duplicate-address"
    case severalOwners = "several-owners"
    case probeOnSharedSocket = "probe-on-shared-socket"
    case probeProvesNothing = "probe-proves-nothing"
    case upstreamNotGenerationSocket = "upstream-not-generation-socket"
    case bindsHeldAddress = "binds-held-address"
    case drainSignalIsKillSignal = "drain-signal-is-kill-signal"
    case noEffect = "no-effect"
}

/// A problem in a unit file, or a remark about it.
public struct Diagnostic: Sendable, Hashable, CustomStringConvertible {
    public enum Severity: String, Sendable, Comparable {
        case warning, error
        public static func < (left: Severity, right: Severity) -> Bool { left == .warning && right == .error }
    }

    public var severity: Severity
    public var code: DiagnosticCode
    public var location: SourceLocation
    /// The directive, without `=`; nil if the diagnostic is not about a directive.
    public var directive: String?
    public var message: String
    /// The name that was probably meant.
    public var suggestion: String?

    public init(
        _ severity: Severity, _ code: DiagnosticCode, at location: SourceLocation, directive: String? = nil,
        _ message: String, suggestion: String? = nil
    ) {
        self.severity = severity
        self.code = code
        self.location = location
        self.directive = directive
        self.message = message
        self.suggestion = suggestion
    }

    /// One line: `/etc/holdfast/units/app@.service:7:12: error: ... (did you mean ExecStart=?)`.
    public var description: String {
        let hint = suggestion.map { " (did you mean \($0)?)" } ?? ""
        return "\(location): \(severity.rawValue): \(message)\(hint)"
    }

    /// Sorts diagnostics by file, line and column, and removes duplicates.
    public static func inFileOrder(_ diagnostics: [Diagnostic]) -> [Diagnostic] {
        var seen: Set<Diagnostic> = []
        let unique = diagnostics.filter { seen.insert($0).inserted }
        return unique.enumerated().sorted { left, right in
            left.element.location == right.element.location
                ? left.offset < right.offset : left.element.location < right.element.location
        }.map(\.element)
    }
}
