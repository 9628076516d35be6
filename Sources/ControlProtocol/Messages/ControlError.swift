/// The reason for which a call was refused. A failed swap is not a refusal: it has an ``OperationResult``.
public enum ControlError: Error, Equatable, Sendable {
    // org.varlink.service
    case interfaceNotFound(interface: String)
    case methodNotFound(method: String)
    case methodNotImplemented(method: String)
    case invalidParameter(parameter: String)
    /// The method streams, and the caller takes one reply only.
    case expectedMore

    // io.holdfast.Manager
    /// No file describes the unit and nothing of that name runs. `suggestion` is the nearest name that exists.
    case noSuchUnit(name: String, suggestion: String?)
    /// A name without its suffix that matches several units.
    case ambiguousName(name: String, candidates: [String])
    /// The unit files do not verify.
    case invalidUnit(name: String, diagnostics: [UnitDiagnostic])
    case notSwappable(name: String, reason: String)
    /// Another operation on the unit is running; `detail` says how far it is.
    case busy(unit: String, operation: String, detail: String)
    /// A template that has never had a release was named without one.
    case noRelease(name: String)
    case nothingToPromote(unit: String)
    case nothingToAbort(unit: String)
    case nothingToRollBack(unit: String)
    case notRunning(unit: String)
    /// The service has no standard input to write to; `reason` says what its standard input is instead.
    case noInput(unit: String, reason: String)
    /// `required` names those who are permitted: `root or group holdfast`.
    case permissionDenied(required: String)
    case shuttingDown
    /// The supervisor's records, which go back `since` seconds, have no such request: one made since was never begun.
    case noSuchRequest(request: String, since: Double)
    /// The request was begun, and the supervisor died before it had recorded the outcome.
    case outcomeUnknown(request: String)
    /// Anything else, as a sentence: `cannot …: step: cause`.
    case failed(message: String)

    /// An error of a newer daemon or of another service. Only ``init(name:parameters:)`` makes it.
    case unknown(name: String, parameters: JSONObject)

    private static let service = "org.varlink.service."
    private static let manager = "io.holdfast.Manager."

    /// The full name of the error, as sent.
    public var name: String {
        switch self {
        case .interfaceNotFound: Self.service + "InterfaceNotFound"
        case .methodNotFound: Self.service + "MethodNotFound"
        case .methodNotImplemented: Self.service + "MethodNotImplemented"
        case .invalidParameter: Self.service + "InvalidParameter"
        case .expectedMore: Self.service + "ExpectedMore"
        case .noSuchUnit: Self.manager + "NoSuchUnit"
        case .ambiguousName: Self.manager + "AmbiguousName"
        case .invalidUnit: Self.manager + "InvalidUnit"
        case .notSwappable: Self.manager + "NotSwappable"
        case .busy: Self.manager + "Busy"
        case .noRelease: Self.manager + "NoRelease"
        case .nothingToPromote: Self.manager + "NothingToPromote"
        case .nothingToAbort: Self.manager + "NothingToAbort"
        case .nothingToRollBack: Self.manager + "NothingToRollBack"
        case .notRunning: Self.manager + "NotRunning"
        case .noInput: Self.manager + "NoInput"
        case .permissionDenied: Self.manager + "PermissionDenied"
        case .shuttingDown: Self.manager + "ShuttingDown"
        case .noSuchRequest: Self.manager + "NoSuchRequest"
        case .outcomeUnknown: Self.manager + "OutcomeUnknown"
        case .failed: Self.manager + "Failed"
        case .unknown(let name, _): name
        }
    }

    /// The parameters of the error, as sent.
    public var parameters: JSONObject {
        var fields = Fields()
        switch self {
        case .interfaceNotFound(let interface): fields.interface = interface
        case .methodNotFound(let method), .methodNotImplemented(let method): fields.method = method
        case .invalidParameter(let parameter): fields.parameter = parameter
        case .expectedMore, .shuttingDown: return .empty
        case .noSuchUnit(let name, let suggestion): (fields.name, fields.suggestion) = (name, suggestion)
        case .ambiguousName(let name, let candidates): (fields.name, fields.candidates) = (name, candidates)
        case .invalidUnit(let name, let diagnostics): (fields.name, fields.diagnostics) = (name, diagnostics)
        case .notSwappable(let name, let reason): (fields.name, fields.reason) = (name, reason)
        case .busy(let unit, let operation, let detail):
            (fields.unit, fields.operation, fields.detail) = (unit, operation, detail)
        case .noRelease(let name): fields.name = name
        case .nothingToPromote(let unit), .nothingToAbort(let unit), .nothingToRollBack(let unit),
            .notRunning(let unit):
            fields.unit = unit
        case .noInput(let unit, let reason): (fields.unit, fields.reason) = (unit, reason)
        case .permissionDenied(let required): fields.required = required
        case .noSuchRequest(let request, let since): (fields.request, fields.since) = (request, since)
        case .outcomeUnknown(let request): fields.request = request
        case .failed(let message): fields.message = message
        case .unknown(_, let parameters): return parameters
        }
        return (try? JSONObject(encoding: fields)) ?? .empty
    }

    /// Reads an error from its name and parameters. An error whose parameters cannot be read becomes
    /// ``unknown(name:parameters:)``, so that no information from the daemon is lost.
    public init(name: String, parameters: JSONObject) {
        let fields = (try? parameters.decode(Fields.self)) ?? Fields()
        self = Self.known(name, fields) ?? .unknown(name: name, parameters: parameters)
    }

