// ControlProtocol: what holdfastd and holdfastctl say to each other.
//
// The protocol is Varlink (https://varlink.org): JSON objects, each ended by a NUL, over a Unix stream socket. This
// target holds the framing (`MessageFramer`), the envelope (`Call`, `Reply`), the typed requests (`Request`) and
// replies, the errors with their sentences (`ControlError`), and the interface text that the daemon serves
// (`Interfaces`). It makes no system call and keeps no descriptor: whoever owns the socket feeds it bytes.
//
// A message from outside passes three gates, in this order: the framer bounds its size, `JSONScanner` its depth and
// syntax, and only then does a JSON decoder see the parameters, as the type of the method that was called.

/// Facts about Holdfast that both ends of the control socket state.
public enum Holdfast {
    /// The version of this build, as in `holdfastctl version` and `org.varlink.service.GetInfo`.
    public static let version = "0.1.0"
    /// The file name of the control socket inside the runtime directory.
    public static let socketName = "io.holdfast"
    /// The runtime directory of the system's supervisor.
    public static let systemRuntimeDirectory = "/run/holdfast"
}

/// Sizes, in bytes and levels, beyond which a message is refused.
public enum MessageLimit {
    /// The longest request that the daemon accepts, in bytes without the NUL. Requests carry names, not content.
    public static let request = 64 * 1024
    /// The longest reply that a client accepts, in bytes without the NUL. A `Status` of some ten thousand services fits.
    public static let reply = 16 * 1024 * 1024
    /// How deeply objects and arrays may nest. Decoders recurse; the bound keeps a hostile message off the stack.
    public static let depth = 64
}
