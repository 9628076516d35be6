import Vocabulary

/// Decisions about socket units: open, watch, start the service for their traffic, and close.
///
/// A value like `Engine`, beside it: it receives events and returns effects. It knows services only by the group that a
/// socket's traffic starts, and whether that group is active; `Engine` decides how a group starts and ends.
///
/// The life of a unit (systemd.socket(5)): *dead*; `ExecStartPre=`; *opening*; `ExecStartPost=`; *listening*, until its
/// first connection or datagram starts its service; *running* while the service is active: the service itself accepts,
/// and the socket is not watched; then *listening* again. The end: `ExecStopPre=`, closing, `ExecStopPost=`, then
/// *dead* or *failed*.
///
/// - `SocketActivation+Life`: states, commands and their time limits.
/// - `SocketActivation+Traffic`: effects of traffic, limits, connections with `Accept=yes`.
/// - `SocketActivation+Pause`: `pause` and `resume`.
/// - `SocketActivation+Idle`: `X-IdleStopSec=`.
public struct SocketActivation: Sendable, Codable {
    var sockets: [SocketID: ActivatedSocket] = [:]
    /// States of activated services; only services that a socket unit starts or waits for.
    var services: [GroupID: ActivatedService] = [:]
    /// Paused sockets, including sockets that were opened for a service and never started as units.
    var paused: [SocketID: SocketPause] = [:]
    private var lastToken: UInt64 = 0
    var now = Instant(nanoseconds: 0)
    var effects: [SocketEffect] = []

    private enum CodingKeys: String, CodingKey { case sockets, services, paused, lastToken }

    public init() {}

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        sockets = try values.decodeIfPresent([SocketID: ActivatedSocket].self, forKey: .sockets) ?? [:]
        services = try values.decodeIfPresent([GroupID: ActivatedService].self, forKey: .services) ?? [:]
        paused = try values.decodeIfPresent([SocketID: SocketPause].self, forKey: .paused) ?? [:]
        lastToken = try values.decodeIfPresent(UInt64.self, forKey: .lastToken) ?? 0
    }

    /// Handles an event and returns the effects to carry out, in this order.
    public mutating func handle(_ event: SocketEvent, at now: Instant) -> [SocketEffect] {
        self.now = now
        switch event {
        case .start(let id, let spec, let request): start(id, spec, request)
        case .stop(let id, let request): stop(id, request)
        case .release(let id, let spec, let request, let services): release(id, spec, request, services)
        case .changed(let id, let spec): changed(id, spec)
        case .commandEnded(let token, let success): commandEnded(token, success)
        case .commandLost(let token): commandLost(token)
        case .opened(let id): opened(id)
        case .openFailed(let id, let text): openFailed(id, text)
        case .readable(let id): readable(id)
        case .accepted(let id, let source): accepted(id, from: source)
        case .connectionEnded(let id, let number): connectionEnded(id, number)
        case .triggerFailed(let id, let text): triggerFailed(id, text)
        case .service(let group, let activity): service(group, activity)
        case .pause(let id, let facts, let request): pause(id, facts, request)
        case .resume(let id, let request): resume(id, request)
        case .willBePassed(let id): holdBackIfPaused(id)
        case .arrived(let id): arrived(id)
        case .measured(let group, let connections): measured(group, connections)
        case .deadlineReached: break
        case .reopened: reopened()
        }
        fireDeadlines()
        defer { effects = [] }
        return effects
    }

    /// Requests that are still to be answered.
    public var awaitedRequests: Set<RequestID> {
        Set(sockets.values.flatMap { $0.startRequests + $0.stopRequests + ($0.nextStart?.requests ?? []) })
    }

    /// The time at which `deadlineReached` must be sent, if no other event happens before.
    public var nextDeadline: Instant? {
        let all = sockets.values.compactMap(\.deadline) + services.values.compactMap(\.deadline)
        return all.min()
    }

    private mutating func fireDeadlines() {
        for id in sockets.keys.sorted() {
            guard let deadline = sockets[id]?.deadline, deadline <= now else { continue }
            sockets[id]?.deadline = nil
            deadlineReached(id)
        }
        for id in services.keys.sorted() {
            guard let deadline = services[id]?.deadline, deadline <= now else { continue }
            services[id]?.deadline = nil
            idleDeadlineReached(id)
        }
    }

    mutating func emit(_ effect: SocketEffect) { effects.append(effect) }

    /// Reserves a token that was handed out in a life of which no record exists.
    public mutating func reserve(_ token: SocketToken) { lastToken = max(lastToken, token.number) }

    /// A token never handed out before, so that the end of an earlier life's command changes nothing (I6).
    mutating func newToken() -> SocketToken {
        lastToken &+= 1
        return SocketToken(number: lastToken)
    }
}