    private static func known(_ name: String, _ fields: Fields) -> ControlError? {
        switch name {
        case service + "InterfaceNotFound": fields.interface.map { .interfaceNotFound(interface: $0) }
        case service + "MethodNotFound": fields.method.map { .methodNotFound(method: $0) }
        case service + "MethodNotImplemented": fields.method.map { .methodNotImplemented(method: $0) }
        case service + "InvalidParameter": fields.parameter.map { .invalidParameter(parameter: $0) }
        case service + "ExpectedMore": .expectedMore
        case manager + "NoSuchUnit": fields.name.map { .noSuchUnit(name: $0, suggestion: fields.suggestion) }
        case manager + "AmbiguousName":
            fields.name.map { .ambiguousName(name: $0, candidates: fields.candidates ?? []) }
        case manager + "InvalidUnit": fields.name.map { .invalidUnit(name: $0, diagnostics: fields.diagnostics ?? []) }
        case manager + "NotSwappable": fields.name.map { .notSwappable(name: $0, reason: fields.reason ?? "") }
        case manager + "Busy":
            fields.unit.map { .busy(unit: $0, operation: fields.operation ?? "", detail: fields.detail ?? "") }
        case manager + "NoRelease": fields.name.map { .noRelease(name: $0) }
        case manager + "NothingToPromote": fields.unit.map { .nothingToPromote(unit: $0) }
        case manager + "NothingToAbort": fields.unit.map { .nothingToAbort(unit: $0) }
        case manager + "NothingToRollBack": fields.unit.map { .nothingToRollBack(unit: $0) }
        case manager + "NotRunning": fields.unit.map { .notRunning(unit: $0) }
        case manager + "NoInput": fields.unit.map { .noInput(unit: $0, reason: fields.reason ?? "") }
        case manager + "PermissionDenied": fields.required.map { .permissionDenied(required: $0) }
        case manager + "ShuttingDown": .shuttingDown
        case manager + "NoSuchRequest":
            fields.request.map { .noSuchRequest(request: $0, since: fields.since ?? 0) }
        case manager + "OutcomeUnknown": fields.request.map { .outcomeUnknown(request: $0) }
        case manager + "Failed": fields.message.map { .failed(message: $0) }
        default: nil
        }
    }

    /// The union of the parameters of all errors.
    private struct Fields: Codable {
        var interface: String?
        var method: String?
        var parameter: String?
        var name: String?
        var suggestion: String?
        var candidates: [String]?
        var diagnostics: [UnitDiagnostic]?
        var reason: String?
        var unit: String?
        var operation: String?
        var detail: String?
        var required: String?
        var message: String?
        var request: String?
        var since: Double?
    }

    /// The error as a sentence for people, without a full stop.
    public var localizedMessage: String {
        switch self {
        case .interfaceNotFound(let interface): "the daemon has no interface \"\(interface)\""
        case .methodNotFound(let method): "the daemon has no method \"\(method)\""
        case .methodNotImplemented(let method): "the daemon does not offer \"\(method)\" in this form"
        case .invalidParameter(let parameter): "parameter \"\(parameter)\" is missing, unknown or of the wrong type"
        case .expectedMore: "this call answers with a stream, and the caller did not ask for one"
        case .noSuchUnit(let name, let suggestion):
            "no such unit: \(name)" + (suggestion.map { " (did you mean \($0)?)" } ?? "")
        case .ambiguousName(let name, let candidates):
            "\(name) can mean several units: \(candidates.joined(separator: ", "))"
        case .invalidUnit(let name, let diagnostics):
            diagnostics.first(where: { $0.severity == .error }).map { "unit \(name) is invalid: \($0.sentence)" }
                ?? "unit \(name) is invalid"
        case .notSwappable(let name, let reason): "\(name) cannot be swapped: \(reason)"
        case .busy(let unit, let operation, let detail):
            "\(unit) is busy: \(operation) in progress" + (detail.isEmpty ? "" : " (\(detail))")
        case .noRelease(let name):
            "\(name) is a template and has no release yet: name one, as in \(Self.withRelease(name))"
        case .nothingToPromote(let unit): "nothing to promote: \(unit) holds no generation"
        case .nothingToAbort(let unit): "nothing to abort: \(unit) is not being swapped"
        case .nothingToRollBack(let unit): "nothing to roll back to: \(unit) has no previous release"
        case .notRunning(let unit): "\(unit) is not running"
        case .noInput(let unit, let reason): "\(unit) takes no input: \(reason)"
        case .permissionDenied(let required): "permission denied: this needs \(required)"
        case .shuttingDown: "the supervisor is shutting down"
        case .noSuchRequest: "the supervisor knows no such request"
        case .outcomeUnknown:
            "begun, and its outcome is unknown: the supervisor was killed before it had written it down"
        case .failed(let message): message
        case .unknown(let name, let parameters):
            parameters == .empty ? "the daemon answered \(name)" : "the daemon answered \(name) \(parameters)"
        }
    }

    /// An example of a name with a release: `site@.target` → `site@v1`.
    private static func withRelease(_ name: String) -> String {
        "\(name.prefix { $0 != "@" && $0 != "." })@v1"
    }
}

extension UnitDiagnostic {
    /// The diagnostic as one line, without the positions that are not known: `site@.target:7:1: unknown directive
    /// "ReadyTimeout" (did you mean ReadyTimeoutSec=?)`.
    public var sentence: String {
        var text = file
        if line > 0 { text += ":\(line)" }
        if line > 0 && column > 0 { text += ":\(column)" }
        text += ": " + message
        if let suggestion { text += " (did you mean \(suggestion)?)" }
        return text
    }
}
