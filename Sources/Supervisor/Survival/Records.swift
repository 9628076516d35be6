import ControlProtocol
import Engine
import Linux

/// Everything that a successor must know to go on where this process stops. Written as bytes by `StateCoding`; what is added
/// later is Optional, so that a newer version reads what an older one wrote.
///
/// A descriptor is a number here: it is open in the successor under the same number (re-exec), or found again (crash).
struct SavedState: Codable {
    /// Raised when an older version could not make sense of what is written. Older formats are always read.
    static let format = 1

    var head: SavedHead
    var engine: Engine
    /// Events that nobody has told the engine yet.
    var backlog: [Event]
    var lastDefinition: UInt64
    /// By number, as in everything that refers to one.
    var units: [Int: SavedUnit]
    var definitions: [SavedDefinition]
    var sockets: [Int: SavedSocket]
    /// Units with scope `shared`, and the numbers of their sockets.
    var shared: [String: [Int]]
    var generations: [SavedGeneration]
    var instances: [SavedInstance]
    var processes: [SavedProcess]
    var own: SavedOwn
    var people: SavedPeople
    var activation: SavedActivation?
    var stores: [SavedStore]?
    /// Of a process that was killed: maybe sent, maybe not.
    var signals: [SavedSignal]?
    /// The journal lacks something that there was no room for; nil stands for false.
    var isJournalBehind: Bool?
    /// Processes of which no service can be made out.
    var strays: [StrayProcess.Saved]?
    /// The journal that this is from lacks what happened last: only of a process that was killed.
    var isStale: Bool?
    /// Processes that are not accounted for.
    var left: SavedLeft?
    /// Ends of operations that are not in the history yet.
    var unwrittenHistory: [HistoryEntry]?

    /// Every descriptor that must stay open.
    var descriptors: [Int32] {
        sockets.values.compactMap(\.descriptor) + generations.flatMap(\.descriptors)
            + instances.flatMap { [$0.output, $0.errorOutput].compactMap(\.self) }
            + instances.flatMap { $0.store ?? [] }.map(\.descriptor)
            + (stores ?? []).flatMap(\.entries).map(\.descriptor)
            + processes.compactMap(\.descriptor) + own.descriptors + people.sessions.map(\.descriptor)
            + (activation?.descriptors ?? [])
    }
}

/// Read first and by itself, to find out whether the rest can be read.
struct SavedHead: Codable {
    var format: Int
    /// The version of Holdfast that wrote it.
    var version: String
    /// Seconds since 1970.
    var startedAt: Int64
    /// RLIMIT_NOFILE for services that name none; ours has been raised.
    var fileLimitSoft: UInt64
    var fileLimitHard: UInt64
    /// The other ones that have been raised.
    var limits: [Limit]?
    struct Limit: Codable {
        var resource: Int32
        var soft: UInt64
        var hard: UInt64
    }
    /// What is written before another boot means nothing.
    var boot: String?
    /// CLOCK_MONOTONIC in nanoseconds: since then nothing has been handled.
    var takenAt: Int64?
}

/// A unit by the texts of its files; they are parsed again by whoever reads this.
struct SavedUnit: Codable, Hashable {
    var name: String
    /// The unit file first, then the drop-ins in the order in which they apply.
    var sources: [Source]
    /// Links in `.wants/` and `.requires/` directories, which are not text.
    var wants: [String]

    struct Source: Codable, Hashable {
        var path: String
        var text: String
    }
}

/// A `Definition`, its units by number.
struct SavedDefinition: Codable {
    var id: UInt64
    var group: GroupID
    var unit: Int
    var sockets: [Int]
    var upstreams: [Int]
    var probed: Int?
    var target: Int?
    /// `X-GenerationNetwork=private`; nil stands for false.
    var isPrivate: Bool?
}

struct SavedSocket: Codable {
    var unit: Int
    /// What was asked for.
    var target: HeldEndpoint.Target
    /// nil for scope `shared`.
    var owner: GenerationID?
    var descriptor: Int32?
    /// The same in all processes that have it.
    var inode: UInt64?
    /// A generation opened it that has not served yet; nil stands for false.
    var isUnkept: Bool?
    /// What it was like when it was opened or updated (`HeldBaseline`).
    var baseline: String?
    /// What processes did to it.
    var changes: [ObservedChange]?
}

