// StaticCore: the rooms behind `holdfast-static`, a small static file server that serves as example backend.
//
// It shows what a well-behaved backend does under a supervisor that holds its sockets: it takes listening sockets it did
// not open, says when it is ready, and on SIGTERM closes its copies of them (never shutdown(2), which would close the
// socket for its successor too), answers everything it has accepted, and leaves.
//
//   Inheritance.swift  which descriptors were passed (LISTEN_FDS), and adopting them without touching what is shared
//   Notify.swift       the readiness datagram
//   SitePath.swift     request target -> path components, pure
//   Site.swift         path components -> open file, never outside the root
//   Exchange.swift     one connection: requests in, answers out, keep-alive, pipelining, leaving
//   Server.swift       listeners, the set of live connections, draining
//
// It stands alone: nothing of the supervisor is imported, because users copy and keep it.

/// What cannot be done, named by thing, step and cause.
public struct StaticError: Error, CustomStringConvertible, Sendable {
    public let description: String

    public init(_ description: String) {
        self.description = description
    }
}

/// How the server behaves; times are in seconds.
public struct StaticConfiguration: Sendable {
    /// Where answers come from.
    public enum Content: Sendable {
        /// Files beneath this directory.
        case directory(String)
        /// This text for every path.
        case text(String)
    }

    public var content: Content
    /// Event-loop threads; one is enough for most sites.
    public var threads = 1
    /// A line per answer to standard error.
    public var verbose = false
    /// What `/healthz` says: 200 or 503.
    public var healthy = true
    /// Wait this long before each answer.
    public var answerDelay = 0.0
    /// A connection that is kept alive may idle this long.
    public var keepAlive = 75.0
    /// The same while draining: long enough for the other side to send its next request and be told `Connection: close`.
    public var drainIdle = 2.0
    /// From accept, or from a request's first byte, until the request is complete.
    public var requestTimeout = 10.0

    public init(content: Content) {
        self.content = content
    }
}
