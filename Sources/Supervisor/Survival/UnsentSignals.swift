import Engine

/// A signal that was decided and maybe not sent.
enum SavedSignal: Codable, Equatable {
    case process(Token, Int32)
    case tree(InstanceID, Int32)

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

/// Signals that were decided, in their order, and how many of them have been sent. Between a signal and its note there is
/// nothing but the note's write(2); only a process that is killed right there leaves a signal that is sent twice.
struct UnsentSignals {
    private var all: [SavedSignal]
    private var sent = 0

    init(_ all: [SavedSignal] = []) { self.all = all }

    /// What is left of a killed process's.
    static func left(_ all: [SavedSignal]?, sent: Int?) -> [SavedSignal]? { all.map { Array($0.dropFirst(sent ?? 0)) } }

    /// The one that is to be sent next.
    var next: SavedSignal? { sent < all.count ? all[sent] : nil }

    func write(to journal: Journal) {
        guard next != nil else { return }
        journal.put(.signals, all)
        if sent > 0 { journal.put(.signalsSent, sent) } else { journal.end(.signalsSent) }
    }

    /// The next one has been sent.
    mutating func noteSent(in journal: Journal) {
        guard next != nil else { return }
        sent += 1
        // The count alone: with a thousand services to be stopped the list is long.
        if next != nil { return journal.put(.signalsSent, sent) }
        self = UnsentSignals()
        journal.end(.signals)
        journal.end(.signalsSent)
    }
}