/// A started socket unit.
struct ActivatedSocket: Sendable, Codable {
    enum State: Sendable, Equatable, Codable {
        case startPre(Int, SocketToken)
        /// `open` has not been answered.
        case opening
        case startPost(Int, SocketToken)
        /// Open; watched unless the socket is paused or waits for the end of a poll limit, which is then its deadline.
        case listening
        /// The socket's service is active.
        case running
        /// The socket starts nothing any more, and is closed when these groups have ended.
        case releasing(Set<GroupID>)
        case stopPre(Int, SocketToken, SocketFailure?)
        /// A command that took too long or is not needed any more was signalled; `Step` follows its end.
        case ending(SocketToken, isKilled: Bool, Step, SocketFailure?)
        case stopPost(Int, SocketToken, SocketFailure?)
        case dead
        case failed(SocketFailure)
    }
    /// A start that was requested while the socket was being stopped.
    struct NextStart: Sendable, Codable {
        var spec: SocketSpec
        var requests: [RequestID]
    }
    /// The step after a command that was signalled.
    enum Step: Sendable, Equatable, Codable { case stopPre, close, end }

    var spec: SocketSpec
    var state = State.dead
    var since: Instant
    var deadline: Instant?
    /// True while the socket waits for the end of the poll limit.
    var isPollLimited = false
    var triggers = RateCounter()
    var polls = RateCounter()
    /// Connections of `Accept=yes` that have an instance: their sources, keyed by number.
    var connections: [Int: String] = [:]
    /// Number of connections since the unit was first started; also the number of the next one.
    var accepted = 0
    /// Number of times that traffic started the service.
    var triggered = 0
    var startRequests: [RequestID] = []
    var stopRequests: [RequestID] = []
    var nextStart: NextStart?

    /// Renamed properties keep the names under which earlier versions saved them.
    enum CodingKeys: String, CodingKey, CaseIterable {
        case spec, state, since, deadline
        case isPollLimited = "isCooling"
        case triggers, polls, connections, accepted, triggered, startRequests, stopRequests, nextStart
    }

    init(spec: SocketSpec, at now: Instant) {
        self.spec = spec
        since = now
    }

    /// True if a descriptor of the socket exists.
    var isOpen: Bool {
        switch state {
        case .startPost, .listening, .running, .releasing, .stopPre: true
        case .ending(_, _, let step, _): step != .end
        case .startPre, .opening, .stopPost, .dead, .failed: false
        }
    }
}

/// Count of an event in the present interval.
struct RateCounter: Sendable, Codable, Equatable {
    var begin: Instant?
    var count = 0

    /// Counts an event; false if it exceeds the limit.
    mutating func allows(_ limit: RateLimit, at now: Instant) -> Bool {
        guard limit.burst > 0, limit.interval > .zero else { return true }
        guard let begin, now < begin + limit.interval else {
            self.begin = now
            count = 1
            return true
        }
        guard count < limit.burst else { return false }
        count &+= 1
        return true
    }
}

/// A service that sockets start.
struct ActivatedService: Sendable, Codable {
    var isActive = false
    /// Traffic of a socket started the service, so a lack of traffic may stop it.
    var wasTriggered = false
    var failures = RateCounter()
    var deadline: Instant?
    var idle = Idle.unwatched

    enum Idle: Sendable, Equatable, Codable {
        /// The service is not stopped for lack of connections.
        case unwatched
        /// The connections are counted at the deadline; `arrived`: traffic came since the last count.
        case watching(arrived: Bool)
        /// A count was requested; if it is zero, new connections are held back and the count is repeated.
        case looking
        case confirming
        /// The service is being stopped; held-back connections are admitted at its end, or at the deadline.
        case stopping
    }
}

/// The pause of a socket, and its method.
struct SocketPause: Sendable, Codable, Equatable {
    /// New connections wait at their clients, because processes accept from the socket themselves.
    var holdsBack: Bool
}
