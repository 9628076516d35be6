import Foundation
import Testing

@testable import Engine

/// A random world of sockets and services that answers effects as a supervisor would. It records open and watched
/// sockets, and reports violations.
struct SocketWorld {
    var machine = SocketActivation()
    var random: SplitMix64
    var now: Int64 = 0
    var problem: String?
    var open: Set<SocketID> = []
    var watched: Set<SocketID> = []
    var heldBack: Set<SocketID> = []
    var commands: [SocketToken] = []
    var running: Set<GroupID> = []
    var connections: [(SocketID, Int)] = []
    /// Number of accepted connections that are neither started nor refused.
    var taken = 0
    var asked: Set<RequestID> = []
    var lastRequest: UInt64 = 0
    let ids = ["a.socket", "b.socket", "c.socket"].map { SocketID($0) }
    let groups = ["a.service", "b.service"].map { GroupID($0) }

    init(seed: UInt64) { random = SplitMix64(seed: seed) }

    mutating func below(_ limit: Int) -> Int { random.below(limit) }

    mutating func spec(_ id: SocketID) -> SocketSpec {
        var spec = SocketSpec()
        spec.accepts = id == ids[2]
        spec.service = spec.accepts ? nil : groups[id == ids[0] ? 0 : below(2)]
        spec.triggerLimit = .init(interval: .seconds(2), burst: below(6))
        spec.pollLimit = .init(interval: .seconds(2), burst: below(6))
        spec.flushPending = below(2) == 0
        spec.idleStop = below(2) == 0 ? .seconds(1) : nil
        spec.maxConnections = 2
        spec.timeout = below(4) == 0 ? nil : .seconds(1)
        let list: [CommandCounts.MayFail] = [.no, .yes]
        spec.startPre = Array(list.prefix(below(3)))
        spec.startPost = Array(list.prefix(below(2)))
        spec.stopPre = Array(list.prefix(below(2)))
        spec.stopPost = Array(list.prefix(below(3)))
        return spec
    }

    mutating func request() -> RequestID {
        lastRequest += 1
        let id = RequestID(number: lastRequest)
        asked.insert(id)
        return id
    }

    mutating func tell(_ first: SocketEvent) {
        var events = [first]
        while let event = events.first {
            events.removeFirst()
            for effect in machine.handle(event, at: Instant(nanoseconds: now)) { events += carryOut(effect) }
        }
        if below(3) == 0 { reexecute() }
    }

    private mutating func reexecute() {
        guard let again = try? JSONDecoder().decode(SocketActivation.self, from: JSONEncoder().encode(machine)) else {
            problem = "it cannot be read again"
            return
        }
        machine = again
    }

    private mutating func carryOut(_ effect: SocketEffect) -> [SocketEvent] {
        switch effect {
        case .run(let token, _, _):
            if below(6) == 0 { return [.commandEnded(token, "cannot be executed")] }
            commands.append(token)
        case .signal(let token, let signal):
            if !commands.contains(token) { problem = "signal to a command that has ended" }
            if signal == 9 || below(2) == 0 {
                commands.removeAll { $0 == token }
                return [.commandEnded(token, "killed")]
            }
        case .open(let id):
            if open.contains(id) { problem = "\(id) is opened twice" }
            if below(8) == 0 { return [.openFailed(id, "in use")] }
            open.insert(id)
            guard let group = machine.view(of: id)?.spec.service else { return [.opened(id)] }
            return [.opened(id), .service(group, running.contains(group) ? .active : .inactive)]
        case .close(let id):
            if !open.contains(id) { problem = "\(id) is closed and was not open" }
            open.remove(id)
            watched.remove(id)
        case .watch(let id):
            if !open.contains(id) { problem = "\(id) is watched and not open" }
            watched.insert(id)
        case .unwatch(let id): watched.remove(id)
        case .watchOnce(let id): if !open.contains(id) { problem = "\(id) is looked at and not open" }
        case .flush(let id): if !open.contains(id) { problem = "\(id) is flushed and not open" }
        case .holdBack(let id, let on): if on { heldBack.insert(id) } else { heldBack.remove(id) }
        case .accept(let id):
            guard below(4) > 0 else { return [] }
            taken += 1
            let accepted = SocketEvent.accepted(id, source: "s\(below(2))")
            return below(4) == 0 ? [.stop(id, nil), accepted] : [accepted]
        case .trigger(let id, let group):
            if running.contains(group) { problem = "\(id) starts \(group), which runs" }
            if below(8) == 0 { return [.triggerFailed(id, "no release")] }
            running.insert(group)
            return [.service(group, .active)]
        case .startConnection(let id, let number):
            if connections.count(where: { $0.0 == id }) >= 2 { problem = "more than MaxConnections=" }
            connections.append((id, number))
            taken -= 1
        case .refuseConnection: taken -= 1
        case .measure(let group, _): return [.measured(group, below(3) == 0 ? 1 : 0)]
        case .stopIdle(let group):
            if !running.contains(group) { problem = "\(group) is stopped and does not run" }
        case .state: break
        case .answer(let request, _, _):
            if asked.remove(request) == nil { problem = "\(request) is answered twice" }
        }
        return []
    }

