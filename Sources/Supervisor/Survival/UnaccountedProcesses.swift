import ControlProtocol
import Engine
import Linux
import UnitFiles

/// Running processes of services that no record accounts for: the journal of the supervisor that started them is lost,
/// or older than they are. They are left alone without an operator's request: status shows them as UNKNOWN, the sockets
/// on which they listen are held again, and an operator takes them over (`adopt`) or ends them (`stop`).
final class UnaccountedProcesses {
    /// One process tree of unknown processes.
    final class Tree {
        let name: UnaccountedTreeName
        let group: GroupID
        /// The process tree, and the wait for its end.
        let run: RunningTree
        /// Present while a stop request ends the tree.
        var ending: UnknownTreeEnding?
        var timer: (any LoopTimer)?

        init(name: UnaccountedTreeName, group: GroupID, run: RunningTree) {
            self.name = name
            self.group = group
            self.run = run
        }

        var members: [Int32] { run.tree.members().sorted() }
    }

    private(set) var trees: [Tree] = []
    /// Sockets on which the processes listen, and those from systemd's descriptor store, until a unit claims them.
    private var sockets: [ReachableSocket] = []
    /// Reason why the processes are not accounted for, and since when.
    var cause: SavedUnaccounted?
    /// Stop requests, with the trees that each still waits for.
    private var stops: [RequestID: [Tree]] = [:]

    var isEmpty: Bool { trees.isEmpty }

    var groups: Set<GroupID> { Set(trees.map(\.group)) }

    /// The tree with that identity, if it still exists.
    func tree(_ id: ObjectIdentifier) -> Tree? { trees.first { ObjectIdentifier($0) == id } }

    func trees(of group: GroupID) -> [Tree] { trees.filter { $0.group == group } }

    func add(_ tree: Tree) { trees.append(tree) }

    /// Removes a tree that has ended or has been taken over. Returns the stop requests for which it was the last one.
    func remove(_ tree: Tree) -> [RequestID] {
        trees.removeAll { $0 === tree }
        var ended: [RequestID] = []
        for (request, awaited) in stops {
            let remaining = awaited.filter { $0 !== tree }
            stops[request] = remaining.isEmpty ? nil : remaining
            if remaining.isEmpty { ended.append(request) }
        }
        return ended.sorted { $0.number < $1.number }
    }

    /// Has a stop request wait for trees.
    func awaitEnds(of trees: [Tree], for request: RequestID) { stops[request] = trees }

    // MARK: - Sockets

    var hasSockets: Bool { !sockets.isEmpty }

    /// Finds the sockets on which the processes listen now.
    /// - Parameter held: inodes of sockets that are already held.
    func findSockets(_ port: any SocketsPort, held: Set<UInt64>) {
        let stored = sockets.filter { $0.holders.isEmpty && !$0.isTaken }
        let known = Set(stored.compactMap(\.inode)).union(held)
        sockets = stored
        for socket in port.reachableSockets(of: trees.flatMap(\.members)) where socket.inode.map(known.contains) != true
        {
            sockets.append(socket)
        }
    }

    func add(_ socket: ReachableSocket) { sockets.append(socket) }

    /// Closes sockets that no unit has claimed and no living process has.
    func dropSockets() {
        let living = Set(trees.flatMap(\.members))
        sockets.removeAll { $0.isTaken || $0.holders.isDisjoint(with: living) }
    }

    /// Whether an unknown process's socket is bound to that target.
    func hasSocket(at target: HeldEndpoint.Target) -> Bool { socket(at: target) != nil }

    /// - Parameter members: processes among which the socket's holder must be, for an address whose port the kernel has
    ///   chosen; nil for an address that is fixed.
    func takeSocket(at target: HeldEndpoint.Target, of members: Set<Int32>?) -> OwnedDescriptor? {
        guard let members else { return socket(at: target)?.take() }
        return takeOnlySocket(at: target, of: members)
    }

    private func socket(at target: HeldEndpoint.Target) -> ReachableSocket? {
        guard case .socket(let address, let kind) = target else { return nil }
        return sockets.first { !$0.isTaken && $0.address == address && $0.kind == kind }
    }

    /// Takes the socket at an address whose port the kernel has chosen, if these processes have exactly one there.
    private func takeOnlySocket(at target: HeldEndpoint.Target, of members: Set<Int32>) -> OwnedDescriptor? {
        guard case .socket(let address, let kind) = target, let host = address.host, address.port == 0 else {
            return nil
        }
        let found = sockets.filter {
            !$0.isTaken && $0.address.host == host && $0.kind == kind && !$0.holders.isDisjoint(with: members)
        }
        return found.count == 1 ? found.first?.take() : nil
    }
}

/// Known facts about processes that no other record accounts for.
struct SavedUnaccounted: Codable {
    var reason: String
    /// Seconds since 1970.
    var foundAt: Int64
}

/// Parsed directory name of a process tree: `app@v2.service#3.12` (`RunningInstance.treeName`), or `http.socket#5` for
/// a command of a socket unit.
struct UnaccountedTreeName: Equatable {
    let directory: String
    let unit: String
    var generation: Int?
    var instance: UInt64?
    var command: UInt64?

    init(_ name: String, directory: String) {
        self.directory = directory
        guard let hash = name.lastIndex(of: "#") else {
            unit = name
            return
        }
        unit = String(name[..<hash])
        let numbers = name[hash...].dropFirst().split(separator: ".", omittingEmptySubsequences: false)
        if numbers.count == 2 {
            generation = Int(numbers[0])
            instance = UInt64(numbers[1])
        } else {
            command = numbers.first.flatMap { UInt64($0) }
        }
    }

    /// Name for processes that were found by their environment.
    init(unit: String, generation: Int?) {
        directory = ""
        self.unit = unit
        self.generation = generation
    }
}
