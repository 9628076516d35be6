/// What a socket unit holds there.
public enum SocketKind: String, Codable, Sendable, CaseIterable {
    case stream, datagram, fifo, special, netlink
    case sequentialPacket = "sequential_packet"
    case messageQueue = "message_queue"
}

/// What becomes of what comes to a held socket.
public enum SocketState: String, Codable, Sendable, CaseIterable {
    /// Its unit was not started: services that get it take what comes, and without one connections wait.
    case held
    /// Its commands run, or it is being opened.
    case starting
    /// What comes starts its service.
    case listening
    /// Its poll limit is reached: what comes waits until the interval is over.
    case cooling
    /// Its service runs and takes what comes.
    case running
    /// Its commands run before or after it is closed.
    case stopping
    /// Closed, because of `reason`, until its unit is started again.
    case failed
}

/// At most `burst` times in `interval` seconds.
public struct SocketLimit: Codable, Equatable, Sendable {
    public var burst: Int
    public var interval: Double

    public init(burst: Int, interval: Double) {
        self.burst = burst
        self.interval = interval
    }
}

/// Something that a process did to a held socket, and that belongs to all who share it.
public struct SocketChange: Codable, Equatable, Sendable {
    /// `SO_RCVBUF`, `TCP_DEFER_ACCEPT`, `socket filter`, `backlog`, `mode`, `O_NONBLOCK`.
    public var attribute: String
    public var found: String
    /// As the unit says, or as it was when the socket was opened.
    public var expected: String
    /// The services that had the socket at that time, the latest first.
    public var suspects: [String]
    /// When it was found last.
    public var at: String
    /// How often in a row.
    public var count: Int
    /// Why it cannot be put back; nil: it was.
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

    /// For people: `SO_RCVBUF was 4608 instead of 131072, by web@v2.service (generation 2); put back`.
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
    /// The address it is bound to, `0.0.0.0:80`, `[::]:80`, `/run/site/app-v2.sock.7`, `@name`.
    public var address: String
    public var scope: SocketScope
    /// The number of the generation that owns it; nil if it is shared.
    public var generation: Int?
    /// The name it is passed on under (`FileDescriptorName=`).
    public var descriptorName: String
    /// It listens; false if it is only bound (`X-Pass=address`).
    public var listening: Bool
    /// How many connections may wait to be accepted.
    public var backlog: Int
    /// How many wait now; nil if the kernel does not tell.
    public var queued: Int?
    public var holders: [SocketHolder]
    public var kind: SocketKind
    public var state: SocketState
    /// New connections wait and start nothing, until it is resumed.
    public var paused: Bool
    /// What its traffic starts; nil with `Accept=yes`, and if it starts nothing.
    public var service: String?
    /// Why it failed.
    public var reason: String?
    /// How often its traffic started its service, since its unit was first started.
    public var triggered: Int?
    /// With `Accept=yes`: connections that have an instance now, those that ever had one, and how many may have one at once.
    public var connections: Int?
    public var accepted: Int?
    public var maxConnections: Int?
    /// More is a failure.
    public var triggerLimit: SocketLimit?
    /// More makes it wait.
    public var pollLimit: SocketLimit?
    /// What processes did to it, one for each attribute; nil: nothing.
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
