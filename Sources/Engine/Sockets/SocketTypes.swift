import Vocabulary

/// A socket unit by its name, `http.socket`.
public struct SocketID: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    public let name: String
    public init(_ name: String) { self.name = name }
    public var description: String { name }
    public static func < (left: SocketID, right: SocketID) -> Bool { left.name < right.name }
}

/// Identifies one running command of a socket unit. Never used twice.
public struct SocketToken: Hashable, Sendable, Codable {
    public let number: UInt64
    public init(number: UInt64) { self.number = number }
}

/// The part of a socket unit's definition that decisions depend on.
public struct SocketSpec: Sendable, Equatable, Codable {
    /// `Accept=yes`: an instance for each connection.
    public var accepts = false
    /// The group that the socket's traffic starts; nil: none, the socket is only held.
    public var service: GroupID?
    public var maxConnections = 64
    /// Zero: no limit.
    public var maxConnectionsPerSource = 0
    /// The socket fails if its traffic exceeds this limit.
    public var triggerLimit = RateLimit(interval: .seconds(2), burst: 20)
    /// The socket is not watched until the end of the interval if its traffic exceeds this limit.
    public var pollLimit = RateLimit(interval: .seconds(2), burst: 15)
    /// `StartLimitIntervalSec=`, `StartLimitBurst=` of the service: the socket fails if the service fails more often.
    public var failureLimit = RateLimit(interval: .seconds(10), burst: 5)
    public var flushPending = false
    public var idleStop: Duration?
    /// For each command of a directive, whether it may fail (prefix `-`).
    public var startPre: [CommandCounts.MayFail] = []
    public var startPost: [CommandCounts.MayFail] = []
    public var stopPre: [CommandCounts.MayFail] = []
    public var stopPost: [CommandCounts.MayFail] = []
    /// Time limit of each command; nil is no limit.
    public var timeout: Duration? = .seconds(90)

    public init() {}
}

/// A command of a socket unit, by its directive and its index there.
public enum SocketCommand: Sendable, Equatable, Codable {
    case startPre(Int)
    case startPost(Int)
    case stopPre(Int)
    case stopPost(Int)
}

/// The reason why a socket unit failed.
public enum SocketFailure: Sendable, Equatable, Codable {
    case command(SocketCommand, String)
    case timedOut(SocketCommand)
    /// The socket could not be opened; the text is a complete explanation.
    case open(String)
    /// The socket's service could not be started; the text is a complete explanation.
    case service(String)
    /// The socket's service was started too often (`StartLimitBurst=`).
    case serviceStartLimit
    case triggerLimit(Int, Duration)
}

/// An event of a socket unit.
public enum SocketEvent: Sendable {
    /// An operator, a dependency or the boot starts the socket.
    case start(SocketID, SocketSpec, RequestID?)
    case stop(SocketID, RequestID?)
    /// Stop the socket when these services, which are being stopped, have ended; until then it starts nothing. The
    /// socket may be held without having been started as a unit.
    case release(SocketID, SocketSpec, RequestID?, Set<GroupID>)
    /// The unit's file has changed.
    case changed(SocketID, SocketSpec)
    /// A command has ended; nil: successfully, otherwise the failure.
    case commandEnded(SocketToken, String?)
    /// A command has ended without a known status: the supervisor was killed meanwhile.
    case commandLost(SocketToken)
    case opened(SocketID)
    case openFailed(SocketID, String)
    /// A connection or a datagram is waiting.
    case readable(SocketID)
    /// A connection was accepted for an instance of its own. `MaxConnectionsPerSource=` counts by the source.
    case accepted(SocketID, source: String)
    /// The instance of a connection has ended.
    case connectionEnded(SocketID, Int)
    /// The start for `trigger` or `startConnection` could not be requested.
    case triggerFailed(SocketID, String)
    case service(GroupID, ServiceActivity)
    case pause(SocketID, SocketFacts, RequestID?)
    case resume(SocketID, RequestID?)
    /// A process is about to receive the socket.
    case willBePassed(SocketID)
    /// Traffic that `watchOnce` reports has arrived.
    case arrived(SocketID)
    /// The answer to `measure`: the connections that the service's processes hold, plus those that wait.
    case measured(GroupID, Int)
    case deadlineReached
    /// The supervisor was replaced or has crashed, and every socket is open again.
    case reopened
}

/// The state of a service, as far as its sockets need it.
public enum ServiceActivity: Sendable, Equatable {
    case active
    /// The service ended successfully, or was stopped.
    case inactive
    /// The service ended with a failure, or was never started.
    case failed
    /// The service was started too often.
    case startLimitHit
}

/// The facts about a socket that `pause` depends on.
public struct SocketFacts: Sendable, Equatable {
    public var isOpen: Bool
    /// True if the kernel can hold new connections back at their clients (TCP).
    public var canHoldBack: Bool
    /// Services whose processes accept from the socket now.
    public var users: [String]
    public init(isOpen: Bool, canHoldBack: Bool, users: [String]) {
        self.isOpen = isOpen
        self.canHoldBack = canHoldBack
        self.users = users
    }
}

