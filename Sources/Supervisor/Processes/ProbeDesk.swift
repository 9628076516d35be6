import Engine
import Linux
import Logging
import UnitFiles

/// Interface of the supervisor to the desk of probes.
protocol ProbesHost: EventHost {
    func resources(of generation: GenerationID) -> GenerationResources?
}

/// Readiness probes (`ReadyProbe=`): each uses the generation's own socket, so that the answer is this generation's own.
final class ProbeDesk {
    /// Nanoseconds that a service has to accept a connection before the probe fails.
    private static let acceptTime: Int64 = 50_000_000

    private unowned let host: any ProbesHost
    private let machine: any Machine
    private let launcher: Launcher
    private let instances: Instances
    private let processes: ProcessDesk
    private let launches: LaunchDesk
    private var probes: [Token: RunningProbe] = [:]

    init(
        _ machine: any Machine, _ launcher: Launcher, _ instances: Instances, _ processes: ProcessDesk,
        _ launches: LaunchDesk, host: any ProbesHost
    ) {
        self.machine = machine
        self.launcher = launcher
        self.instances = instances
        self.processes = processes
        self.launches = launches
        self.host = host
    }

    /// Starts a probe; the event `probeAnswered` of the token follows, now or later.
    func start(_ token: Token, of id: InstanceID) {
        guard let instance = instances[id], let generation = host.resources(of: instance.generation),
            let section = instance.definition.unit.swap, let probe = section.readyProbe
        else { return answer(token, .notReady("its definition is gone")) }
        let limit = section.effectiveReadyProbeTimeout
        switch probe.method {
        case .http(let endpoint, let path):
            ask(token, NetworkProbe(endpoint: endpoint, path: path, limit: limit), generation)
        case .tcp(let endpoint): ask(token, NetworkProbe(endpoint: endpoint, limit: limit), generation)
        case .exec(let command): execute(command, token, instance, generation, limit)
        }
    }

    func cancel(_ token: Token) { probes.removeValue(forKey: token)?.cancel() }

    func cancelAll() {
        for token in probes.keys.sorted(by: { $0.number < $1.number }) { cancel(token) }
    }

    private func answer(_ token: Token, _ answer: ProbeAnswer) {
        probes[token] = nil
        host.handle(.probeAnswered(token, answer))
    }

    // MARK: - Network

    private struct NetworkProbe {
        var endpoint: ProbeEndpoint
        /// Path of an HTTP request; nil for a mere connection.
        var path: String?
        var limit: Duration

        var text: String { path.map { "http \(endpoint) \($0)" } ?? "tcp \(endpoint)" }
        var unaccepted: String { "\(text): connected, but the service has not accepted the connection" }
    }

    private func ask(_ token: Token, _ probe: NetworkProbe, _ generation: GenerationResources) {
        // A held socket accepts connections before its service does. A connection of an earlier probe that is still in
        // the queue shows that no process accepts; only with an empty queue another one is added.
        if probe.path == nil, !hasAcceptedAll(probe.endpoint, generation.id) {
            return answer(token, .notReady(probe.unaccepted))
        }
        guard let address = generation.address(of: probe.endpoint) else {
            return answer(token, .notReady("\(probe.text): \(probe.endpoint) has no address"))
        }
        let running = RunningProbe()
        probes[token] = running
        let id = generation.id
        let network = generation.network(of: probe.endpoint)
        let limit = probe.limit.wholeNanoseconds
        if let path = probe.path {
            running.question = machine.probes.http(address, in: network, path: path, timeout: limit) {
                [unowned self] result in
                switch result {
                case .passed: answer(token, .ready)
                case .failed(let reason): answer(token, .notReady("\(probe.text): \(reason)"))
                }
            }
        } else {
            running.question = machine.probes.tcp(address, in: network, timeout: limit) { [unowned self] result in
                switch result {
                case .passed: checkQueue(token, probe, id)
                case .failed(let reason): answer(token, .notReady("\(probe.text): \(reason)"))
                }
            }
        }
    }

    /// Checks after `acceptTime` that the service has taken the probe's connection out of the accept queue.
    private func checkQueue(_ token: Token, _ probe: NetworkProbe, _ id: GenerationID) {
        let timer = try? machine.loop.makeTimer { [unowned self] in
            answer(token, hasAcceptedAll(probe.endpoint, id) ? .ready : .notReady(probe.unaccepted))
        }
        guard let timer else {
            return answer(token, .notReady("\(probe.text): cannot set a timer to check the accept queue"))
        }
        timer.arm(after: Self.acceptTime)
        probes[token]?.timer = timer
    }

    /// Whether the accept queue is empty; true if the kernel does not report it, as for Unix sockets.
    private func hasAcceptedAll(_ endpoint: ProbeEndpoint, _ id: GenerationID) -> Bool {
        guard let held = host.resources(of: id)?.heldSocket(of: endpoint) else { return true }
        return held.endpoint.acceptQueue?.waiting ?? 0 == 0
    }

    // MARK: - Programs

    private func execute(
        _ command: ExecCommand, _ token: Token, _ instance: RunningInstance, _ generation: GenerationResources,
        _ limit: Duration
    ) {
        let text = "exec \(command.path)"
        do throws(LaunchError) {
            let main = processes.main(of: instance.id)?.pid
            // Planned like ExecStartPost=: with the addresses of upstreams in its environment, without the sockets.
            let launch = try launcher.plan(
                command, as: .startPost(0), for: instance, in: generation, .init(mainPid: main))
            let running = RunningProbe()
            running.process = try launches.run(
                launch, as: token, of: instance, generation, within: limit.wholeNanoseconds
            ) { [unowned self, weak running] end in
                // The end of a cancelled probe is no answer.
                guard let running, probes[token] === running else { return }
                answer(token, Self.answer(end, limit, text))
            }
            probes[token] = running
        } catch {
            answer(token, .notReady("\(text): \(error.text)"))
        }
    }

    private static func answer(_ end: ChildProcess.End, _ limit: Duration, _ text: String) -> ProbeAnswer {
        if end.isTimedOut { return .notReady("\(text): no answer within \(Wording.span(limit))") }
        return end.status.isSuccess ? .ready : .notReady("\(text): \(end.status)")
    }
}

/// A running probe: a network request, or a program.
private final class RunningProbe {
    var question: (any MachineProbe)?
    var timer: (any LoopTimer)?
    var process: RunningProcess?

    func cancel() {
        question?.cancel()
        timer?.cancel()
        process?.child.kill()
    }
}

extension GenerationResources {
    fileprivate func heldSocket(of endpoint: ProbeEndpoint) -> HeldSocket? {
        guard case .socket(let name) = endpoint else { return nil }
        return sockets[name.description]?.first
    }

    /// Network namespace for a probe: nil for sockets that all generations share, the generation's own for all other
    /// endpoints.
    fileprivate func network(of endpoint: ProbeEndpoint) -> NetworkNamespace? {
        if let held = heldSocket(of: endpoint), held.owner == nil { return nil }
        return network
    }

    fileprivate func address(of endpoint: ProbeEndpoint) -> SocketAddress? {
        switch endpoint {
        case .socket(let name): address(of: name)?.loopback
        case .address(let address): SocketAddress(address)
        case .host("localhost", let port): .inet(host: "127.0.0.1", port: port)
        // Names are not resolved: the supervisor would wait for a server's answer.
        case .host: nil
        }
    }
}
