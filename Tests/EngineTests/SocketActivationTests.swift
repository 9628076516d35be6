import Foundation
import Testing

@testable import Engine

/// Drives one `SocketActivation`: collects its effects and counts seconds.
private struct Rig {
    var machine = SocketActivation()
    var seconds = 0.0
    var effects: [SocketEffect] = []
    let id = SocketID("a.socket")
    let service = GroupID("a.service")

    var now: Instant { Instant(nanoseconds: Int64(seconds * 1e9)) }

    init(_ adjust: (inout SocketSpec) -> Void = { _ in }) {
        var spec = SocketSpec()
        spec.service = service
        adjust(&spec)
        tell(.start(id, spec, RequestID(number: 1)))
    }

    /// Delivers an event; encodes and decodes the machine before each, as over a re-exec.
    @discardableResult
    mutating func tell(_ event: SocketEvent) -> [SocketEffect] {
        machine = reread(machine)
        effects = machine.handle(event, at: now)
        return effects
    }

    mutating func opens() { tell(.opened(id)) }

    @discardableResult
    mutating func wait(_ span: Double) -> [SocketEffect] {
        seconds += span
        return tell(.deadlineReached)
    }

    var phase: SocketPhase? { machine.view(of: id)?.phase }
    var failure: SocketFailure? { machine.view(of: id)?.failure }

    /// The token of the last command.
    var token: SocketToken {
        for case .run(let token, _, _) in effects.reversed() { return token }
        return SocketToken(number: 0)
    }

    /// Triggers the service, which then runs.
    mutating func triggers() {
        tell(.readable(id))
        #expect(effects.contains(.trigger(id, service)))
        tell(.service(service, .active))
    }
}

private func reread(_ machine: SocketActivation) -> SocketActivation {
    do {
        return try JSONDecoder().decode(SocketActivation.self, from: JSONEncoder().encode(machine))
    } catch {
        Issue.record("\(error)")
        return machine
    }
}

extension SocketEffect {
    fileprivate var isWatch: Bool { if case .watch = self { true } else { false } }
    fileprivate var isUnwatch: Bool { if case .unwatch = self { true } else { false } }
}

