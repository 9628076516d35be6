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

enum TerminalDirective: String, CaseIterable {
    case path = "TTYPath"
    case reset = "TTYReset"
    case hangup = "TTYVHangup"
    case disallocate = "TTYVTDisallocate"
    case rows = "TTYRows"
    case columns = "TTYColumns"

    static let byName = Dictionary(uniqueKeysWithValues: allCases.map { ($0.rawValue, $0) })
}

extension UnitBuilder {
    mutating func apply(_ directive: TerminalDirective, _ assignment: Assignment) {
        switch directive {
        case .path:
            if assignment.value.isEmpty {
                service.terminal.path = TerminalSettings().path
                return
            }
            if let path = expanded(assignment, .fatal, Value.absolutePath) { service.terminal.path = path }
        case .reset: set(\.isReset, assignment)
        case .hangup: set(\.isHungUp, assignment)
        case .disallocate: set(\.isDeallocated, assignment)
        case .rows: set(\.rows, assignment)
        case .columns: set(\.columns, assignment)
        }
    }

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
