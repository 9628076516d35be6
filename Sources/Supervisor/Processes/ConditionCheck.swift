import Glibc
import Linux
import UnitFiles
import UnitStore

/// Check of conditions that may take long, by another process: this program, which gets the conditions on its command
/// line (`--check-condition`) and prints a line for each.
///
/// A glob pattern may walk a whole file system, and a path may lead to a server that does not answer; the supervisor's
/// only thread must wait for neither. Nor does the client that starts the service: after `patience` nanoseconds the
/// start fails with the condition's name.
final class ConditionCheck {
    static let patience: Int64 = 10_000_000_000

    private let conditions: [Condition]
    private var answers: [Bool] = []
    private var errand: Errand?
    private var timer: (any LoopTimer)?
    /// Called once with the answers, or with the reason why there are none.
    private var answered: ((Result<[Condition: Bool], Failure>) -> Void)?
    /// Called when the process has ended.
    private let ended: () -> Void

    struct Failure: Error { let text: String }

    init(
        _ conditions: [Condition], answered: @escaping (Result<[Condition: Bool], Failure>) -> Void,
        ended: @escaping () -> Void
    ) {
        self.conditions = conditions
        self.answered = answered
        self.ended = ended
    }

    func begin(_ plan: SpawnPlan, _ children: Children, _ loop: EventLoop) throws {
        let errand = Errand(
            longestLine: 4096, took: { [unowned self] lines in answers += lines.map { $0.elementsEqual("1".utf8) } },
            done: { [unowned self] problem in finish(problem) })
        var plan = plan
        plan.arguments += conditions.map { "--check-condition=" + ConditionEvaluator.argument($0) }
        try errand.begin(plan, children, loop)
        self.errand = errand
        timer = loop.retry(after: Self.patience) { [unowned self] in
            answer(.failure(Failure(text: "not answered within \(Self.patience / 1_000_000_000)s")))
            // A process that waits for a server handles the signal when the server answers; `ended` is called then.
            self.errand?.end()
        }
    }

    /// Ends the check without an answer.
    func cancel() {
        answered = nil
        errand?.end()
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
