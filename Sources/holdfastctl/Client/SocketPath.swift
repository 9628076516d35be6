import ControlProtocol

/// Finds the control socket.
enum SocketPath {
    /// - Parameters:
    ///   - option: `--socket`, which has precedence.
    ///   - user: `--user` was given.
    ///   - environment: looks up a variable.
    ///   - exists: checks whether a file exists.
    static func choose(
        option: String?, user: Bool, environment: (String) -> String?, isRoot: Bool, exists: (String) -> Bool
    ) -> String {
        if let option { return option }
        func set(_ name: String) -> String? { environment(name).flatMap { $0.isEmpty ? nil : $0 } }
        let own = set("XDG_RUNTIME_DIR").map { "\($0)/holdfast/\(Holdfast.socketName)" }
        if let socket = set("HOLDFAST_SOCKET") { return socket }
        if user, let own { return own }
        // A user with a supervisor of their own who is not root means that one; --socket reaches the system's.
        if !isRoot, let own, exists(own) { return own }
        return "\(Holdfast.systemRuntimeDirectory)/\(Holdfast.socketName)"
    }
}