@Suite struct SocketActivationTests {
    @Test("a started socket is opened, watched, and answered for")
    func opens() {
        var rig = Rig()
        #expect(rig.effects == [.state(rig.id, .opening), .open(rig.id)])
        rig.opens()
        #expect(
            rig.effects == [
                .answer(RequestID(number: 1), rig.id, .started), .state(rig.id, .listening), .watch(rig.id),
            ])
        rig.tell(.start(rig.id, SocketSpec(), RequestID(number: 2)))
        #expect(rig.effects == [.answer(RequestID(number: 2), rig.id, .unchanged)])
    }

    @Test("a socket that cannot be opened has failed, and can be started again")
    func openFails() {
        var rig = Rig()
        rig.tell(.openFailed(rig.id, "in use"))
        #expect(rig.phase == .failed && rig.failure == .open("in use"))
        #expect(rig.effects.contains(.answer(RequestID(number: 1), rig.id, .failed(.open("in use")))))
        rig.tell(.start(rig.id, SocketSpec(), nil))
        #expect(rig.phase == .opening)
    }

    @Test(
        "the first connection starts the service; while it runs nobody looks; when it has ended the next one starts it")
    func triggers() {
        var rig = Rig()
        rig.opens()
        rig.tell(.readable(rig.id))
        #expect(rig.effects == [.unwatch(rig.id), .state(rig.id, .running), .trigger(rig.id, rig.service)])
        // This event was dispatched before the watch ended.
        #expect(rig.tell(.readable(rig.id)) == [])
        #expect(rig.tell(.service(rig.service, .active)) == [])
        rig.tell(.service(rig.service, .inactive))
        #expect(rig.effects == [.state(rig.id, .listening), .watch(rig.id)])
        rig.triggers()
        #expect(rig.machine.view(of: rig.id)?.triggered == 2)
    }

    @Test("a service that was started by hand is not watched for, and taken up when it ends")
    func byHand() {
        var rig = Rig()
        rig.opens()
        rig.tell(.service(rig.service, .active))
        #expect(rig.effects == [.unwatch(rig.id), .state(rig.id, .running)])
        rig.tell(.service(rig.service, .inactive))
        #expect(rig.effects.contains(.watch(rig.id)))
    }

    @Test("a socket that starts while its service runs does not look")
    func startsLate() {
        var rig = Rig()
        rig.tell(.service(rig.service, .active))
        rig.opens()
        #expect(rig.phase == .running && !rig.effects.contains(where: \.isWatch))
    }

    @Test("several sockets of one service: the first that is used starts it, all stop looking, all look again")
    func several() {
        var rig = Rig()
        let other = SocketID("b.socket")
        var spec = SocketSpec()
        spec.service = rig.service
        rig.opens()
        rig.tell(.start(other, spec, nil))
        rig.tell(.opened(other))
        rig.triggers()
        #expect(rig.effects.contains(.unwatch(other)) && rig.machine.view(of: other)?.phase == .running)
        rig.tell(.service(rig.service, .inactive))
        #expect(rig.effects.filter(\.isWatch) == [.watch(rig.id), .watch(other)])
    }

    @Test("the trigger limit is a failure: closed until it is started again, and then it counts anew")
    func triggerLimit() {
        var rig = Rig { $0.triggerLimit = .init(interval: .seconds(2), burst: 3) }
        rig.opens()
        for _ in 0..<3 {
            rig.triggers()
            rig.tell(.service(rig.service, .inactive))
        }
        rig.tell(.readable(rig.id))
        #expect(rig.effects.contains(.close(rig.id)) && !rig.effects.contains(.trigger(rig.id, rig.service)))
        #expect(rig.phase == .failed && rig.failure == .triggerLimit(3, .seconds(2)))
        var spec = SocketSpec()
        spec.service = rig.service
        rig.tell(.start(rig.id, spec, nil))
        rig.opens()
        rig.triggers()
    }

    @Test("a service that fails slowly never reaches the limit; either number zero means no limit")
    func belowLimit() {
        var rig = Rig { $0.triggerLimit = .init(interval: .seconds(2), burst: 3) }
        rig.opens()
        for _ in 0..<20 {
            rig.triggers()
            rig.tell(.service(rig.service, .inactive))
            rig.seconds += 1
        }
        var free = Rig {
            $0.triggerLimit = .init(interval: .seconds(2), burst: 0)
            $0.pollLimit = .init(interval: .zero, burst: 1)
        }
        free.opens()
        for _ in 0..<100 {
            free.triggers()
            free.tell(.service(free.service, .inactive))
        }
        #expect(free.phase == .listening)
    }

    @Test("the poll limit makes what comes wait until its interval is over, and refuses nothing")
    func pollLimit() {
        var rig = Rig {
            $0.accepts = true
            $0.triggerLimit = .init(interval: .seconds(2), burst: 0)
            $0.pollLimit = .init(interval: .seconds(2), burst: 3)
        }
        rig.opens()
        for _ in 0..<3 { #expect(rig.tell(.readable(rig.id)) == [.accept(rig.id)]) }
        #expect(rig.tell(.readable(rig.id)) == [.unwatch(rig.id), .state(rig.id, .pollLimited)])
        #expect(rig.phase == .pollLimited && rig.machine.nextDeadline == Instant(nanoseconds: 2_000_000_000))
        #expect(rig.wait(1) == [])
        #expect(rig.wait(1) == [.state(rig.id, .listening), .watch(rig.id)])
        #expect(rig.tell(.readable(rig.id)) == [.accept(rig.id)])
    }

    @Test("a service that was started too often takes its socket along; one that cannot be started does, too")
    func serviceFails() {
        var rig = Rig()
        rig.opens()
        rig.triggers()
        rig.tell(.service(rig.service, .startLimitHit))
        #expect(rig.failure == .serviceStartLimit && rig.effects.contains(.close(rig.id)))
        var crashing = Rig()
        crashing.opens()
        for _ in 0..<5 {
            crashing.triggers()
            crashing.tell(.service(crashing.service, .failed))
            #expect(crashing.phase == .listening)
        }
        crashing.triggers()
        crashing.tell(.service(crashing.service, .failed))
        #expect(crashing.failure == .serviceStartLimit)
        var other = Rig()
        other.opens()
        other.tell(.readable(other.id))
        other.tell(.triggerFailed(other.id, "no release"))
        #expect(other.failure == .service("no release"))
    }

    @Test("Accept=yes: one instance for each connection, up to the limits, by source and in all")
    func accepts() {
        var rig = Rig {
            $0.accepts = true
            $0.maxConnections = 3
            $0.maxConnectionsPerSource = 2
        }
        rig.opens()
        #expect(rig.tell(.readable(rig.id)) == [.accept(rig.id)])
        #expect(rig.tell(.accepted(rig.id, source: "a")) == [.startConnection(rig.id, 0)])
        #expect(rig.tell(.accepted(rig.id, source: "a")) == [.startConnection(rig.id, 1)])
        #expect(
            rig.tell(.accepted(rig.id, source: "a")) == [.refuseConnection(rig.id, .tooManyFromSource(2, "a"))])
        #expect(rig.tell(.accepted(rig.id, source: "b")) == [.startConnection(rig.id, 2)])
        #expect(rig.tell(.accepted(rig.id, source: "c")) == [.refuseConnection(rig.id, .tooMany(3))])
        rig.tell(.connectionEnded(rig.id, 1))
        #expect(rig.tell(.accepted(rig.id, source: "c")) == [.startConnection(rig.id, 3)])
        let view = rig.machine.view(of: rig.id)
        #expect(view?.connections == 3 && view?.accepted == 4 && view?.phase == .listening)
    }

    @Test("FlushPending= throws away what the service left, before it is watched again")
    func flush() {
        var rig = Rig { $0.flushPending = true }
        rig.opens()
        #expect(!rig.effects.contains(.flush(rig.id)))
        rig.triggers()
        rig.tell(.service(rig.service, .inactive))
        #expect(rig.effects == [.flush(rig.id), .state(rig.id, .listening), .watch(rig.id)])
    }

    @Test("commands run one by one around opening and closing, in the order of systemd.socket(5)")
    func commands() {
        var rig = Rig {
            $0.startPre = [.no, .yes]
            $0.startPost = [.no]
            $0.stopPre = [.no]
            $0.stopPost = [.no]
        }
        func last(_ rig: Rig) -> SocketEffect? { rig.effects.last }
        #expect(last(rig) == .run(rig.token, rig.id, .startPre(0)))
        rig.tell(.commandEnded(rig.token, nil))
        #expect(last(rig) == .run(rig.token, rig.id, .startPre(1)))
        rig.tell(.commandEnded(rig.token, "status 1"))
        #expect(last(rig) == .open(rig.id), "its prefix lets it fail")
        rig.opens()
        #expect(last(rig) == .run(rig.token, rig.id, .startPost(0)))
        rig.tell(.commandEnded(rig.token, nil))
        #expect(rig.phase == .listening)
        rig.tell(.stop(rig.id, RequestID(number: 2)))
        #expect(last(rig) == .run(rig.token, rig.id, .stopPre(0)) && !rig.effects.contains(.close(rig.id)))
        rig.tell(.commandEnded(rig.token, nil))
        #expect(rig.effects.contains(.close(rig.id)) && last(rig) == .run(rig.token, rig.id, .stopPost(0)))
        rig.tell(.commandEnded(rig.token, nil))
        #expect(rig.phase == .dead && rig.effects.contains(.answer(RequestID(number: 2), rig.id, .stopped)))
    }

    @Test(
        "a command that fails makes the socket fail: before the opening at once, after it by way of the stop commands")
    func commandFails() {
        var rig = Rig { $0.startPre = [.no] }
        rig.tell(.commandEnded(rig.token, "exited with status 3"))
        #expect(rig.failure == .command(.startPre(0), "exited with status 3"))
        #expect(!rig.effects.contains(.open(rig.id)))
        var other = Rig {
            $0.startPost = [.no]
            $0.stopPost = [.no]
        }
        other.opens()
        other.tell(.commandEnded(other.token, "x"))
        #expect(other.effects.contains(.close(other.id)) && other.phase == .stopPost)
        other.tell(.commandEnded(other.token, "y"))
        #expect(other.failure == .command(.startPost(0), "x"), "the first failure is the cause")
    }

    @Test("a command that takes too long is told to end, then killed; its late end after that changes nothing twice")
    func commandTimesOut() {
        var rig = Rig {
            $0.startPre = [.no]
            $0.timeout = .seconds(5)
        }
        let token = rig.token
        #expect(rig.wait(5) == [.state(rig.id, .stopPost), .signal(token, 15)])
        #expect(rig.wait(5) == [.signal(token, 9)])
        #expect(rig.wait(50) == [], "what cannot be killed is waited for")
        rig.tell(.commandEnded(token, "killed"))
        #expect(rig.failure == .timedOut(.startPre(0)))
        #expect(rig.tell(.commandEnded(token, nil)) == [])
    }

    @Test("a stop while it is being opened, or while its commands run, is carried out")
    func stopEarly() {
        var rig = Rig()
        rig.tell(.stop(rig.id, RequestID(number: 2)))
        rig.opens()
        #expect(rig.phase == .dead && rig.effects.contains(.close(rig.id)))
        #expect(rig.effects.contains(.answer(RequestID(number: 2), rig.id, .stopped)))
        var other = Rig { $0.startPre = [.no] }
        let token = other.token
        other.tell(.stop(other.id, RequestID(number: 2)))
        #expect(other.effects.contains(.signal(token, 15)))
        other.tell(.commandEnded(token, "killed"))
        #expect(other.phase == .dead && other.effects.contains(.answer(RequestID(number: 2), other.id, .stopped)))
    }

    // MARK: - Pause

    @Test("paused with nobody behind it: not watched, so connections queue; resumed it is watched again")
    func pauseListening() {
        var rig = Rig()
        rig.opens()
        let facts = SocketFacts(isOpen: true, canHoldBack: true, users: [])
        let request = RequestID(number: 3)
        rig.tell(.pause(rig.id, facts, request))
        #expect(rig.effects == [.unwatch(rig.id), .answer(request, rig.id, .paused)])
        #expect(rig.tell(.readable(rig.id)) == [])
        #expect(rig.tell(.pause(rig.id, facts, request)) == [.answer(request, rig.id, .unchanged)])
        // An operator starts the service.
        #expect(rig.tell(.willBePassed(rig.id)) == [.holdBack(rig.id, true)])
        rig.tell(.service(rig.service, .active))
        rig.tell(.service(rig.service, .inactive))
        #expect(rig.phase == .listening && !rig.effects.contains(where: \.isWatch))
        rig.tell(.resume(rig.id, request))
        #expect(rig.effects == [.holdBack(rig.id, false), .watch(rig.id), .answer(request, rig.id, .resumed)])
        #expect(rig.tell(.resume(rig.id, request)) == [.answer(request, rig.id, .notPaused)])
    }

    @Test("paused while a service accepts: held back where the kernel can, refused with the reason where it cannot")
    func pauseRunning() {
        var rig = Rig()
        rig.opens()
        rig.triggers()
        let request = RequestID(number: 3)
        rig.tell(.pause(rig.id, SocketFacts(isOpen: true, canHoldBack: false, users: ["a.service"]), request))
        #expect(rig.effects == [.answer(request, rig.id, .cannotPause(["a.service"]))] && !rig.machine.isPaused(rig.id))
        rig.tell(.pause(rig.id, SocketFacts(isOpen: true, canHoldBack: true, users: ["a.service"]), request))
        #expect(rig.effects == [.holdBack(rig.id, true), .answer(request, rig.id, .paused)])
        // After a crash it is still held back.
        #expect(rig.tell(.reopened) == [.holdBack(rig.id, true)])
        rig.tell(.resume(rig.id, request))
        #expect(rig.effects == [.holdBack(rig.id, false), .answer(request, rig.id, .resumed)])
        // A socket that was never started as a unit, but that a service holds.
        let held = SocketID("held.socket")
        rig.tell(.pause(held, SocketFacts(isOpen: false, canHoldBack: true, users: []), request))
        #expect(rig.effects == [.answer(request, held, .notOpen)])
        rig.tell(.pause(held, SocketFacts(isOpen: true, canHoldBack: true, users: ["x"]), request))
        #expect(rig.machine.isPaused(held))
    }

    // MARK: - Idle

    @Test("without a connection at two looks the service is stopped, with new ones held back until it is gone")
    func idleStop() {
        var rig = Rig { $0.idleStop = .seconds(60) }
        rig.opens()
        rig.tell(.readable(rig.id))
        rig.tell(.service(rig.service, .active))
        #expect(rig.effects == [.watchOnce(rig.id)])
        // Traffic arrived: no measurement, another minute.
        rig.tell(.arrived(rig.id))
        #expect(rig.wait(60) == [.watchOnce(rig.id)])
        #expect(rig.wait(60) == [.measure(rig.service, [rig.id])])
        #expect(rig.tell(.measured(rig.service, 2)) == [.watchOnce(rig.id)])
        rig.wait(60)
        #expect(
            rig.tell(.measured(rig.service, 0)) == [.holdBack(rig.id, true), .measure(rig.service, [rig.id])])
        // A connection arrived between the measurements.
        #expect(rig.tell(.measured(rig.service, 1)) == [.holdBack(rig.id, false), .watchOnce(rig.id)])
        rig.wait(60)
        rig.tell(.measured(rig.service, 0))
        #expect(rig.tell(.measured(rig.service, 0)) == [.stopIdle(rig.service)])
        #expect(
            rig.wait(1) == [.holdBack(rig.id, false)], "a service that takes its time does not keep clients waiting")
        rig.tell(.service(rig.service, .inactive))
        #expect(rig.phase == .listening && rig.machine.nextDeadline == nil)
    }

    @Test("a service that was started by hand, or has a socket that wants it to stay, is left alone")
    func idleStays() {
        var rig = Rig { $0.idleStop = .seconds(60) }
        rig.opens()
        rig.tell(.service(rig.service, .active))
        #expect(rig.machine.nextDeadline == nil)
        rig.tell(.service(rig.service, .inactive))
        var spec = SocketSpec()
        spec.service = rig.service
        rig.tell(.start(SocketID("b.socket"), spec, nil))
        rig.tell(.opened(SocketID("b.socket")))
        rig.triggers()
        #expect(rig.machine.nextDeadline == nil)
    }

    @Test("after a re-exec what listens is watched again, and nothing that runs is")
    func reopened() {
        var rig = Rig()
        rig.opens()
        #expect(rig.tell(.reopened) == [.watch(rig.id)])
        rig.triggers()
        #expect(rig.tell(.reopened) == [])
    }

    @Test("a changed unit counts at once: limits, and what its traffic starts")
    func changed() {
        var rig = Rig()
        rig.opens()
        rig.triggers()
        var spec = SocketSpec()
        spec.service = GroupID("other.service")
        rig.tell(.changed(rig.id, spec))
        #expect(rig.effects == [.state(rig.id, .listening), .watch(rig.id)])
        rig.tell(.readable(rig.id))
        #expect(rig.effects.contains(.trigger(rig.id, GroupID("other.service"))))
        #expect(rig.machine.watchedServices == [GroupID("other.service")])
    }
}
