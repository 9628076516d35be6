import ControlProtocol
import Glibc

/// The wait for the next supervisor after one was killed: its operations continue, and so does the command that watches
/// them. (When the supervisor executes itself anew by `daemon-reexec`, connections stay open and none of this happens.)
struct ReconnectPolicy {
    /// The time that may pass between a killed supervisor and the next one that answers, in seconds.
    private static let timeout = 30.0
    /// The same without a socket: a supervisor that shuts down removes it; a new one creates it in a moment.
    private static let timeoutWithoutSocket = 2.0
    /// The interval between two attempts, in seconds.
    private static let retryInterval = 0.1
    /// The most disconnects within `disconnectPeriod` seconds. A supervisor that disconnects more often (because it
    /// accepts no more connections, or crashes again and again) is not waited for.
    private static let maximumDisconnects = 5
    private static let disconnectPeriod = 20.0

    private var times: [Double] = []

    /// The connection to the next supervisor.
    /// - Parameters:
    ///   - failure: thrown again if another supervisor could not resolve it.
    ///   - end: the time, on the clock of ``Clock``, after which nil is returned.
    ///   - keys: whether q ends the wait, too.
    mutating func waitForSupervisor(
        after failure: CommandFailure, _ session: Session, until end: Double? = nil, keys: Bool = false
    ) throws(CommandFailure) -> Connection? {
        guard case .connection(let error) = failure, error.mayBeFollowedByAnother else { throw failure }
        let began = Clock.now()
        times = times.filter { began - $0 < Self.disconnectPeriod } + [began]
        guard times.count <= Self.maximumDisconnects else { throw failure }
        while true {
            // The pause is first: a refusal for too many connections does not end by an attempt at once.
            if LiveScreen.wait(Self.retryInterval, keys: keys) == .userEnded { throw .interrupted }
            do throws(ConnectionError) {
                return try Connection(path: session.path)
            } catch {
                guard error.isWorthWaiting(after: Clock.now() - began, Self.timeout, Self.timeoutWithoutSocket) else {
                    throw .connection(error)
                }
            }
            if let end, Clock.now() >= end { return nil }
        }
    }
}

extension ConnectionError {
    /// Whether another supervisor may follow.
    var mayBeFollowedByAnother: Bool {
        switch self {
        case .closed, .unreachable: true
        case .garbled, .pathTooLong: false
        }
    }

    /// Whether to keep waiting after `seconds`.
    fileprivate func isWorthWaiting(after seconds: Double, _ timeout: Double, _ withoutSocket: Double) -> Bool {
        guard case .unreachable(_, _, let number) = self else { return false }
        return number == ECONNREFUSED && seconds < timeout || number == ENOENT && seconds < withoutSocket
    }
}
