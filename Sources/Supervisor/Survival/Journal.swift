import ControlProtocol
import Engine
import Linux
import StateCoding

/// State that a successor needs if this process is killed at any moment: one record for each thing that changed,
/// written before anything that follows from the change is done. It lies in the runtime directory, so in memory, and is
/// gone after a reboot.
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
        /// Time since which every request is recorded.
        case records
        /// Cause of the processes that no record accounts for.
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

    private let file: any MachineRecordFile
    private var lastCore: [UInt8] = []
    /// Bytes in the file when it was last rewritten.
    private var liveSize = 0
    private var isOver = false
    /// Whether the file lacks records that could not be written. No records are collected for it then, however long
    /// that lasts: it is rewritten whole once there is room.
    private(set) var isBehind = false
    /// Called when the journal falls behind; `problem` holds the reason.
    var fellBehind: (() -> Void)?

    init(path: String, records: any RecordsPort) { file = records.writer(of: path) }

    func put(_ key: Key, _ value: some Encodable) {
        // Only a bug in `Encodable` fails here; a missing record is better than no supervisor.
        guard !isBehind, let bytes = try? StateEncoder.encode(value) else { return }
        file.put(key.text, bytes)
    }

    func end(_ key: Key) {
        if !isBehind { file.put(key.text, nil) }
    }

    /// Writes the engine's remaining state, which most events leave unchanged.
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
        // Marked stale before any action that is not recorded.
        file.markStale()
        problem = "\(error)"
        fellBehind?()
    }

    // MARK: - Room

    /// Bytes that one operation may need, from its beginning to its end.
    static let operationRoom = 48 << 10
    /// Bytes of room kept beyond the present size.
    private static let headroom = 128 << 10

    /// Reason why the state would not survive a crash, or why operations begun from now on would not; nil if there is
    /// room.
    private(set) var problem: String?

    /// Has the file system reserve room for the next records. To be called only when no change is half done.
    func keepRoom() {
        guard !isOver, !isBehind else { return }
        // Checked from known sizes; a check for each event would cost a system call.
        // Half of the records added since the rewrite are taken to replace earlier ones.
        let replacement = (file.size + liveSize) / 2
        if problem == nil, file.room >= Self.headroom / 2, file.roomForReplacement >= replacement { return }
        do throws(SystemError) {
            try file.keepRoom(more: Self.headroom, replacement: replacement + Self.headroom)
            problem = nil
        } catch {
            // The room that remains may suffice for a while.
            problem = file.room < Self.operationRoom ? "\(error)" : nil
        }
    }

    /// Whether the room that is left is short and a rewrite without outdated records would save some.
    var isCramped: Bool {
        !isBehind && file.room < Self.headroom / 2 && file.size > liveSize + Self.headroom / 2
            && file.roomForReplacement >= liveSize
    }

    /// Continues the file of the program that this process executed before.
    func continues() { liveSize = file.existingSize }

    /// Whether most of the file is outdated records.
    var isOvergrown: Bool { !isBehind && file.size > 2 * liveSize + (4 << 20) }

    /// Replaces the file by one with the records that `body` puts.
    func rewrite(_ body: () -> Void) {
        let wasBehind = isBehind
        isBehind = false
        // Collected records describe state in memory, which `body` puts again.
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
            // There is no room for two files, but the present one is complete: it is continued, and the next rewrite is
            // tried when it has doubled.
            if lacksNothing, file.size > 0 {
                liveSize = file.size
                return
            }
            if wasBehind { isBehind = true } else { fallBehind(error) }
        }
    }

    /// Removes the journal once everything is stopped and a successor has nothing to take over.
    func remove() {
        isOver = true
        file.remove()
    }
}
