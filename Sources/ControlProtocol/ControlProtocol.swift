// ControlProtocol: the protocol between holdfastd and holdfastctl.
//
// The protocol is Varlink (https://varlink.org): JSON objects, each ended by a NUL, over a Unix stream socket. This
// target holds the framing (`MessageFramer`), the envelope (`Call`, `Reply`), the typed requests (`Request`) and
// replies, the errors with their sentences (`ControlError`), and the interface text that the daemon serves
// (`Interfaces`). It makes no system call and keeps no descriptor: the owner of the socket passes the bytes in.
//
// A message from outside passes three checks in this order: the framer bounds its size, `JSONScanner` checks its depth
// and syntax, and only then does a JSON decoder read the parameters, as the type of the method that was called.

/// Names and paths that both ends of the control socket use.
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
    /// The longest request that the daemon accepts, in bytes without the NUL. Requests hold names, not contents.
    public static let request = 64 * 1024
    /// The longest reply that a client accepts, in bytes without the NUL. A `Status` of 10,000 services fits.
    public static let reply = 16 * 1024 * 1024
    /// The deepest nesting of objects and arrays. JSON decoders recurse; the limit keeps hostile input off the stack.
    public static let depth = 64
}
