import Foundation
import Testing

@testable import Engine

/// Drives one `SocketActivation`: collects its effects and counts seconds.
struct SocketRig {
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
    var isWatch: Bool { if case .watch = self { true } else { false } }
    var isUnwatch: Bool { if case .unwatch = self { true } else { false } }
}
