import Glibc
import Linux
import UnitFiles
import UnitStore

/// Conditions that may take long, looked at by another process: this program, which is told them on its command line
/// (`--check-condition`) and prints a line for each.
///
/// A glob pattern may lead through a whole file system, and a path to a server that does not answer; the supervisor's one thread
/// waits for neither. Nor does whoever starts the service: after `patience` the start fails with the condition's name.
final class ConditionCheck {
    static let patience: Int64 = 10_000_000_000

    private let conditions: [Condition]
    private var answers: [Bool] = []
    private var errand: Errand?
    private var timer: TimerSource?
    /// Told once: the answers, or why there are none.
    private var answered: ((Result<[Condition: Bool], Failure>) -> Void)?
    /// Told when nothing is left of it.
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
        timer = loop.addRetry(after: Self.patience) { [unowned self] in
            answer(.failure(Failure(text: "not answered within \(Self.patience / 1_000_000_000)s")))
            // One that waits for a server takes the signal when that answers; its end is told then.
            self.errand?.end()
        }
    }

    /// Nobody wants to know any more.
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
