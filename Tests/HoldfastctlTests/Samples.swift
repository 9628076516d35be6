import ControlProtocol

/// Sample data for renderings: a site in the middle of a swap, a worker, and a crash-looping worker.
enum Site {
    static let manager = "io.holdfast.Manager."

    static func app(_ release: String, pid: Int, state: ServiceState = .running) -> ServiceStatus {
        ServiceStatus(unit: "app@\(release).service", state: state, mainPid: pid, age: 67, ready: state == .running)
    }

    static func edge(_ release: String, pid: Int, state: ServiceState = .running) -> ServiceStatus {
        ServiceStatus(
            unit: "edge@\(release).service", state: state, mainPid: pid, age: 66, ready: state == .running,
            connections: 12)
    }

    static let v2 = GenerationStatus(
        number: 3, release: "v2", role: .serving, services: [app("v2", pid: 4711), edge("v2", pid: 4712)], age: 93_784,
        connections: 12)
    static let v1 = GenerationStatus(
        number: 2, release: "v1", role: .draining, services: [edge("v1", pid: 4600, state: .draining)], age: 3,
        phase: .drain, waitingFor: "edge@v1.service", deadline: 56.2, connections: 3)

    static let running = UnitStatus(
        unit: "site@.target", description: "The site", state: .running, swappable: true, release: "v2",
        servingGeneration: 3, generations: [v2])
    static let swapping = UnitStatus(
        unit: "site@.target", description: "The site", state: .swapping, swappable: true, release: "v2",
        servingGeneration: 3, generations: [v2, v1])
    static let worker = UnitStatus(
        unit: "worker.service", description: "Worker", state: .running, swappable: false,
        generations: [
            GenerationStatus(
                number: 1, role: .serving,
                services: [
                    ServiceStatus(
                        unit: "worker.service", state: .running, mainPid: 99, statusText: "idle\u{1b}]0;x", age: 7,
                        restarts: 1, ready: true, memory: 12_340_000)
                ])
        ])
    static let looping = UnitStatus(
        unit: "loop.service", description: "Loop", state: .running, swappable: false,
        generations: [
            GenerationStatus(
                number: 1, role: .serving,
                services: [
                    ServiceStatus(
                        unit: "loop.service", state: .autoRestart, restarts: 5, result: "exit status 1 (FAILURE)")
                ])
        ])
    static let stopped = UnitStatus(
        unit: "cron.service", description: "Cron", state: .stopped, swappable: false, since: "2026-11-23T05:02:57Z")
    static let never = UnitStatus(unit: "new.service", description: "New", state: .stopped, swappable: false)
    static let failed = UnitStatus(
        unit: "bad.service", description: "Bad", state: .failed, swappable: false,
        reason: "cannot start bad.service: executing /srv/bad: No such file or directory")

    static func progress(_ phase: SwapPhase, _ elapsed: Double, _ message: String, service: String? = nil) -> Progress {
        Progress(
            elapsed: elapsed, unit: "site@v3.target", generation: 4, release: "v3", phase: phase, service: service,
            message: message)
    }

    static let swap: [Progress] = [
        progress(.prepare, 0, "4 unit files, 1 socket"),
        progress(.start, 0.1, "executed, pid 4801", service: "app@v3.service"),
        progress(.start, 0.5, "ready", service: "edge@v3.service"),
        progress(.soak, 0.6, "stays ready"),
        Progress(
            elapsed: 5.6, unit: "site@v3.target", generation: 3, release: "v2", phase: .drain,
            message: "told to drain", waitingFor: "edge@v2.service", connectionsLeft: 3, secondsLeft: 60),
    ]

    static let completed = OperationResult(
        outcome: .completed, unit: "site@v3.target", generation: 4, release: "v3", fromGeneration: 3, fromRelease: "v2",
        durations: PhaseDurations(prepare: 0.1, start: 0.5, soak: 5, drain: 3.1, total: 8.7))

    /// The old generation, and one that an earlier swap replaced, drain.
    static let cutOver: OperationResult = {
        var result = completed
        result.durations = PhaseDurations(prepare: 0.1, start: 0.5, soak: 5, total: 5.6)
        result.draining = [
            GenerationReference(generation: 2, release: "v1"), GenerationReference(generation: 3, release: "v2"),
        ]
        return result
    }()

    static func drained(_ end: DrainEnd) -> OperationResult {
        OperationResult(
            outcome: .completed, unit: "site@v2.target", generation: 3, release: "v2",
            durations: PhaseDurations(drain: end.seconds, total: end.seconds), drained: [end])
    }
    static let drainEnd = DrainEnd(generation: 3, release: "v2", seconds: 12.5)
    static let forcedEnd = DrainEnd(
        generation: 3, release: "v2", seconds: 60, forced: .timeout, connectionsCut: 3, lost: "app@v3.service exited")

    static let rolledBack = OperationResult(
        outcome: .rolledBack, unit: "site@v3.target", generation: 4, release: "v3", fromGeneration: 3,
        fromRelease: "v2",
        reason: FailureReport(
            unit: "app@v3.service", phase: .verify,
            message: "app@v3.service: probe http app@v3.socket /healthz: 503 Service Unavailable",
            exitStatus: "exit status 1 (FAILURE)", probeAnswer: "503 Service Unavailable",
            lastLines: ["loading", "no database\u{1b}[2J"]),
        durations: PhaseDurations(start: 30, total: 30))

    static func result(_ outcome: OperationOutcome) -> OperationResult {
        OperationResult(outcome: outcome, unit: "worker.service", generation: 1)
    }

    /// A stream of progress with `result` at its end.
    static func stream(_ result: OperationResult) -> FakeDaemon.Script {
        .replies(
            swap.map { Reply(OperationReply(progress: $0), continues: true) } + [Reply(OperationReply(result: result))])
    }
}
