// StaticCore: the parts of `holdfast-static`, a small static file server that serves as example backend.
//
// It shows the behaviour of a good backend under a supervisor that holds its sockets: it takes listening sockets that
// it did not open, reports readiness, and on SIGTERM closes its copies of them (never shutdown(2), which would close
// the socket for its successor too), answers every accepted request, and exits.
//
//   Inheritance.swift  the passed descriptors (LISTEN_FDS), adopted without a change to shared state
//   Notify.swift       the readiness datagram
//   SitePath.swift     request target -> path components, pure
//   Site.swift         path components -> open file, never outside the root
//   Exchange.swift     one connection: requests in, answers out, keep-alive, pipelining, leaving
//   Server.swift       listeners, the set of live connections, draining
//
// It imports nothing of the supervisor, because users copy and keep it.

/// An error that names thing, step and cause.
public struct StaticError: Error, CustomStringConvertible, Sendable {
    public let description: String

    public init(_ description: String) {
        self.description = description
    }
}

/// Settings of the server; times are in seconds.
public struct StaticConfiguration: Sendable {
    /// The source of the answers.
    public enum Content: Sendable {
        /// Files beneath this directory.
        case directory(String)
        /// This text for every path.
        case text(String)
    }

    public var content: Content
    /// Event-loop threads; one is enough for most sites.
    public var threads = 1
    /// Whether each answer is logged as a line on standard error.
    public var verbose = false
    /// The answer of `/healthz`: 200 or 503.
    public var healthy = true
    /// The delay before each answer.
    public var answerDelay = 0.0
    /// The longest idle time of a connection that is kept alive.
    public var keepAlive = 75.0
    /// The same while draining: long enough for the peer to send its next request and to get `Connection: close`.
    public var drainIdle = 2.0
    /// The time limit for a request, from accept or from its first byte until it is complete.
    public var requestTimeout = 10.0

    public init(content: Content) {
        self.content = content
    }
}
