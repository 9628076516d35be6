import Engine
import Vocabulary

/// A signal that was decided and possibly not sent.
enum SavedSignal: Codable, Equatable {
    case process(Token, Signal)
    case tree(InstanceID, Signal)

    init?(_ effect: Effect) {
        switch effect {
        case .signal(let token, let signal): self = .process(token, signal)
        case .signalTree(let instance, let signal): self = .tree(instance, signal)
        default: return nil
        }
    }

    var effect: Effect {
        switch self {
        case .process(let token, let signal): .signal(token, signal)
        case .tree(let instance, let signal): .signalTree(instance, signal)
        }
    }
}

/// Signals that were decided, in their order, and the count of those sent. Only the note's write(2) happens between a
/// signal and its note; a process killed right there leaves a signal that is sent twice.
struct UnsentSignals {
    private var all: [SavedSignal]
    private var sent = 0

    init(_ all: [SavedSignal] = []) { self.all = all }

    /// Remaining signals of a killed process.
    static func left(_ all: [SavedSignal]?, sent: Int?) -> [SavedSignal]? { all.map { Array($0.dropFirst(sent ?? 0)) } }

    /// The next signal to send.
    var next: SavedSignal? { sent < all.count ? all[sent] : nil }

    func write(to journal: Journal) {
        guard next != nil else { return }
        journal.put(.signals, all)
        if sent > 0 { journal.put(.signalsSent, sent) } else { journal.end(.signalsSent) }
    }

    /// Records that the next signal has been sent.
    mutating func noteSent(in journal: Journal) {
        guard next != nil else { return }
        sent += 1
        // Only the count is written: with a thousand services to stop the list is long.
        if next != nil { return journal.put(.signalsSent, sent) }
        self = UnsentSignals()
        journal.end(.signals)
        journal.end(.signalsSent)
    }
}
