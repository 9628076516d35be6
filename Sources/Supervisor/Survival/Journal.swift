import ControlProtocol
import Engine
import Linux
import StateCoding

/// What a successor must know if this process is killed this very moment: one record for each thing that changed, written before
/// anything is done that follows from the change. In the runtime directory, so in memory, and gone with the host.
final class Journal {
    enum Key {
        case head, core, signals, signalsSent, activation
        case group(GroupID)
        case instance(InstanceID)
        case running(InstanceID)
        case generation(GenerationID)
        case process(Token)
        case socket(Int)
        case shared(String)
        case definition(UInt64)
        case unit(Int)
        case request(RequestIdentity)
        case pending(RequestID)
        case batch(UInt64)
        case part(RequestID)
        /// Since when every request is known.
        case records
        /// Processes that are not accounted for.
        case left
        case history

        var text: String {
            switch self {
            case .head: "a"
            case .core: "c"
            case .signals: "t"
            case .signalsSent: "ts"
            case .activation: "x"
            case .group(let id): "g\(id.name)"
            case .instance(let id): "i\(id.number)"
            case .running(let id): "r\(id.number)"
            case .generation(let id): "n\(id.number)#\(id.group.name)"
            case .process(let token): "p\(token.number)"
            case .socket(let number): "s\(number)"
            case .shared(let name): "h\(name)"
            case .definition(let number): "d\(number)"
            case .unit(let number): "u\(number)"
            case .request(let identity): "q\(identity)"
            case .pending(let id): "w\(id.number)"
            case .batch(let number): "b\(number)"
            case .part(let id): "e\(id.number)"
            case .records: "l"
            case .left: "z"
            case .history: "y"
            }
        }
    }

    private let file: RecordFile
    private var lastCore: [UInt8] = []
    /// Bytes in the file when it was last written anew.
    private var liveSize = 0
    private var isOver = false
    /// The file lacks something that could not be written. Nothing is collected for it then, however long that lasts: it is
    /// written anew, whole, when there is room.
    private(set) var isBehind = false
    /// It has fallen behind: `problem` says why.
    var fellBehind: (() -> Void)?

    init(path: String) { file = RecordFile(path: path) }

    func put(_ key: Key, _ value: some Encodable) {
        // Only a bug in `Encodable` fails here; a record that is not there is better than no supervisor.
        guard !isBehind, let bytes = try? StateEncoder.encode(value) else { return }
        file.put(key.text, bytes)
    }

    func end(_ key: Key) {
        if !isBehind { file.put(key.text, nil) }
    }

    /// The rest of the engine, which most events leave as it was.
    func putCore(_ core: Engine.CoreRecord) {
        guard !isBehind, let bytes = try? StateEncoder.encode(core), bytes != lastCore else { return }
        lastCore = bytes
        file.put(Key.core.text, bytes)
    }

    func flush() {
        guard !isOver, !isBehind else { return }
        do throws(SystemError) {
            try file.flush()
        } catch {
            file.discard()
            fallBehind(error)
        }
    }

    private func fallBehind(_ error: SystemError) {
        isBehind = true
        // Before anything is done that is not written.
        file.markStale()
        problem = "\(error)"
        fellBehind?()
    }

    // MARK: - Room

    /// Bytes that an operation may need, from its beginning to its end.
    static let operationRoom = 48 << 10
    /// What is kept beyond what is written.
    private static let headroom = 128 << 10

    /// Why a crash could not be survived, or would lose what is begun from now on; nil: there is room for it.
    private(set) var problem: String?

    /// Has the file system keep room for what comes next. To be called when nothing is half done.
    func keepRoom() {
        guard !isOver, !isBehind else { return }
        // A look now and then: each event would cost a system call else.
        // What has been added since the file was written anew replaces other things as often as not.
        let replacement = (file.size + liveSize) / 2
        if problem == nil, file.room >= Self.headroom / 2, file.roomForReplacement >= replacement { return }
        do throws(SystemError) {
            try file.keepRoom(more: Self.headroom, replacement: replacement + Self.headroom)
            problem = nil
        } catch {
            // What is there may do for a while.
            problem = file.room < Self.operationRoom ? "\(error)" : nil
        }
    }

    /// The room that is left is better used by a file without the past.
    var isCramped: Bool {
        !isBehind && file.room < Self.headroom / 2 && file.size > liveSize + Self.headroom / 2
            && file.roomForReplacement >= liveSize
    }

    /// Goes on with the file of the program that this process executed before.
    func continues() { liveSize = file.existingSize }

    /// It holds more of the past than of the present.
    var isOvergrown: Bool { !isBehind && file.size > 2 * liveSize + (4 << 20) }

    /// Replaces the file by one with what `body` puts.
    func rewrite(_ body: () -> Void) {
        let wasBehind = isBehind
        isBehind = false
        // What waits is in memory still, and so among what is put now.
        let lacksNothing = !wasBehind && !file.hasCollected
        file.discard()
        lastCore = []
        body()
        do throws(SystemError) {
            try file.replace()
            liveSize = file.size
            if wasBehind { problem = nil }
        } catch {
            file.discard()
            // There is no room for two, and the present one is whole: it is gone on with, and this tried when it has doubled.
            if lacksNothing, file.size > 0 {
                liveSize = file.size
                return
            }
            if wasBehind { isBehind = true } else { fallBehind(error) }
        }
    }

    /// Everything is stopped: there is nothing that a successor could take over.
    func remove() {
        isOver = true
        file.remove()
    }
}
