// StandardInput=tty, TTYPath= and its siblings (systemd.exec(5)): services that interact with users at a terminal.

/// How a service acquires its terminal for input.
public enum TerminalClaim: String, Sendable, CaseIterable {
    /// systemd waits until the terminal is free. Holdfast does not wait; with `TTYVHangup=yes` that makes no
    /// difference.
    case wait = "tty"
    /// The terminal is taken from its current session.
    case force = "tty-force"
    case fail = "tty-fail"
}

/// The terminal of a service, and its treatment before and after each of the service's processes.
public struct TerminalSettings: Sendable, Hashable {
    public var path = "/dev/console"
    public var isReset = false
    public var isHungUp = false
    public var isDeallocated = false
    /// Size of the terminal; nil: unchanged.
    public var rows: UInt16?
    public var columns: UInt16?

    public init() {}
}

extension UnitBuilder {
    /// [Service]: the terminal.
    static let terminalDirectives: [Directive] = [
        Directive("TTYPath", .exec, in: .service) {
            if $1.value.isEmpty {
                $0.service.terminal.path = TerminalSettings().path
                return
            }
            if let path = $0.expanded($1, .fatal, Value.absolutePath) { $0.service.terminal.path = path }
        },
        Directive("TTYReset", .exec, in: .service) { $0.set(\.isReset, $1) },
        Directive("TTYVHangup", .exec, in: .service) { $0.set(\.isHungUp, $1) },
        Directive("TTYVTDisallocate", .exec, in: .service) { $0.set(\.isDeallocated, $1) },
        Directive("TTYRows", .exec, in: .service) { $0.set(\.rows, $1) },
        Directive("TTYColumns", .exec, in: .service) { $0.set(\.columns, $1) },
    ]

    private mutating func set(_ flag: WritableKeyPath<TerminalSettings, Bool>, _ assignment: Assignment) {
        if let on = value(assignment, .ignored, Value.boolean) { service.terminal[keyPath: flag] = on }
    }

    private mutating func set(_ size: WritableKeyPath<TerminalSettings, UInt16?>, _ assignment: Assignment) {
        if assignment.value.isEmpty {
            service.terminal[keyPath: size] = nil
            return
        }
        if let number = number(assignment, .ignored, in: 0...UInt16.max) { service.terminal[keyPath: size] = number }
    }

    /// Checks that need all files of the unit.
    mutating func finishTerminal() {
        guard case .terminal(.wait) = execution.standardInput, !service.terminal.isHungUp else { return }
        let location = sectionLocation
        report(
            Diagnostic(
                .warning, .unsupportedValue, at: location, directive: "StandardInput",
                "StandardInput=tty: the start fails if another session has the terminal (systemd would wait); "
                    + "TTYVHangup=yes frees it"))
    }
}

extension ServiceUnit {
    /// Whether the service reads from a terminal or writes to one.
    public var isConnectedToTerminal: Bool {
        if case .terminal = execution.standardInput { return true }
        return explicitStandardOutput == .terminal || standardError == .terminal
    }

    /// Whether the service affects a terminal at all.
    public var usesTerminal: Bool {
        isConnectedToTerminal || terminal.isReset || terminal.isHungUp || terminal.isDeallocated
    }
}
