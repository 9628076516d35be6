import Vocabulary

/// The kind of a held socket.
public enum SocketKind: String, Codable, Sendable, CaseIterable {
    case stream, datagram, fifo, special, netlink
    case sequentialPacket = "sequential_packet"
    case messageQueue = "message_queue"
}

/// The state of a held socket.
public enum SocketState: String, Codable, Sendable, CaseIterable {
    /// Its unit was not started: services that have the socket take its traffic; without one, connections wait.
    case held
    /// Its commands before opening run, or it is being opened.
    case starting
    /// Traffic starts its service.
    case listening
    /// Its poll limit is reached: traffic waits until the interval is over.
    case cooling
    /// Its service runs and takes the traffic.
    case running
    /// Its commands before or after closing run.
    case stopping
    /// Closed, because of `reason`, until its unit is started again.
    case failed
}

/// A rate limit: at most `burst` times in `interval` seconds.
public struct SocketLimit: Codable, Equatable, Sendable {
    public var burst: Int
    public var interval: Double

    public init(burst: Int, interval: Double) {
        self.burst = burst
        self.interval = interval
    }
}

/// A change that a process made to a held socket, and that affects all processes that share it.
public struct SocketChange: Codable, Equatable, Sendable {
    /// The attribute: `SO_RCVBUF`, `TCP_DEFER_ACCEPT`, `socket filter`, `backlog`, `mode`, `O_NONBLOCK`.
    public var attribute: String
    public var found: String
    /// The value from the unit, or the value at the time when the socket was opened.
    public var expected: String
    /// The services that had the socket at that time, the latest first.
    public var suspects: [String]
    /// The time at which the change was last found.
    public var at: String
    /// The number of times that it was found in a row.
    public var count: Int
    /// The reason for which it cannot be put back; nil if it was put back.
    public var problem: String?

    public init(
        attribute: String, found: String, expected: String, suspects: [String], at: String, count: Int = 1,
        problem: String? = nil
    ) {
        self.attribute = attribute
        self.found = found
        self.expected = expected
        self.suspects = suspects
        self.at = at
        self.count = count
        self.problem = problem
    }

    /// The sentence for people: `SO_RCVBUF was 4608 instead of 131072, by web@v2.service (generation 2); put back`.
    public var sentence: String {
        let who = suspects.isEmpty ? "a process" : suspects.joined(separator: " or ")
        let end = problem.map { "cannot be put back: \($0)" } ?? "put back"
        return "\(attribute) was \(found) instead of \(expected), by \(who); \(end)"
    }
}

/// One held socket.
public struct SocketStatus: Codable, Equatable, Sendable {
    /// The socket unit, `http.socket`.
    public var unit: String
    /// The address that the socket is bound to: `0.0.0.0:80`, `[::]:80`, `/run/site/app-v2.sock.7`, `@name`.
    public var address: String
    public var scope: SocketScope
    /// The number of the generation that owns the socket; nil if it is shared.
    public var generation: Int?
    /// The name under which it is passed on (`FileDescriptorName=`).
    public var descriptorName: String
    /// Whether the socket listens; false if it is only bound (`X-Pass=address`).
    public var listening: Bool
    /// The number of connections that may wait to be accepted.
    public var backlog: Int
    /// The number that wait now; nil if the kernel does not report it.
    public var queued: Int?
    public var holders: [SocketHolder]
    public var kind: SocketKind
    public var state: SocketState
    /// New connections wait and start nothing until the socket is resumed.
    public var paused: Bool
    /// The service that traffic starts; nil with `Accept=yes`, and if traffic starts none.
    public var service: String?
    /// The reason for the failure.
    public var reason: String?
    /// How often traffic started the service since the unit was first started.
    public var triggered: Int?
    /// With `Accept=yes`: connections with an instance now, the total so far, and the most at once.
    public var connections: Int?
    public var accepted: Int?
    public var maxConnections: Int?
    /// The rate limit of triggering; exceeding it is a failure.
    public var triggerLimit: SocketLimit?
    /// The limit of polling; exceeding it makes traffic wait.
    public var pollLimit: SocketLimit?
    /// Changes by processes, one for each attribute; nil if there are none.
    public var changes: [SocketChange]?

    public init(
        unit: String, address: String, scope: SocketScope, generation: Int? = nil, descriptorName: String,
        listening: Bool = true, backlog: Int, queued: Int? = nil, holders: [SocketHolder] = [],
        kind: SocketKind = .stream, state: SocketState = .held, paused: Bool = false
    ) {
        self.unit = unit
        self.address = address
        self.scope = scope
        self.generation = generation
        self.descriptorName = descriptorName
        self.listening = listening
        self.backlog = backlog
        self.queued = queued
        self.holders = holders
        self.kind = kind
        self.state = state
        self.paused = paused
    }
}
