import Engine
import Glibc
import Linux
import UnitFiles
import Vocabulary

/// A running probe: a network request, or a program.
final class RunningProbe {
    private var question: Probe?
    private var process: RunningProcess?
    private var deadline: (any LoopTimer)?
    private let answered: (ProbeAnswer) -> Void
    private var timedOut: String?

    init(_ answered: @escaping (ProbeAnswer) -> Void) { self.answered = answered }

    func asks(_ question: Probe) { self.question = question }

    /// Adopts a program that is killed when the time is up; its exit is the answer.
    func runs(_ process: RunningProcess, _ timer: any LoopTimer) {
        self.process = process
        deadline = timer
    }

    func waits(_ timer: any LoopTimer) { deadline = timer }

    func expire(after limit: Duration) {
        timedOut = "no answer within \(Wording.span(limit))"
        try? process?.send(.kill)
    }

    func exited(_ status: ExitStatus) {
        deadline?.cancel()
        if let timedOut { return answered(.notReady(timedOut)) }
        answered(status.isSuccess ? .ready : .notReady("\(status)"))
    }

    func cancel() {
        question?.cancel()
        deadline?.cancel()
        try? process?.send(.kill)
    }
}

/// `ReadyProbe=`: uses the generation's own socket, so that the answer is this generation's own.
extension Supervisor {
    func startProbe(_ token: Token, _ id: InstanceID) {
        guard let instance = instances[id], let generation = generations[instance.generation],
            let section = instance.definition.unit.swap, let probe = section.readyProbe
        else { return handle(.probeAnswered(token, .notReady("its definition is gone"))) }
        let limit = section.effectiveReadyProbeTimeout
        switch probe.method {
        case .http(let endpoint, let path):
            ask(token, endpoint, generation, "http \(endpoint) \(path)") { [eventLoop] address, network, handler in
                Probe.http(address, in: network, path: path, timeout: limit.wholeNanoseconds, loop: eventLoop, handler)
            }
        case .tcp(let endpoint):
            let id = generation.id
            // A held socket accepts connections before its service does. A connection of an earlier probe that is still
            // in the queue shows that no process accepts; only with an empty queue another one is added.
            guard hasAcceptedAll(endpoint, id) else {
                return handle(.probeAnswered(token, .notReady("tcp \(endpoint): \(Self.unaccepted)")))
            }
            ask(token, endpoint, generation, "tcp \(endpoint)", mustBeAccepted: true) {
                [eventLoop] address, network, handler in
                Probe.tcp(address, in: network, timeout: limit.wholeNanoseconds, loop: eventLoop, handler)
            }
        case .exec(let command): execute(command, token, instance, generation, limit)
        }
    }

    private static let unaccepted = "connected, but nobody has accepted the connection"

    /// Nanoseconds that a service has to accept a connection before the probe fails.
    private static let acceptTime: Int64 = 50_000_000

    private func ask(
        _ token: Token, _ endpoint: ProbeEndpoint, _ generation: GenerationResources, _ text: String,
        mustBeAccepted: Bool = false,
        _ begin: (SocketAddress, NetworkNamespace?, @escaping (ProbeResult) -> Void) -> Probe
    ) {
        guard let address = address(of: endpoint, generation) else {
            return handle(.probeAnswered(token, .notReady("\(text): \(endpoint) has no address")))
        }
        let running = RunningProbe { [unowned self] answer in self.answered(token, answer) }
        probes[token] = running
        let id = generation.id
        running.asks(
            begin(address, network(of: endpoint, generation)) { [unowned self] result in
                switch result {
                case .passed where mustBeAccepted: lookAtQueue(token, endpoint, id, text)
                case .passed: answered(token, .ready)
                case .failed(let reason): answered(token, .notReady("\(text): \(reason)"))
                }
            })
    }

    private func answered(_ token: Token, _ answer: ProbeAnswer) {
        probes[token] = nil
        handle(.probeAnswered(token, answer))
    }

    /// Checks after `acceptTime` that the service has taken the probe's connection out of the accept queue.
    private func lookAtQueue(_ token: Token, _ endpoint: ProbeEndpoint, _ id: GenerationID, _ text: String) {
        let timer = try? loop.makeTimer { [unowned self] in
            answered(token, hasAcceptedAll(endpoint, id) ? .ready : .notReady("\(text): \(Self.unaccepted)"))
        }
        guard let timer else { return answered(token, .notReady("\(text): no timer for the look at its queue")) }
        timer.arm(after: Self.acceptTime)
        probes[token]?.waits(timer)
    }

    /// Whether the accept queue is empty; true if the kernel does not report it, as for Unix sockets.
    private func hasAcceptedAll(_ endpoint: ProbeEndpoint, _ id: GenerationID) -> Bool {
        guard let generation = generations[id], let held = heldSocket(endpoint, generation) else { return true }
        return held.endpoint.acceptQueue?.waiting ?? 0 == 0
    }

    private func heldSocket(_ endpoint: ProbeEndpoint, _ generation: GenerationResources) -> HeldSocket? {
        guard case .socket(let name) = endpoint else { return nil }
        return generation.sockets[name.description]?.first
    }

    /// Network namespace for a probe: nil for sockets that all generations share, the generation's own for all other
    /// endpoints.
    private func network(of endpoint: ProbeEndpoint, _ generation: GenerationResources) -> NetworkNamespace? {
        if let held = heldSocket(endpoint, generation), held.owner == nil { return nil }
        return generation.network
    }

    private func address(of endpoint: ProbeEndpoint, _ generation: GenerationResources) -> SocketAddress? {
        switch endpoint {
        case .socket(let name): generation.address(of: name)?.loopback
        case .unix(let path): .unix(path: path)
        case .tcp("localhost", let port): .inet(host: "127.0.0.1", port: port)
        case .tcp(let host, let port): SocketAddress(host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)")
        }
    }

    private func execute(
        _ command: ExecCommand, _ token: Token, _ instance: RunningInstance, _ generation: GenerationResources,
        _ limit: Duration
    ) {
        let text = "exec \(command.path)"
        let running = RunningProbe { [unowned self] answer in
            if case .notReady(let reason) = answer {
                handle(.probeAnswered(token, .notReady("\(text): \(reason)")))
            } else {
                handle(.probeAnswered(token, answer))
            }
        }
        // Before the program is started: without a time limit it could run forever.
        guard let timer = try? loop.makeTimer({ [unowned running] in running.expire(after: limit) }) else {
            return handle(.probeAnswered(token, .notReady("\(text): no timer for its time-out")))
        }
        do throws(Launcher.LaunchError) {
            let main = mainProcess(of: instance.id)?.pid
            // Planned like ExecStartPost=: with the addresses of upstreams in its environment, without the sockets.
            let launch = try launcher.plan(
                command, as: .startPost(0), for: instance, in: generation, .init(mainPid: main))
            // A successor starts the probe again.
            try run(launch, token, instance, generation, isKept: false)
        } catch {
            return handle(.probeAnswered(token, .notReady("\(text): \(error.text)")))
        }
        guard let process = processes[token] else { return }
        timer.arm(after: limit.wholeNanoseconds)
        running.runs(process, timer)
        probes[token] = running
    }
}
