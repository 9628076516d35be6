import ControlProtocol
import Engine
import Linux

/// State that a successor needs to continue where this process stops, encoded by `StateCoding`. Fields added later are
/// Optional, so that a newer version reads the state of an older one.
///
/// A descriptor is recorded as its number: it is open in the successor under the same number (re-exec), or found again
/// (crash).
struct SavedState: Codable {
    /// Raised when an older version could not interpret the state. Older formats are always read.
    static let format = 1

    var head: SavedHead
    var engine: Engine
    /// Events that the engine has not handled yet.
    var backlog: [Event]
    var lastDefinition: UInt64
    /// Units by number; all other records refer to a unit by its number.
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
    /// Signals that a killed process has decided and not recorded as sent.
    var signals: [SavedSignal]?
    /// Whether the journal lacks records for which there was no room; nil stands for false.
    var isJournalBehind: Bool?
    /// Processes that belong to no known service.
    var strays: [StrayProcess.Saved]?
    /// Whether the journal lacks the latest changes; only for a killed process.
    var isStale: Bool?
    /// Cause of the processes that no record accounts for.
    var left: SavedUnaccounted?
    /// Ends of operations that are not yet in the history.
    var unwrittenHistory: [HistoryEntry]?

    /// All descriptors that must stay open.
    var descriptors: [Int32] {
        sockets.values.compactMap(\.descriptor) + generations.flatMap(\.descriptors)
            + instances.flatMap { [$0.output, $0.errorOutput].compactMap(\.self) }
            + instances.flatMap { $0.store ?? [] }.map(\.descriptor)
            + (stores ?? []).flatMap(\.entries).map(\.descriptor)
            + processes.compactMap(\.descriptor) + own.descriptors + people.sessions.map(\.descriptor)
            + (activation?.descriptors ?? [])
    }
}

/// The first part, decoded by itself to find out whether the rest can be decoded.
struct SavedHead: Codable {
    var format: Int
    /// The version of Holdfast that wrote the state.
    var version: String
    /// Seconds since 1970.
    var startedAt: Int64
    /// RLIMIT_NOFILE for services that set none; the supervisor has raised its own.
    var fileLimitSoft: UInt64
    var fileLimitHard: UInt64
    /// The other limits that the supervisor has raised for itself.
    var limits: [Limit]?
    struct Limit: Codable {
        var resource: Int32
        var soft: UInt64
        var hard: UInt64
    }
    /// ID of the boot in which the state was written; after another boot it is void.
    var boot: String?
    /// Time on CLOCK_MONOTONIC in nanoseconds since when no event has been handled.
    var takenAt: Int64?
}

/// A unit as the texts of its files, which the reader parses again.
struct SavedUnit: Codable, Hashable {
    var name: String
    /// The unit file first, then the drop-ins in the order in which they apply.
    var sources: [Source]
    /// Units named by links in `.wants/` and `.requires/` directories, which are not text.
    var wants: [String]

    struct Source: Codable, Hashable {
        var path: String
        var text: String
    }
}

/// A `Definition` with its units by number.
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
    /// The address that the unit file asks for.
    var target: HeldEndpoint.Target
    /// The generation that owns the socket; nil for scope `shared`.
    var owner: GenerationID?
    var descriptor: Int32?
    /// Inode of the socket, the same in all processes that have it.
    var inode: UInt64?
    /// Whether the socket was opened by a generation that has not served yet; nil stands for false.
    var isUnkept: Bool?
    /// Attributes of the socket when it was opened or updated (`HeldBaseline`).
    var baseline: String?
    /// Changes that processes made to the socket.
    var changes: [ObservedChange]?
}

struct SavedGeneration: Codable {
    var id: GenerationID
    var release: String?
    var directory: String
    /// Sockets by unit, in the order of its addresses.
    var sockets: [String: [Int]]
    /// Reservations by unit for units with `X-Pass=address`; nil stands for none.
    var reservations: [String: [SavedReservation]]?
    /// Descriptor of the network namespace.
    var network: Int32?
    /// Whether the generation's shared sockets are not in the table yet; nil stands for false.
    var isPending: Bool?
}

extension SavedGeneration {
    /// Value in place of a descriptor when the process that had the namespace open was killed.
    static let lostNetwork: Int32 = -1

    var descriptors: [Int32] {
        (reservations ?? [:]).values.joined().compactMap(\.descriptor) + [network].compactMap(\.self)
    }
}

/// An address reserved for a program. Generations that share a reservation share its descriptor.
struct SavedReservation: Codable {
    var unit: Int
    var requested: SocketAddress
    var address: SocketAddress
    var owner: GenerationID?
    /// nil for Unix addresses, for which no descriptor is open.
    var descriptor: Int32?
}

struct SavedInstance: Codable {
    var id: InstanceID
    var generation: GenerationID
    var definition: UInt64
    var invocation: String
    var hasTree: Bool
    var session: SessionTree.State?
    /// The supervisor's ends of the instance's FIFOs.
    var output: Int32?
    var errorOutput: Int32?
    /// The instance's descriptor store.
    var store: [SavedDescriptor]?
    var triggeredBy: [String: String]?
    /// Requirements of the unit that this run does without.
    var remarks: [String]?
    /// Name of the process tree, if it does not follow from the other names.
    var treeName: String?
}

/// One entry of a service's descriptor store.
struct SavedDescriptor: Codable {
    var name: String
    var descriptor: Int32
    /// Whether the entry is dropped when its other end is closed.
    var isWatched: Bool
}

/// A descriptor store whose service will be started again.
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
    /// Start time as in /proc/PID/stat; it shows whether the pid still means the same process.
    var startTime: UInt64?
}

/// Descriptors that the supervisor has open for itself.
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
        /// Received bytes of an incomplete request.
        var pending: [UInt8]
    }
    var listening: Int32
    var connections: [Connection]
}

/// Control connections and the requests that they wait for.
struct SavedPeople: Codable {
    var sessions: [SavedSession] = []
    var lastCall: UInt64 = 0
    var lastRequest: UInt64 = 0
    var requests: [RequestID: PendingRequest] = [:]
    var batches: [UInt64: Batch] = [:]
    var evidence: [GroupID: [String: [String]]] = [:]
    /// Calls that the successor answers once it is up.
    var reexecCalls: [ControlSessions.CallID] = []
    var subscribers: [SavedSubscriber]?
    var ledger: RequestLedger.Saved?
    /// Ended parts of requests that mean several units; only for a killed process.
    var parts: [RequestID: SavedPart] = [:]

    private enum CodingKeys: String, CodingKey {
        case sessions, lastCall, lastRequest, requests, batches, evidence, reexecCalls, subscribers, ledger
    }
}

/// A call of `Events`.
struct SavedSubscriber: Codable {
    var call: ControlSessions.CallID
    /// Groups to report on; empty for all units.
    var groups: [GroupID]
    var lost: Int
}

struct SavedSession: Codable {
    var descriptor: Int32
    /// Bytes from the client that are no complete message yet, or wait for their turn.
    var untaken: [UInt8]
    /// Bytes that the client has not yet read.
    var unsent: [UInt8]
    var call: Call?

    struct Call: Codable {
        var id: ControlSessions.CallID
        var oneway: Bool
        var more: Bool
    }
}
