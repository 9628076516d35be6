// ProbeCore: the parts of `holdfast-probe`, the request loop that proves that a swap loses nothing.
//
// It is a strict client: it never repeats a request, so that every effect of a swap on a connection is counted, each
// kind of loss separately. And it is a light one: one thread, one epoll, raw sockets, no allocation per request,
// because it shares the machine with the programs that it measures.
//
//   Target.swift          the URL, and its addresses
//   ResponseParser.swift  HTTP/1.1 responses, byte by byte, pure
//   Strip.swift           the V1V1V2 line, sampled, pure
//   Tally.swift           the counts, and their output
//   Windows.swift         the counts per 100 ms, for benchmarks
//   Socket.swift          system calls on sockets
//   Client.swift          one client: its connection and the request in flight
//   Loop.swift            the loop that drives all clients

/// An error that names thing, step and cause.
public struct ProbeError: Error, CustomStringConvertible, Sendable {
    public let description: String

    public init(_ description: String) {
        self.description = description
    }
}

/// The request, its rate, and the form of the output.
public struct ProbeConfiguration: Sendable {
    public var target: Target
    /// The number of clients that send requests in parallel.
    public var clients = 1
    /// The duration in seconds, after which the probe stops.
    public var duration: Double?
    /// The number of requests, after which the probe stops.
    public var requests: Int?
    /// One connection per client instead of one per request.
    public var keepAlive = false
    /// Requests per second over all clients; nil: each client sends the next request after each answer.
    public var rate: Double?
    /// The time in seconds after which a request without a complete answer is lost.
    public var timeout = 5.0
    /// The descriptor for the strip, or nil.
    public var stripDescriptor: Int32?
    /// Whether the strip shows every answer instead of a sample.
    public var stripAll = false
    /// The number of bytes of a body that make its token.
    public var tokenLength = 8
    /// The path of a CSV file that gets a row per 100 ms.
    public var windowsPath: String?

    public init(target: Target) {
        self.target = target
    }
}

/// A kind of loss. The order is that of the printed table.
public enum Loss: String, CaseIterable, Sendable {
    /// No process was listening.
    case refused
    /// The connection was reset, at any point.
    case reset
    /// The connection ended before a complete answer, or, kept alive, was closed as the request was sent.
    case closedEarly
    /// A complete answer with a status below 200 or above 399.
    case badStatus
    /// No complete answer within the timeout.
    case timedOut
    /// Any other failure: other connect errors, an answer that is not HTTP, one that is too large.
    case other
}
