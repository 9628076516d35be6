/// The engine's waits for one process tree to be empty, and the known facts about the tree: decides which wait is
/// answered, and when.
///
/// A value, so that a test can try every order of events. For one process the kernel reports three events, in any
/// order: its exit, its tree's emptiness (a zombie is in no tree), and its last messages. The engine begins a wait
/// before, between or after them, and may give it up. In all orders:
/// - A wait is answered once the tree is empty *and* the end of each of its processes has been reported to the engine.
///   The steps that follow the tree (`ExecStopPost=`, the result) depend on how they ended.
/// - A token that the engine has given up is never answered, and takes no other token's place (I6).
/// - Every other token is answered: while one waits, either the end of a process has yet to be reported, or the kernel
///   is asked to report emptiness.
public struct TreeWatch: Sendable {
    /// Next step for the owner of the tree.
    public enum Step: Sendable, Equatable {
        case nothing
        /// Check whether the tree is empty now, and call `looked`.
        case look
        /// Have `reported` called once the kernel reports that the tree is empty.
        case arm
        /// No wait is left: `reported` need not be called.
        case disarm
        /// The tree is empty; these waits are answered.
        case answer([Token])
    }

    public private(set) var waits: [Token] = []
    /// Processes of the tree whose ends have not been reported.
    public private(set) var processes: Set<Token> = []
    public private(set) var isArmed = false

    public init() {}

    public mutating func began(_ process: Token) { processes.insert(process) }

    /// Removes a process, after its end has been reported to the engine.
    public mutating func ended(_ process: Token) -> Step {
        processes.remove(process)
        return lookIfDue()
    }

    public mutating func wait(_ token: Token) -> Step {
        waits.append(token)
        return lookIfDue()
    }

    public mutating func giveUp(_ token: Token) -> Step {
        waits.removeAll { $0 == token }
        guard waits.isEmpty, isArmed else { return .nothing }
        isArmed = false
        return .disarm
    }

    /// Handles the kernel's report that the tree is empty, or may be by now.
    public mutating func reported() -> Step {
        isArmed = false
        return lookIfDue()
    }

    public mutating func looked(isEmpty: Bool) -> Step {
        guard !waits.isEmpty, processes.isEmpty else { return .nothing }
        if isEmpty {
            defer { waits = [] }
            return .answer(waits)
        }
        if isArmed { return .nothing }
        isArmed = true
        return .arm
    }

    /// Checks the tree if a wait is due; the kernel's answer is of no use while the end of a process has yet to be
    /// reported.
    private func lookIfDue() -> Step { waits.isEmpty || !processes.isEmpty ? .nothing : .look }
}
