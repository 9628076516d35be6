// ProbeCore: the rooms behind `holdfast-probe`, the loop of requests that proves a swap lost nothing.
//
// It is a strict client: it never repeats a request, so whatever a swap does to a connection is counted, each kind of loss
// by itself. And it is a light one: one thread, one epoll, raw sockets, no allocation per request, because it shares the
// machine with what it measures.
//
//   Target.swift          the URL, and the addresses behind it
//   ResponseParser.swift  HTTP/1.1 responses, byte by byte, pure
//   Strip.swift           the V1V1V2 line, sampled, pure
//   Tally.swift           what was counted, and how it is printed
//   Windows.swift         the same per 100 ms, for benchmarks
//   Socket.swift          system calls on sockets
//   Client.swift          one client: its connection and the request in flight
//   Loop.swift            the loop that drives all clients

/// What cannot be done, named by thing, step and cause.
public struct ProbeError: Error, CustomStringConvertible, Sendable {
    public let description: String

    public init(_ description: String) {
        self.description = description
    }
}

/// What to send, how often, and how to show it.
public struct ProbeConfiguration: Sendable {
    public var target: Target
    /// Clients that ask at the same time.
    public var clients = 1
    /// Stop after this many seconds.
    public var duration: Double?
    /// Stop after this many requests.
    public var requests: Int?
    /// One connection per client instead of one per request.
    public var keepAlive = false
    /// Requests per second over all clients; nil: each client asks as soon as it was answered.
    public var rate: Double?
    /// A request without a complete answer after this many seconds is lost.
    public var timeout = 5.0
    /// Where the strip goes, or nil.
    public var stripDescriptor: Int32?
    /// Every answer in the strip, not a sample.
    public var stripAll = false
    /// How much of a body makes its token, in bytes.
    public var tokenLength = 8
    /// A CSV file that gets a row per 100 ms.
    public var windowsPath: String?

    public init(target: Target) {
        self.target = target
    }
}

/// A kind of loss. The order is that of the printed table.
public enum Loss: String, CaseIterable, Sendable {
    /// Nobody listened.
    case refused
    /// The connection was reset, at any point.
    case reset
    /// The connection ended before a complete answer, also a kept-alive one that was closed as our request met it.
    case closedEarly
    /// A complete answer with a status below 200 or above 399.
    case badStatus
    /// No complete answer in time.
    case timedOut
    /// Anything else: other connect errors, an answer that is not HTTP, one that is too large.
    case other
}