    /// The service of the socket may be running already.
    private mutating func tellActivity(of spec: SocketSpec) {
        guard let group = spec.service else { return }
        tell(.service(group, running.contains(group) ? .active : .inactive))
    }

    mutating func step() {
        now += Int64(below(700)) * 1_000_000
        if let due = machine.nextDeadline, due <= Instant(nanoseconds: now) { tell(.deadlineReached) }
        let id = ids[below(3)]
        switch below(15) {
        case 0, 1:
            let spec = spec(id)
            tell(.start(id, spec, request()))
            tellActivity(of: spec)
        case 2: tell(.stop(id, request()))
        case 3, 4, 5: if watched.contains(id) { tell(.readable(id)) }
        case 6:
            guard !commands.isEmpty else { return }
            let token = commands.remove(at: below(commands.count))
            tell(.commandEnded(token, below(4) == 0 ? "exited with status 1" : nil))
        case 7:
            let group = groups[below(2)]
            if running.remove(group) == nil {
                running.insert(group)
                tell(.service(group, .active))
            } else {
                tell(.service(group, [.inactive, .failed, .startLimitHit][below(3)]))
            }
        case 8:
            let facts = SocketFacts(
                isOpen: open.contains(id), canHoldBack: below(2) == 0, users: below(2) == 0 ? ["x"] : [])
            tell(.pause(id, facts, request()))
        case 9: tell(.resume(id, request()))
        case 10: if let (socket, number) = connections.popLast() { tell(.connectionEnded(socket, number)) }
        case 11:
            let spec = spec(id)
            tell(.changed(id, spec))
            tellActivity(of: spec)
        case 12: tell(.arrived(id))
        case 13: release(id)
        default: tell(.deadlineReached)
        }
        check()
    }

    /// Releases a socket together with some running services, or one that only a service opened.
    private mutating func release(_ id: SocketID) {
        if !machine.isActive(id) {
            guard below(2) == 0 else { return }
            open.insert(id)
        }
        let waited = running.filter { _ in below(2) == 0 }
        tell(.release(id, spec(id), below(2) == 0 ? request() : nil, waited))
        let mayTake: [SocketPhase] = [.listening, .pollLimited, .running]
        if let phase = machine.view(of: id)?.phase, mayTake.contains(phase) {
            problem = "\(id) is released and \(phase)"
        }
    }

    private mutating func check() {
        if taken != 0 { problem = "a connection was accepted, and nobody closes it" }
        for id in ids {
            guard let view = machine.view(of: id) else { continue }
            let takes =
                view.phase == .listening && !machine.isPaused(id) && (view.spec.accepts || view.spec.service != nil)
            if takes != watched.contains(id) { problem = "\(id) is \(view.phase) and watched: \(watched.contains(id))" }
            switch view.phase {
            case .listening, .pollLimited, .running, .startPost:
                if !open.contains(id) { problem = "\(id): \(view.phase), not open" }
            case .dead, .failed, .startPre, .stopPost:
                if view.phase != .stopPost, open.contains(id) { problem = "\(id) is \(view.phase) and open" }
            case .opening, .stopPre: break
            }
            if view.phase == .running, let group = view.spec.service, !running.contains(group) {
                problem = "\(id) waits for \(group), which does not run"
            }
            if machine.isPaused(id), !open.contains(id) { problem = "\(id) is paused and closed" }
        }
    }

    /// Ends everything.
    mutating func endEverything() {
        for id in ids { tell(.stop(id, request())) }
        for group in running.sorted() { tell(.service(group, .inactive)) }
        for _ in 0..<200 {
            now += 2_000_000_000
            tell(.deadlineReached)
            if let token = commands.popLast() { tell(.commandEnded(token, nil)) }
        }
        if !asked.isEmpty { problem = problem ?? "\(asked.count) requests were never answered" }
        if !open.isEmpty { problem = problem ?? "\(open) is open after it was stopped" }
        if !commands.isEmpty { problem = problem ?? "commands are left" }
    }
}

@Suite struct SocketActivationFuzzTests {
    @Test(
        "whatever happens: open and watched exactly when it should be, no request without an answer, nothing left at the end"
    )
    func anySchedule() {
        for seed in UInt64(1)...400 {
            var world = SocketWorld(seed: seed)
            for step in 0..<300 {
                world.step()
                if let problem = world.problem {
                    Issue.record("seed \(seed), step \(step): \(problem)")
                    return
                }
            }
            world.endEverything()
            if let problem = world.problem {
                Issue.record("seed \(seed), at the end: \(problem)")
                return
            }
        }
    }
}
