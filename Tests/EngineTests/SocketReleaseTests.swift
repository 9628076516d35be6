import Testing

@testable import Engine

/// A socket and its services are stopped together.
@Suite struct SocketReleaseTests {
    private let id = SocketID("a.socket")
    private let service = GroupID("a.service")
    private let other = GroupID("b.service")
    private let now = Instant(nanoseconds: 0)
    private let request = RequestID(number: 7)

    private var spec: SocketSpec {
        var spec = SocketSpec()
        spec.service = service
        return spec
    }

    /// An open socket whose traffic has started its service.
    private func running() -> SocketActivation {
        var machine = SocketActivation()
        for event in [
            SocketEvent.start(id, spec, nil), .opened(id), .readable(id), .service(service, .active),
        ] {
            _ = machine.handle(event, at: now)
        }
        return machine
    }

    @Test("From the request on nothing is started, and it is closed when the last that has it has gone")
    func waits() {
        var machine = running()
        #expect(machine.handle(.release(id, spec, request, [service, other]), at: now) == [.state(id, .stopPre)])
        #expect(machine.handle(.service(service, .inactive), at: now) == [], "neither watched nor closed")
        #expect(machine.handle(.readable(id), at: now) == [])
        #expect(machine.view(of: id)?.isOpen == true)
        let effects = machine.handle(.service(other, .failed), at: now)
        #expect(effects.contains(.close(id)) && effects.contains(.answer(request, id, .stopped)), "\(effects)")
        #expect(machine.watchedServices == [], "nothing is kept for it")
    }

    @Test("Both requests are answered when it is closed, whichever of the two names it")
    func twoRequests() {
        var machine = running()
        _ = machine.handle(.release(id, spec, nil, [service]), at: now)
        _ = machine.handle(.release(id, spec, request, [service]), at: now)
        _ = machine.handle(.stop(id, RequestID(number: 8)), at: now)
        let effects = machine.handle(.service(service, .inactive), at: now)
        #expect(effects.contains(.answer(request, id, .stopped)))
        #expect(effects.contains(.answer(RequestID(number: 8), id, .stopped)))
    }

    @Test(
        "A start that comes while it is being closed opens it again, and is answered then; a stop after it takes it back"
    )
    func startWhileReleasing() {
        var machine = running()
        let start = RequestID(number: 9)
        let released = SocketEvent.release(id, spec, request, [service])
        _ = machine.handle(released, at: now)
        #expect(machine.handle(.start(id, spec, start), at: now) == [], "it is not said to listen")
        #expect(machine.awaitedRequests == [request, start])
        let effects = machine.handle(.service(service, .inactive), at: now)
        #expect(effects.contains(.close(id)) && effects.contains(.answer(request, id, .stopped)), "\(effects)")
        #expect(effects.last == .open(id), "\(effects)")
        #expect(machine.handle(.opened(id), at: now).contains(.answer(start, id, .started)))
        _ = machine.handle(.service(service, .active), at: now)
        _ = machine.handle(released, at: now)
        _ = machine.handle(.start(id, spec, start), at: now)
        #expect(machine.handle(.stop(id, nil), at: now) == [.answer(start, id, .stopped)])
        #expect(!machine.handle(.service(service, .inactive), at: now).contains(.open(id)))
    }

    @Test("One that only services brought is closed likewise, without its commands")
    func heldOnly() {
        var machine = SocketActivation()
        var spec = spec
        spec.stopPre = [.no]
        #expect(machine.handle(.release(id, spec, request, [service]), at: now) == [.state(id, .stopPre)])
        let effects = machine.handle(.service(service, .inactive), at: now)
        #expect(effects.contains(.close(id)) && effects.contains(.answer(request, id, .stopped)))
        #expect(!effects.contains { if case .run = $0 { true } else { false } })
        let again = machine.handle(.release(id, spec, request, []), at: now)
        #expect(again.contains(.close(id)) && again.contains(.answer(request, id, .stopped)))
    }
}
