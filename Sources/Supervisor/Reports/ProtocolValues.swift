import ControlProtocol
import Engine
import UnitFiles

// Values of the protocol, made from those of the engine.

extension GroupID {
    /// The unit with its release: `site@v3.target` for `site@.target`. The group's name if there is no release.
    func unit(release: String?) -> String {
        guard let release, let name = try? UnitName(self.name), name.isTemplate,
            let instance = try? name.instantiated(release)
        else { return self.name }
        return instance.description
    }
}

extension GenerationReference {
    init(_ summary: GenerationSummary) { self.init(generation: summary.number, release: summary.release) }
}

extension OperationResult {
    init(_ group: GroupID, _ result: FinishedOperation, _ report: FailureReport?, _ notes: [String]) {
        let shown = result.to ?? result.serving
        // After a roll-back or an abort the same generation serves as before.
        let before =
            switch result.outcome {
            case .rolledBack, .aborted: result.serving
            case .completed, .failed, .lost: result.from
            }
        self.init(
            outcome: OperationOutcome(result), unit: group.unit(release: shown?.release), generation: shown?.number,
            release: shown?.release,
            fromGeneration: before?.number, fromRelease: before?.release, reason: report, notes: notes,
            durations: PhaseDurations(result.durations),
            draining: result.draining.isEmpty ? nil : result.draining.map(GenerationReference.init))
    }
}

extension DrainEnd {
    init(_ result: DrainResult, sentence: (Failure) -> String) {
        let unclean = result.uncleanEnds.map(sentence)
        self.init(
            generation: result.generation.number, release: result.generation.release,
            seconds: result.duration.seconds, forced: result.force.map(DrainForceReason.init),
            connectionsCut: result.connectionsCut, unclean: unclean.isEmpty ? nil : unclean.joined(separator: "; "),
            lost: result.loss.map(sentence))
    }
}

extension DrainForceReason {
    init(_ force: DrainForce) {
        self =
            switch force {
            case .timeout: .timeout
            case .limit: .limit
            case .request: .request
            case .queue: .queue
            }
    }
}

extension OperationOutcome {
    init(_ result: FinishedOperation) {
        self =
            switch (result.outcome, result.kind) {
            case (.completed, _) where result.skippedBy != nil: .skipped
            case (.completed, .start): result.isOver ? .done : .started
            case (.completed, .swap), (.completed, .rollback), (.completed, .restart):
                result.isOver ? .done : .completed
            case (.completed, .stop): .stopped
            case (.completed, .reload): .completed
            case (.rolledBack, _): .rolledBack
            case (.aborted, _): .aborted
            case (.failed, _): .failed
            case (.lost, _): .lost
            }
    }
}

extension PhaseDurations {
    init(_ list: [PhaseDuration]) {
        func sum(_ phases: Set<PhaseName>) -> Double? {
            let found = list.filter { phases.contains($0.phase) }
            return found.isEmpty ? nil : found.map(\.duration.seconds).reduce(0, +)
        }
        self.init(
            prepare: sum([.waiting, .prepare]), start: sum([.start, .restore]), soak: sum([.soak]),
            drain: sum([.drain, .stopOld, .stop, .rollBack]), total: list.map(\.duration.seconds).reduce(0, +))
    }
}

extension Duration {
    var seconds: Double { Double(wholeNanoseconds) / 1e9 }
}

extension HistoryKind {
    init?(_ kind: OperationKind) {
        switch kind {
        case .start: self = .start
        case .swap: self = .swap
        case .rollback: self = .rollback
        case .restart: self = .restart
        case .stop: self = .stop
        case .reload: return nil
        }
    }
}

extension SwapPhase {
    /// The phase of a group's operation; nil without one.
    init?(of view: GroupView) {
        guard let operation = view.operation else { return nil }
        self.init(operation.phase, isExecuted: view.isExecuted)
    }

    /// The phase that an operation has just entered.
    init(entered phase: PhaseName) {
        self.init(phase, isExecuted: false)
    }

    /// - Parameter isExecuted: whether all services of the new generation are executed.
    private init(_ phase: PhaseName, isExecuted: Bool) {
        switch phase {
        case .waiting, .prepare: self = .prepare
        case .start, .restore: self = isExecuted ? .verify : .start
        case .soak: self = .soak
        case .hold: self = .hold
        case .stopOld, .cutOver: self = .cutOver
        case .drain, .stop: self = .drain
        case .rollBack: self = .rollBack
        case .reload: self = .reload
        }
    }

    /// The phase in which an operation failed. A service that fails while it runs has lost its generation during the
    /// drain of the one before it, or outside of any operation.
    init(_ step: Failure.Step, in result: FinishedOperation?) {
        self =
            switch step {
            case .dependency, .prepare: .prepare
            case .condition, .startPre, .start, .startPost: .start
            case .readiness: .verify
            case .soak: .soak
            case .run: result?.outcome == .lost ? .drain : .run
            case .reload: .reload
            case .stop, .leave, .stopPost: .drain
            }
    }
}

extension GroupView {
    /// Whether no service of the new generation waits to be executed.
    fileprivate var isExecuted: Bool {
        let new = generations.first { $0.number == operation?.new }?.services ?? []
        return !new.isEmpty && !new.contains { [.waiting, .condition, .startPre].contains($0.phase) }
    }
}
