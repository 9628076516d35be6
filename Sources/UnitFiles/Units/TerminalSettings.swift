// StandardInput=tty, TTYPath= and its siblings (systemd.exec(5)): services that talk to people at a terminal.

/// How a service claims the terminal that it reads from.
public enum TerminalClaim: String, Sendable, CaseIterable {
    /// systemd waits until nobody else has it. Here nobody is waited for, which makes no difference with `TTYVHangup=yes`.
    case wait = "tty"
    /// It is taken from whoever has it.
    case force = "tty-force"
    case fail = "tty-fail"
}

/// The terminal of a service, and what is done to it before and after each of its processes.
public struct TerminalSettings: Sendable, Hashable {
    public var path = "/dev/console"
    public var isReset = false
    public var isHungUp = false
    public var isDeallocated = false
    /// nil: as it is.
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

    /// What only shows once all files are applied.
    mutating func finishTerminal() {
        guard case .terminal(.wait) = execution.standardInput, !service.terminal.isHungUp else { return }
        let location = sectionLocation
        report(
            Diagnostic(
                .warning, .unsupportedValue, at: location, directive: "StandardInput",
                "StandardInput=tty: a terminal that another session has is not waited for, the start fails; "
                    + "TTYVHangup=yes frees it"))
    }
}

extension ServiceUnit {
    /// It reads from a terminal or writes to one.
    public var isConnectedToTerminal: Bool {
        if case .terminal = execution.standardInput { return true }
        return explicitStandardOutput == .terminal || standardError == .terminal
    }

    /// A terminal is touched for it at all.
    public var usesTerminal: Bool {
        isConnectedToTerminal || terminal.isReset || terminal.isHungUp || terminal.isDeallocated
    }
}
