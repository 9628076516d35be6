/// One directive of unit files: its row in the table of all directives.
struct Directive: Sendable {
    /// Applies an assignment to the unit under construction.
    typealias Parser = @Sendable (inout UnitBuilder, Assignment) -> Void

    /// The effect of the directive.
    enum Status: Sendable {
        case honoured(Parser)
        /// The value is checked and has no effect by design, for the reason given.
        case ignored(because: String, check: Parser)
        /// systemd has the directive and Holdfast has not: `verify` names it, and it is ignored.
        case unsupported
        /// The directive would protect the host or other services from a service. Silently leaving out protection is
        /// worse than not starting: a service that asks for it starts only with `X-AllowUnsupported=yes`.
        case protection(Protection)
    }

    let name: String
    /// The sections in which the directive has this status.
    let sections: [UnitSectionName]
    let page: ManualPage
    let status: Status

    init(_ name: String, _ page: ManualPage, in sections: [UnitSectionName], _ status: Status) {
        self.name = name
        self.page = page
        self.sections = sections
        self.status = status
    }

    /// An honoured directive.
    init(_ name: String, _ page: ManualPage, in sections: [UnitSectionName], parse: @escaping Parser) {
        self.init(name, page, in: sections, .honoured(parse))
    }

    /// A directive without effect by design.
    init(
        _ name: String, _ page: ManualPage, in sections: [UnitSectionName], ignoredBecause reason: String,
        check: @escaping Parser
    ) {
        self.init(name, page, in: sections, .ignored(because: reason, check: check))
    }

    /// Whether a unit may use the directive without a diagnostic.
    var isAccepted: Bool {
        switch status {
        case .honoured, .ignored: true
        case .unsupported, .protection: false
        }
    }
}

/// The manual page that describes a directive.
enum ManualPage: String, Sendable {
    case unit = "systemd.unit(5)"
    case service = "systemd.service(5)"
    case socket = "systemd.socket(5)"
    case exec = "systemd.exec(5)"
    case kill = "systemd.kill(5)"
    case resourceControl = "systemd.resource-control(5)"
    case holdfast = "holdfast.unit(5)"
}

extension [UnitSectionName] {
    static let unit: Self = [.unit]
    static let install: Self = [.install]
    static let service: Self = [.service]
    static let socket: Self = [.socket]
    static let swap: Self = [.swap]
    /// The sections with commands.
    static let commands: Self = [.service, .socket]
}

/// The values of a protecting directive that ask for no protection, because they are the state without the directive.
enum Protection: Sendable {
    /// A boolean, or a list, none of which has an element named `no`.
    case flag
    /// A boolean with further words, of which one is neutral.
    case mode(neutral: String)
    /// A number, so that 0 is a limit.
    case quantity

    func isNeutral(_ value: String) -> Bool {
        if value.isEmpty || value == "infinity" { return true }
        switch self {
        case .flag: return (try? Value.boolean(value)) == false
        case .mode(let neutral): return value == neutral || (try? Value.boolean(value)) == false
        case .quantity: return false
        }
    }
}
