import Testing

@testable import Engine

@Suite struct SocketActivationTests {
    @Test("a started socket is opened, watched, and answered for")
    func opens() {
        var rig = SocketRig()
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
        var rig = SocketRig()
        rig.tell(.openFailed(rig.id, "in use"))
        #expect(rig.phase == .failed && rig.failure == .open("in use"))
        #expect(rig.effects.contains(.answer(RequestID(number: 1), rig.id, .failed(.open("in use")))))
        rig.tell(.start(rig.id, SocketSpec(), nil))
        #expect(rig.phase == .opening)
    }

    @Test(
        "the first connection starts the service; while it runs nobody looks; when it has ended the next one starts it")
    func triggers() {
        var rig = SocketRig()
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
        var rig = SocketRig()
        rig.opens()
        rig.tell(.service(rig.service, .active))
        #expect(rig.effects == [.unwatch(rig.id), .state(rig.id, .running)])
        rig.tell(.service(rig.service, .inactive))
        #expect(rig.effects.contains(.watch(rig.id)))
    }

    @Test("a socket that starts while its service runs does not look")
    func startsLate() {
        var rig = SocketRig()
        rig.tell(.service(rig.service, .active))
        rig.opens()
        #expect(rig.phase == .running && !rig.effects.contains(where: \.isWatch))
    }

    @Test("several sockets of one service: the first that is used starts it, all stop looking, all look again")
    func several() {
        var rig = SocketRig()
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
        var rig = SocketRig { $0.triggerLimit = .init(interval: .seconds(2), burst: 3) }
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
        var rig = SocketRig { $0.triggerLimit = .init(interval: .seconds(2), burst: 3) }
        rig.opens()
        for _ in 0..<20 {
            rig.triggers()
            rig.tell(.service(rig.service, .inactive))
            rig.seconds += 1
        }
        var free = SocketRig {
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
        var rig = SocketRig {
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
        var rig = SocketRig()
        rig.opens()
        rig.triggers()
        rig.tell(.service(rig.service, .startLimitHit))
        #expect(rig.failure == .serviceStartLimit && rig.effects.contains(.close(rig.id)))
        var crashing = SocketRig()
        crashing.opens()
        for _ in 0..<5 {
            crashing.triggers()
            crashing.tell(.service(crashing.service, .failed))
            #expect(crashing.phase == .listening)
        }
        crashing.triggers()
        crashing.tell(.service(crashing.service, .failed))
        #expect(crashing.failure == .serviceStartLimit)
        var other = SocketRig()
        other.opens()
        other.tell(.readable(other.id))
        other.tell(.triggerFailed(other.id, "no release"))
        #expect(other.failure == .service("no release"))
    }

    @Test("Accept=yes: one instance for each connection, up to the limits, by source and in all")
    func accepts() {
        var rig = SocketRig {
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

    @Test("Accept=yes: a connection beyond TriggerLimitBurst= is refused for that limit, and fails the socket")
    func acceptLimit() {
        var rig = SocketRig {
            $0.accepts = true
            $0.triggerLimit = .init(interval: .seconds(2), burst: 1)
        }
        rig.opens()
        #expect(rig.tell(.accepted(rig.id, source: "a")) == [.startConnection(rig.id, 0)])
        rig.tell(.accepted(rig.id, source: "a"))
        #expect(rig.effects.first == .refuseConnection(rig.id, .triggerLimit(1, .seconds(2))))
        #expect(rig.failure == .triggerLimit(1, .seconds(2)))
    }

    @Test("FlushPending= throws away what the service left, before it is watched again")
    func flush() {
        var rig = SocketRig { $0.flushPending = true }
        rig.opens()
        #expect(!rig.effects.contains(.flush(rig.id)))
        rig.triggers()
        rig.tell(.service(rig.service, .inactive))
        #expect(rig.effects == [.flush(rig.id), .state(rig.id, .listening), .watch(rig.id)])
    }

    @Test("commands run one by one around opening and closing, in the order of systemd.socket(5)")
    func commands() {
        var rig = SocketRig {
            $0.startPre = [.no, .yes]
            $0.startPost = [.no]
            $0.stopPre = [.no]
            $0.stopPost = [.no]
        }
        func last(_ rig: SocketRig) -> SocketEffect? { rig.effects.last }
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
        var rig = SocketRig { $0.startPre = [.no] }
        rig.tell(.commandEnded(rig.token, "exited with status 3"))
        #expect(rig.failure == .command(.startPre(0), "exited with status 3"))
        #expect(!rig.effects.contains(.open(rig.id)))
        var other = SocketRig {
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
        var rig = SocketRig {
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
        var rig = SocketRig()
        rig.tell(.stop(rig.id, RequestID(number: 2)))
        rig.opens()
        #expect(rig.phase == .dead && rig.effects.contains(.close(rig.id)))
        #expect(rig.effects.contains(.answer(RequestID(number: 2), rig.id, .stopped)))
        var other = SocketRig { $0.startPre = [.no] }
        let token = other.token
        other.tell(.stop(other.id, RequestID(number: 2)))
        #expect(other.effects.contains(.signal(token, 15)))
        other.tell(.commandEnded(token, "killed"))
        #expect(other.phase == .dead && other.effects.contains(.answer(RequestID(number: 2), other.id, .stopped)))
    }
}
