import Testing

@testable import Engine

@Suite struct SocketPauseTests {
    // MARK: - Pause

    @Test("paused with nobody behind it: not watched, so connections queue; resumed it is watched again")
    func pauseListening() {
        var rig = SocketRig()
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
        var rig = SocketRig()
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
        var rig = SocketRig { $0.idleStop = .seconds(60) }
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

    @Test(
        "after a crash connections are held back during a pause and a stop, and nowhere else; a lost count is repeated")
    func heldBackAfterCrash() {
        var rig = SocketRig { $0.idleStop = .seconds(60) }
        rig.opens()
        rig.triggers()
        rig.wait(60)
        #expect(!rig.machine.isHeldBack(rig.id))
        #expect(rig.tell(.reopened) == [.watchOnce(rig.id)], "the count that was requested is not answered any more")
        #expect(rig.wait(60) == [.measure(rig.service, [rig.id])])
        rig.tell(.measured(rig.service, 0))
        #expect(rig.machine.isHeldBack(rig.id))
        rig.tell(.measured(rig.service, 0))
        #expect(rig.effects == [.stopIdle(rig.service)] && rig.machine.isHeldBack(rig.id))
        #expect(rig.tell(.reopened) == [.holdBack(rig.id, true)])
        rig.wait(1)
        #expect(!rig.machine.isHeldBack(rig.id), "they have been admitted again")
        #expect(rig.tell(.reopened) == [])
    }

    @Test("a service that was started by hand, or has a socket that wants it to stay, is left alone")
    func idleStays() {
        var rig = SocketRig { $0.idleStop = .seconds(60) }
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
        var rig = SocketRig()
        rig.opens()
        #expect(rig.tell(.reopened) == [.watch(rig.id)])
        rig.triggers()
        #expect(rig.tell(.reopened) == [])
    }

    @Test("a changed unit counts at once: limits, and what its traffic starts")
    func changed() {
        var rig = SocketRig()
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
