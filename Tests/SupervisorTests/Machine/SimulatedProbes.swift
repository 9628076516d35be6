import Linux

@testable import Supervisor

/// Answers to network probes of the world.
final class WorldProbes {
    struct Question: Equatable {
        var address: String
        /// Path of an HTTP request; nil for a connection.
        var path: String?
    }

    /// The answer, and the time in nanoseconds until it arrives; nil for no answer. By default nothing listens.
    var answer: (Question) -> (result: ProbeResult, delay: Int64)? = { question in
        (.failed("connect \(question.address): Connection refused"), 0)
    }
    /// Questions asked, oldest first.
    var asked: [Question] = []
}

/// One supervisor's network probes.
final class SimulatedProbes: ProbesPort {
    private unowned let machine: SimulatedMachine

    init(machine: SimulatedMachine) { self.machine = machine }

    func tcp(
        _ address: SocketAddress, in network: NetworkNamespace?, timeout nanoseconds: Int64,
        _ answered: @escaping (ProbeResult) -> Void
    ) -> any MachineProbe {
        ask(WorldProbes.Question(address: "\(address)", path: nil), nanoseconds, answered)
    }

    func http(
        _ address: SocketAddress, in network: NetworkNamespace?, path: String, timeout nanoseconds: Int64,
        _ answered: @escaping (ProbeResult) -> Void
    ) -> any MachineProbe {
        ask(WorldProbes.Question(address: "\(address)", path: path), nanoseconds, answered)
    }

    private func ask(
        _ question: WorldProbes.Question, _ timeout: Int64, _ answered: @escaping (ProbeResult) -> Void
    ) -> SimulatedProbe {
        let probe = SimulatedProbe(machine, answered)
        guard machine.world.permits(machine, "probe", question.address) else { return probe }
        machine.world.probes.asked.append(question)
        let late = (result: ProbeResult.failed("no answer within \(timeout / 1_000_000_000)s"), delay: timeout)
        let given = machine.world.probes.answer(question) ?? late
        let (result, delay) = given.delay < timeout ? given : late
        machine.world.schedule(after: delay) { [weak probe] in probe?.arrive(result) }
        return probe
    }
}

private final class SimulatedProbe: MachineProbe {
    private unowned let machine: SimulatedMachine
    private var answered: ((ProbeResult) -> Void)?

    init(_ machine: SimulatedMachine, _ answered: @escaping (ProbeResult) -> Void) {
        (self.machine, self.answered) = (machine, answered)
    }

    func arrive(_ result: ProbeResult) {
        guard answered != nil, !machine.isDead else { return }
        machine.simulatedLoop.post(.probes) { [weak self] in
            let answered = self?.answered
            self?.answered = nil
            answered?(result)
        }
    }

    func cancel() { answered = nil }
}