/// An action on a socket unit.
public enum SocketEffect: Sendable, Equatable {
    /// Run a command. Answered by `commandEnded`.
    case run(SocketToken, SocketID, SocketCommand)
    /// Signal every process of that command.
    case signal(SocketToken, Signal)
    /// Open the socket. Answered by `opened` or `openFailed`.
    case open(SocketID)
    case close(SocketID)
    /// Report `readable` from now on.
    case watch(SocketID)
    case unwatch(SocketID)
    /// Report `arrived`, once.
    case watchOnce(SocketID)
    /// Discard the waiting connections or datagrams.
    case flush(SocketID)
    /// Hold new connections back at their clients, or admit them again.
    case holdBack(SocketID, Bool)
    /// Accept the next connection: `accepted` if there is one.
    case accept(SocketID)
    /// Start the service as an operator would.
    case trigger(SocketID, GroupID)
    /// Start an instance for the connection that was accepted last.
    case startConnection(SocketID, Int)
    /// Close the connection that was accepted last.
    case refuseConnection(SocketID, SocketRefusal)
    /// Count the service's connections on these sockets. Answered by `measured`.
    case measure(GroupID, [SocketID])
    /// Stop the service, drained: it has no connections.
    case stopIdle(GroupID)
    case state(SocketID, SocketPhase)
    case answer(RequestID, SocketID, SocketAnswer)
}

/// The reason why a connection was closed at once.
public enum SocketRefusal: Sendable, Equatable, Codable {
    case tooMany(Int)
    case tooManyFromSource(Int, String)
    /// `TriggerLimitBurst=` in `TriggerLimitIntervalSec=`.
    case triggerLimit(Int, Duration)
    /// The socket no longer listens.
    case notListening
}

/// The answer to an operator's request.
public enum SocketAnswer: Sendable, Equatable {
    case started, stopped, unchanged, paused, resumed
    case failed(SocketFailure)
    case notOpen
    case notPaused
    /// These services accept from the socket themselves, and the kernel cannot hold this kind back.
    case cannotPause([String])
}

/// A socket unit's state as users see it; the mapping is total.
public enum SocketPhase: String, Sendable, Equatable, CaseIterable, Codable {
    case startPre, opening, startPost, listening
    case pollLimited = "cooling"
    case running, stopPre, stopPost, dead, failed

    init(_ socket: ActivatedSocket) {
        self =
            switch socket.state {
            case .startPre: .startPre
            case .opening: .opening
            case .startPost: .startPost
            case .listening: socket.isPollLimited ? .pollLimited : .listening
            case .running: .running
            case .releasing, .stopPre: .stopPre
            case .ending(_, _, let step, _): step == .end ? .stopPost : .stopPre
            case .stopPost: .stopPost
            case .dead: .dead
            case .failed: .failed
            }
    }
}

/// A socket unit's state for `sockets` and `status`.
public struct SocketView: Sendable, Equatable {
    public var id: SocketID
    public var spec: SocketSpec
    public var phase: SocketPhase
    /// True if a descriptor of the socket exists.
    public var isOpen: Bool
    public var failure: SocketFailure?
    public var since: Instant
    public var connections: Int
    public var accepted: Int
    public var triggered: Int
    /// The end of a pause by the poll limit.
    public var deadline: Instant?
}

extension SocketActivation {
    public var socketIDs: [SocketID] { sockets.keys.sorted() }

    /// Socket units that are dead or failed, the oldest first.
    public var pastSockets: [SocketID] {
        sockets.filter { !isActive($0.key) && $0.value.nextStart == nil }
            .sorted { ($0.value.since, $0.key) < ($1.value.since, $1.key) }.map(\.key)
    }

    /// Forgets a socket unit that will not be asked about.
    ///
    /// - Returns: false if the unit is active, paused, or has connections or requests.
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
            deadline: socket.isPollLimited ? socket.deadline : nil)
    }

    /// Socket units that are paused, sorted.
    public var pausedIDs: [SocketID] { paused.keys.sorted() }

    public func isPaused(_ id: SocketID) -> Bool { paused[id] != nil }

    /// True if new connections wait at their clients: during a pause, and while the socket's service is stopped for lack
    /// of connections.
    public func isHeldBack(_ id: SocketID) -> Bool {
        if paused[id]?.holdsBack == true { return true }
        guard let socket = sockets[id], socket.isOpen, !socket.spec.accepts, let service = socket.spec.service else {
            return false
        }
        switch services[service]?.idle {
        case .confirming: return true
        // At the deadline they are admitted, although the service has not ended.
        case .stopping: return services[service]?.deadline != nil
        case nil, .unwatched, .watching, .looking: return false
        }
    }

    /// True if the socket unit is started and not yet stopped.
    public func isActive(_ id: SocketID) -> Bool {
        switch sockets[id]?.state {
        case nil, .dead, .failed: false
        case .startPre, .opening, .startPost, .listening, .running, .releasing, .stopPre, .ending, .stopPost: true
        }
    }

    /// True if the socket is being closed, or will be when the services that hold it have ended.
    public func isStopping(_ id: SocketID) -> Bool {
        switch sockets[id]?.state {
        case .releasing, .stopPre, .ending, .stopPost: true
        case nil, .startPre, .opening, .startPost, .listening, .running, .dead, .failed: false
        }
    }

    /// Groups whose starts and ends matter to socket units.
    public var watchedServices: [GroupID] { services.keys.sorted() }

    public func watches(_ group: GroupID) -> Bool { services[group] != nil }

    /// Commands of sockets whose end has not been reported.
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
