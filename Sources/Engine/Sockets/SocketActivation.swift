/// What socket units do by themselves: open, watch, start what their traffic is for, and close.
///
/// A value like `Engine`, beside it: it is told what happened and answers with what is to be done. It knows services only by
/// the group that a socket's traffic starts, and whether that group is active; how a group starts and ends is `Engine`'s.
///
/// The life of a unit (systemd.socket(5)): *dead*; `ExecStartPre=`; *opening*; `ExecStartPost=`; *listening*, when its first
/// connection or datagram starts its service; *running* while that is active, when the service itself takes what comes and
/// nobody here looks; then *listening* again. It ends by `ExecStopPre=`, is closed, `ExecStopPost=`, and is *dead*, or *failed*.
///
/// - `SocketActivation+Life`: states, commands and their time limits.
/// - `SocketActivation+Traffic`: what traffic does, limits, connections with `Accept=yes`.
/// - `SocketActivation+Pause`: `pause` and `resume`.
/// - `SocketActivation+Idle`: `X-IdleStopSec=`.
public struct SocketActivation: Sendable, Codable {
    var sockets: [SocketID: ActivatedSocket] = [:]
    /// What activated services are known by; only those that a socket of ours starts.
    var services: [GroupID: ActivatedService] = [:]
    /// Also of sockets that were never started as units: a service may have brought them.
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

    /// Tells what happened; answers with what is to be done, in this order.
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
        case .taken(let id): taken(id)
        case .arrived(let id): arrived(id)
        case .measured(let group, let connections): measured(group, connections)
        case .deadlineReached: break
        case .reopened: reopened()
        }
        fireDeadlines()
        defer { effects = [] }
        return effects
    }

    /// Requests whose end will be told.
    public var awaitedRequests: Set<RequestID> {
        Set(sockets.values.flatMap { $0.startRequests + $0.stopRequests + ($0.nextStart?.requests ?? []) })
    }

    /// When `deadlineReached` must be told next, if nothing else happens before.
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

    /// A token that was handed out in a life of which nothing is known.
    public mutating func reserve(_ token: SocketToken) { lastToken = max(lastToken, token.number) }

    /// Never handed out before, so that the end of an earlier life's command changes nothing (I6).
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
        /// Open, and watched unless it is paused, or waits for the end of a poll limit (then the socket's deadline says when).
        case listening
        /// Its service is active.
        case running
        /// It is closed when these have gone, and starts nothing any more.
        case releasing(Set<GroupID>)
        case stopPre(Int, SocketToken, SocketFailure?)
        /// A command that took too long or is not wanted any more has been told to end; the next step follows its end.
        case ending(SocketToken, isKilled: Bool, Step, SocketFailure?)
        case stopPost(Int, SocketToken, SocketFailure?)
        case dead
        case failed(SocketFailure)
    }
    /// A start that was asked for while it was being stopped.
    struct NextStart: Sendable, Codable {
        var spec: SocketSpec
        var requests: [RequestID]
    }
    /// What follows a command that was ended.
    enum Step: Sendable, Equatable, Codable { case stopPre, close, end }

    var spec: SocketSpec
    var state = State.dead
    var since: Instant
    var deadline: Instant?
    /// Waits for the end of the poll limit.
    var isCooling = false
    var triggers = SocketRate()
    var polls = SocketRate()
    /// Connections of `Accept=yes` that have an instance, by number, with where they came from.
    var connections: [Int: String] = [:]
    /// How many there have been since the unit was started first; also the number of the last.
    var accepted = 0
    /// How often its traffic started its service.
    var triggered = 0
    var startRequests: [RequestID] = []
    var stopRequests: [RequestID] = []
    var nextStart: NextStart?

    init(spec: SocketSpec, at now: Instant) {
        self.spec = spec
        since = now
    }

    /// There is a descriptor.
    var isOpen: Bool {
        switch state {
        case .startPost, .listening, .running, .releasing, .stopPre: true
        case .ending(_, _, let step, _): step != .end
        case .startPre, .opening, .stopPost, .dead, .failed: false
        }
    }
}

/// How often something happened in the present interval.
struct SocketRate: Sendable, Codable, Equatable {
    var begin: Instant?
    var count = 0

    /// Counts one; false if that is one too many.
    mutating func allows(_ limit: SocketSpec.Limit, at now: Instant) -> Bool {
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
    /// A socket's traffic started it, so the lack of traffic may stop it.
    var wasTriggered = false
    var failures = SocketRate()
    var deadline: Instant?
    var idle = Idle.unwatched

    enum Idle: Sendable, Equatable, Codable {
        /// It is not to be stopped for lack of connections.
        case unwatched
        /// A look is due at the deadline; `arrived`: something came since the last one.
        case watching(arrived: Bool)
        /// Asked; if there is none, new ones are held back and it is asked again.
        case looking
        case confirming
        /// Told to stop; what was held back is let go at its end, or at the deadline.
        case stopping
    }
}

/// A socket that is paused, and how.
struct SocketPause: Sendable, Codable, Equatable {
    /// New connections wait at their clients, because processes accept from the socket themselves.
    var holdsBack: Bool
}
