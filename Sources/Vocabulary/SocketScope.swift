/// The generations that share a socket (`X-Scope=`; `scope` in the control protocol).
public enum SocketScope: String, Keyword, Codable {
    /// All generations share one socket.
    case shared
    /// Each generation has a socket of its own, at an address of its own.
    case generation
}
