import Engine

/// The engine's waits for one process tree to be empty, and what is known of the tree: which wait is answered, and when.
///
/// A value, so that a test can try every order of events. Of one process the kernel says three things, in any order: that it has
/// exited, that its tree is empty (a zombie is in no tree), and what it sent last. The engine begins a wait before, between
/// or after them, and may give it up. In all orders:
/// - A wait is answered once the tree is empty *and* the end of each of its processes has been told. What follows the tree
///   (`ExecStopPost=`, the result) depends on how they ended.
/// - A token that the engine has given up is never answered, and takes no other token's place (I6).
/// - Every other token is answered: while one waits, either a process is there whose end has yet to be told, or the kernel is
///   asked for its word.
struct TreeWatch {
    /// What the owner of the tree must do next.
    enum Step: Equatable {
        case nothing
        /// Look whether the tree is empty now, and tell `looked`.
        case look
        /// Have `reported` called once the kernel says that the tree is empty.
        case arm
        /// Nobody waits any more: `reported` need not be called.
        case disarm
        /// The tree is over; these waits have been for it.
        case answer([Token])
    }

    private(set) var waits: [Token] = []
    /// Processes of the tree whose ends have not been told.
    private(set) var processes: Set<Token> = []
    private(set) var isArmed = false

    mutating func began(_ process: Token) { processes.insert(process) }

    /// To be called after the engine has been told.
    mutating func ended(_ process: Token) -> Step {
        processes.remove(process)
        return lookIfDue()
    }

    mutating func wait(_ token: Token) -> Step {
        waits.append(token)
        return lookIfDue()
    }

    mutating func giveUp(_ token: Token) -> Step {
        waits.removeAll { $0 == token }
        guard waits.isEmpty, isArmed else { return .nothing }
        isArmed = false
        return .disarm
    }

    /// The kernel has said that the tree is empty, or may be by now.
    mutating func reported() -> Step {
        isArmed = false
        return lookIfDue()
    }

    mutating func looked(isEmpty: Bool) -> Step {
        guard !waits.isEmpty, processes.isEmpty else { return .nothing }
        if isEmpty {
            defer { waits = [] }
            return .answer(waits)
        }
        if isArmed { return .nothing }
        isArmed = true
        return .arm
    }

    /// The kernel's word is of no use while the end of a process has yet to be told.
    private func lookIfDue() -> Step { waits.isEmpty || !processes.isEmpty ? .nothing : .look }
}