struct SavedGeneration: Codable {
    var id: GenerationID
    var release: String?
    var directory: String
    /// By unit, in the order of its addresses.
    var sockets: [String: [Int]]
    /// The same for units with `X-Pass=address`; nil stands for none.
    var reservations: [String: [SavedReservation]]?
    /// A network namespace.
    var network: Int32?
    /// Its shared sockets are not in the table yet; nil stands for false.
    var isPending: Bool?
}

extension SavedGeneration {
    /// In place of a descriptor: there was one, and the process that had it was killed.
    static let lostNetwork: Int32 = -1

    var descriptors: [Int32] {
        (reservations ?? [:]).values.joined().compactMap(\.descriptor) + [network].compactMap(\.self)
    }
}

/// An address that is kept for a program. One that generations share has one descriptor.
struct SavedReservation: Codable {
    var unit: Int
    var requested: SocketAddress
    var address: SocketAddress
    var owner: GenerationID?
    /// nil for Unix addresses, of which nothing is open.
    var descriptor: Int32?
}

struct SavedInstance: Codable {
    var id: InstanceID
    var generation: GenerationID
    var definition: UInt64
    var invocation: String
    var hasTree: Bool
    var session: SessionTree.State?
    /// Our ends of its FIFOs.
    var output: Int32?
    var errorOutput: Int32?
    /// What it gave us to keep.
    var store: [SavedDescriptor]?
    var triggeredBy: [String: String]?
    /// What its unit asks for and this run does without.
    var remarks: [String]?
    /// If it does not follow from the other names.
    var treeName: String?
}

/// One of a service's descriptor store.
struct SavedDescriptor: Codable {
    var name: String
    var descriptor: Int32
    /// Dropped when its other end is gone.
    var isWatched: Bool
}

/// A descriptor store whose service is to come back.
struct SavedStore: Codable {
    var group: GroupID
    var member: String
    var limit: Int
    /// `FileDescriptorStorePreserve=yes`
    var isKeptForGood: Bool
    var entries: [SavedDescriptor]
}

struct SavedProcess: Codable {
    var token: Token
    var instance: InstanceID
    var pid: Int32
    /// A pidfd.
    var descriptor: Int32?
    /// As in /proc/PID/stat: whether the pid still means the same process.
    var startTime: UInt64?
}

/// What the supervisor has open for itself.
struct SavedOwn: Codable {
    var runtimeLock: Int32?
    var stateLock: Int32?
    var notifySocket: Int32?
    var controlSocket: Int32?
    var multibinder: SavedMultibinder?

    var descriptors: [Int32] {
        [runtimeLock, stateLock, notifySocket, controlSocket, multibinder?.listening].compactMap(\.self)
            + (multibinder?.connections.map(\.descriptor) ?? [])
    }
}

/// The socket of `--multibinder` and its clients.
struct SavedMultibinder: Codable {
    struct Connection: Codable {
        var descriptor: Int32
        /// What has come in of a request.
        var pending: [UInt8]
    }
    var listening: Int32
    var connections: [Connection]
}

/// Connections and what they wait for.
struct SavedPeople: Codable {
    var sessions: [SavedSession] = []
    var lastCall: UInt64 = 0
    var lastRequest: UInt64 = 0
    var requests: [RequestID: PendingRequest] = [:]
    var batches: [UInt64: Batch] = [:]
    var evidence: [GroupID: [String: [String]]] = [:]
    /// Calls that are answered when the successor is up.
    var reexecCalls: [ControlSessions.CallID] = []
    var subscribers: [SavedSubscriber]?
    var ledger: RequestLedger.Saved?
    /// Of requests that mean several units, those parts that have ended: only of a process that was killed.
    var parts: [RequestID: SavedPart] = [:]

    private enum CodingKeys: String, CodingKey {
        case sessions, lastCall, lastRequest, requests, batches, evidence, reexecCalls, subscribers, ledger
    }
}

/// A call of `Events`.
struct SavedSubscriber: Codable {
    var call: ControlSessions.CallID
    /// Empty for all units.
    var groups: [GroupID]
    var lost: Int
}

struct SavedSession: Codable {
    var descriptor: Int32
    /// Bytes of the client that are no complete message yet, or wait for their turn.
    var untaken: [UInt8]
    /// Bytes that the client has not taken yet.
    var unsent: [UInt8]
    var call: Call?

    struct Call: Codable {
        var id: ControlSessions.CallID
        var oneway: Bool
        var more: Bool
    }
}
