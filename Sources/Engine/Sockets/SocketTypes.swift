/// A socket unit by its name, `http.socket`.
public struct SocketID: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    public let name: String
    public init(_ name: String) { self.name = name }
    public var description: String { name }
    public static func < (left: SocketID, right: SocketID) -> Bool { left.name < right.name }
}

/// Names one command of a socket unit that runs. Never used twice.
public struct SocketToken: Hashable, Sendable, Codable {
    public let number: UInt64
    public init(number: UInt64) { self.number = number }
}

/// What must be known of a socket unit to decide about it.
public struct SocketSpec: Sendable, Equatable, Codable {
    /// At most `burst` times in `interval`; either zero: no limit.
    public struct Limit: Sendable, Equatable, Codable {
        public var interval: Duration
        public var burst: Int
        public init(interval: Duration, burst: Int) {
            self.interval = interval
            self.burst = burst
        }
    }

    /// `Accept=yes`: an instance for each connection.
    public var accepts = false
    /// What its traffic starts; nil: nothing, it is only held.
    public var service: GroupID?
    public var maxConnections = 64
    /// Zero: no limit.
    public var maxConnectionsPerSource = 0
    /// More is a failure.
    public var triggerLimit = Limit(interval: .seconds(2), burst: 20)
    /// More makes it wait until the interval is over.
    public var pollLimit = Limit(interval: .seconds(2), burst: 15)
    /// `StartLimitIntervalSec=`, `StartLimitBurst=` of the service: so often may it fail before its socket does.
    public var failureLimit = Limit(interval: .seconds(10), burst: 5)
    public var flushPending = false
    public var idleStop: Duration?
    /// Which of them may fail (prefix `-`).
    public var startPre: [CommandCounts.MayFail] = []
    public var startPost: [CommandCounts.MayFail] = []
    public var stopPre: [CommandCounts.MayFail] = []
    public var stopPost: [CommandCounts.MayFail] = []
    /// For each command; nil is no limit.
    public var timeout: Duration? = .seconds(90)

    public init() {}
}

/// Which command of a socket unit, by its directive and its index there.
public enum SocketCommand: Sendable, Equatable, Codable {
    case startPre(Int)
    case startPost(Int)
    case stopPre(Int)
    case stopPost(Int)
}

/// Why a socket unit failed.
public enum SocketFailure: Sendable, Equatable, Codable {
    case command(SocketCommand, String)
    case timedOut(SocketCommand)
    /// It could not be opened: said in full.
    case open(String)
    /// Its service could not be started: said in full.
    case service(String)
    /// Its service was started too often (`StartLimitBurst=`).
    case serviceStartLimit
    case triggerLimit(Int, Duration)
}

/// What happened to a socket unit.
public enum SocketEvent: Sendable {
    /// An operator, a dependency or the boot wants it open.
    case start(SocketID, SocketSpec, RequestID?)
    case stop(SocketID, RequestID?)
    /// To be stopped as soon as these services, which are being stopped, have gone; until then nothing is started any more. It
    /// may be held without having been started as a unit.
    case release(SocketID, SocketSpec, RequestID?, Set<GroupID>)
    /// The unit's file has changed.
    case changed(SocketID, SocketSpec)
    /// nil: it succeeded; else what it ended with.
    case commandEnded(SocketToken, String?)
    /// A command has ended, and how is not known: the supervisor was killed meanwhile.
    case commandLost(SocketToken)
    case opened(SocketID)
    case openFailed(SocketID, String)
    /// A connection or a datagram waits.
    case readable(SocketID)
    /// A connection was taken for an instance of its own. The source is what `MaxConnectionsPerSource=` counts by.
    case accepted(SocketID, source: String)
    /// The instance of a connection has ended.
    case connectionEnded(SocketID, Int)
    /// The start that `trigger` or `startConnection` asked for could not even be asked for.
    case triggerFailed(SocketID, String)
    case service(GroupID, ServiceActivity)
    case pause(SocketID, SocketFacts, RequestID?)
    case resume(SocketID, RequestID?)
    /// A process is about to get the socket.
    case taken(SocketID)
    /// Something came that `watchOnce` was to tell.
    case arrived(SocketID)
    /// The answer to `measure`: connections that its processes hold, and those that wait.
    case measured(GroupID, Int)
    case deadlineReached
    /// The supervisor was replaced or has crashed, and every socket is open again.
    case reopened
}

/// Whether a service does anything.
public enum ServiceActivity: Sendable, Equatable {
    case active
    /// Ended well, or stopped.
    case inactive
    /// Ended badly, or never started.
    case failed
    /// It was started too often.
    case startLimitHit
}

/// What must be known of a socket to pause it.
public struct SocketFacts: Sendable, Equatable {
    public var isOpen: Bool
    /// The kernel can make new connections wait at their clients (TCP).
    public var canHoldBack: Bool
    /// Services whose processes accept from it now.
    public var users: [String]
    public init(isOpen: Bool, canHoldBack: Bool, users: [String]) {
        self.isOpen = isOpen
        self.canHoldBack = canHoldBack
        self.users = users
    }
}

