import ControlProtocol
import Glibc

/// The supervisor may be killed while somebody watches: what was begun goes on, and so does who looks at it. (When it
/// executes itself anew by `daemon-reexec` connections stay open, and nothing of this happens.)
struct Absences {
    /// As long as a supervisor that was killed may need until the next one answers, in seconds.
    private static let patience = 30.0
    /// One that was shut down takes its socket with it; between two there is none only for a moment.
    private static let patienceWithoutSocket = 2.0
    /// Between two looks, in seconds.
    private static let pause = 0.1
    /// Who goes more often than this within `span` seconds (one that takes no more connections, one that crashes again and
    /// again) is not waited for.
    private static let mostInSpan = 5
    private static let span = 20.0

    private var times: [Double] = []

    /// The connection to the next supervisor.
    /// - Parameters:
    ///   - failure: thrown again if it is none that another supervisor could mend.
    ///   - end: on the clock of ``Clock``; then nil is returned.
    ///   - keys: q ends it, too.
    mutating func end(
        _ failure: CommandFailure, _ session: Session, until end: Double? = nil, keys: Bool = false
    ) throws(CommandFailure) -> Connection? {
        guard case .connection(let error) = failure, error.isAbsence else { throw failure }
        let began = Clock.now()
        times = times.filter { began - $0 < Self.span } + [began]
        guard times.count <= Self.mostInSpan else { throw failure }
        while true {
            // First of all: who was refused is not refused less by asking at once.
            if LiveScreen.pause(Self.pause, keys: keys) == .ended { throw .interrupted }
            do throws(ConnectionError) {
                return try Connection(path: session.path)
            } catch {
                guard error.isAbsence(for: Clock.now() - began, Self.patience, Self.patienceWithoutSocket) else {
                    throw .connection(error)
                }
            }
            if let end, Clock.now() >= end { return nil }
        }
    }
}

extension ConnectionError {
    /// Another supervisor may follow.
    var isAbsence: Bool {
        switch self {
        case .closed, .unreachable: true
        case .garbled, .pathTooLong: false
        }
    }

    /// Whether, after so many seconds, one may go on waiting.
    fileprivate func isAbsence(for seconds: Double, _ patience: Double, _ withoutSocket: Double) -> Bool {
        guard case .unreachable(_, _, let number) = self else { return false }
        return number == ECONNREFUSED && seconds < patience || number == ENOENT && seconds < withoutSocket
    }
}
