import Linux
import UnitFiles
import UnitStore

/// Check of conditions that may take long, by another process: the supervisor's program, which gets the conditions on
/// its command line (`--check-condition`) and prints a line for each.
///
/// A glob pattern may walk a whole file system, and a path may lead to a server that does not answer; the supervisor's
/// only thread must wait for neither. Nor does the client that starts the service: after `timeout` nanoseconds the
/// start fails with the condition's name.
final class ConditionCheck {
    static let timeout: Int64 = 10_000_000_000

    private let conditions: [Condition]
    private let helper: HelperProgram
    private var answers: [Bool] = []
    private var timer: (any LoopTimer)?
    /// Called once with the answers, or with the reason why there are none.
    private var answered: ((Result<[Condition: Bool], Failure>) -> Void)?
    /// Called when the process has ended.
    private let ended: () -> Void

    struct Failure: Error { let text: String }

    init(
        _ conditions: [Condition], on machine: any Machine,
        answered: @escaping (Result<[Condition: Bool], Failure>) -> Void, ended: @escaping () -> Void
    ) {
        self.conditions = conditions
        helper = HelperProgram(on: machine)
        self.answered = answered
        self.ended = ended
    }

    func start(_ plan: SpawnPlan, _ loop: any Loop) throws(SystemError) {
        var plan = plan
        plan.arguments += conditions.map { "--check-condition=" + ConditionEvaluator.argument($0) }
        let lines = HelperProgram.LineReader(longestLine: 4096) { [unowned self] lines in
            answers += lines.map { $0.elementsEqual("1".utf8) }
        }
        try helper.start(plan, lines: lines) { [unowned self] outcome in finish(outcome.problem) }
        // The answer does not wait for the end of the process: a process that waits for a server handles the signal
        // when the server answers; `ended` is called then.
        timer = loop.retry(after: Self.timeout) { [unowned self] in
            answer(.failure(Failure(text: "timed out after \(Self.timeout / 1_000_000_000) s")))
            helper.kill()
        }
    }

    /// Ends the check without an answer.
    func cancel() {
        answered = nil
        helper.kill()
    }

    private func finish(_ problem: String?) {
        if let problem {
            answer(.failure(Failure(text: problem)))
        } else if answers.count != conditions.count {
            answer(.failure(Failure(text: "no answer")))
        } else {
            answer(.success(Dictionary(zip(conditions, answers)) { first, _ in first }))
        }
        timer = nil
        withExtendedLifetime(self) { ended() }
    }

    private func answer(_ result: Result<[Condition: Bool], Failure>) {
        let handler = answered
        answered = nil
        handler?(result)
    }
}