/// What is to be done about a socket unit.
public enum SocketEffect: Sendable, Equatable {
    /// Answered by `commandEnded`.
    case run(SocketToken, SocketID, SocketCommand)
    /// To every process of that command.
    case signal(SocketToken, Int32)
    /// Answered by `opened` or `openFailed`.
    case open(SocketID)
    case close(SocketID)
    /// Tell `readable` from now on.
    case watch(SocketID)
    case unwatch(SocketID)
    /// Tell `arrived`, once.
    case watchOnce(SocketID)
    /// Throw away what waits.
    case flush(SocketID)
    /// Let new connections wait at their clients, or come again.
    case holdBack(SocketID, Bool)
    /// Take the next connection: `accepted` if there is one.
    case accept(SocketID)
    /// Start the service as an operator would.
    case trigger(SocketID, GroupID)
    /// Start an instance for the connection that was taken last.
    case startConnection(SocketID, Int)
    /// Close the connection that was taken last.
    case refuseConnection(SocketID, SocketRefusal)
    /// How many connections has the service, on these sockets? Answered by `measured`.
    case measure(GroupID, [SocketID])
    /// Stop it, drained: nobody needs it.
    case stopIdle(GroupID)
    case state(SocketID, SocketPhase)
    case answer(RequestID, SocketID, SocketAnswer)
}

/// Why a connection was closed at once.
public enum SocketRefusal: Sendable, Equatable, Codable {
    case tooMany(Int)
    case tooManyFromSource(Int, String)
    /// The socket does not listen any more.
    case notListening
}

/// What an operator is told.
public enum SocketAnswer: Sendable, Equatable {
    case started, stopped, unchanged, paused, resumed
    case failed(SocketFailure)
    case notOpen
    case notPaused
    /// These accept from it themselves, and the kernel cannot hold this kind back.
    case cannotPause([String])
}

/// What people see of a socket unit's state: one total table.
public enum SocketPhase: String, Sendable, Equatable, CaseIterable, Codable {
    case startPre, opening, startPost, listening, cooling, running, stopPre, stopPost, dead, failed

    init(_ socket: ActivatedSocket) {
        self =
            switch socket.state {
            case .startPre: .startPre
            case .opening: .opening
            case .startPost: .startPost
            case .listening: socket.isCooling ? .cooling : .listening
            case .running: .running
            case .releasing, .stopPre: .stopPre
            case .ending(_, _, let step, _): step == .end ? .stopPost : .stopPre
            case .stopPost: .stopPost
            case .dead: .dead
            case .failed: .failed
            }
    }
}

/// What `sockets` and `status` show.
public struct SocketView: Sendable, Equatable {
    public var id: SocketID
    public var spec: SocketSpec
    public var phase: SocketPhase
    /// There is something to be held.
    public var isOpen: Bool
    public var failure: SocketFailure?
    public var since: Instant
    public var connections: Int
    public var accepted: Int
    public var triggered: Int
    /// When a pause by the poll limit ends.
    public var deadline: Instant?
}

extension SocketActivation {
    public var socketIDs: [SocketID] { sockets.keys.sorted() }

    /// Those that are dead or failed, the oldest first.
    public var pastSockets: [SocketID] {
        sockets.filter { !isActive($0.key) && $0.value.nextStart == nil }
            .sorted { ($0.value.since, $0.key) < ($1.value.since, $1.key) }.map(\.key)
    }

    /// Forgets a socket unit that nobody will ask about.
    /// - Returns: false if something of it is left.
    public mutating func discard(_ id: SocketID) -> Bool {
        guard !isActive(id), paused[id] == nil, let socket = sockets[id], socket.connections.isEmpty,
            socket.startRequests.isEmpty, socket.stopRequests.isEmpty, socket.nextStart == nil
        else { return false }
        sockets[id] = nil
        return true
    }

    public func view(of id: SocketID) -> SocketView? {
        guard let socket = sockets[id] else { return nil }
        var failure: SocketFailure?
        if case .failed(let reason) = socket.state { failure = reason }
        return SocketView(
            id: id, spec: socket.spec, phase: SocketPhase(socket), isOpen: socket.isOpen, failure: failure,
            since: socket.since,
            connections: socket.connections.count, accepted: socket.accepted, triggered: socket.triggered,
            deadline: socket.isCooling ? socket.deadline : nil)
    }

    /// Those that are paused, sorted.
    public var pausedIDs: [SocketID] { paused.keys.sorted() }

    public func isPaused(_ id: SocketID) -> Bool { paused[id] != nil }

    /// New connections wait at their clients.
    public func isHeldBack(_ id: SocketID) -> Bool { paused[id]?.holdsBack == true }

    /// It is started and not yet stopped.
    public func isActive(_ id: SocketID) -> Bool {
        switch sockets[id]?.state {
        case nil, .dead, .failed: false
        case .startPre, .opening, .startPost, .listening, .running, .releasing, .stopPre, .ending, .stopPost: true
        }
    }

    /// It is being closed, or will be when those who have it have gone.
    public func isStopping(_ id: SocketID) -> Bool {
        switch sockets[id]?.state {
        case .releasing, .stopPre, .ending, .stopPost: true
        case nil, .startPre, .opening, .startPost, .listening, .running, .dead, .failed: false
        }
    }

    /// Groups whose coming and going matters here.
    public var watchedServices: [GroupID] { services.keys.sorted() }

    public func watches(_ group: GroupID) -> Bool { services[group] != nil }

    /// Commands of sockets whose end has not been told.
    public var runningCommands: [SocketToken] {
        sockets.values.compactMap { socket in
            switch socket.state {
            case .startPre(_, let token), .startPost(_, let token), .stopPre(_, let token, _),
                .ending(let token, _, _, _), .stopPost(_, let token, _):
                token
            case .opening, .listening, .running, .releasing, .dead, .failed: nil
            }
        }.sorted { $0.number < $1.number }
    }
}
