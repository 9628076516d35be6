import Glibc
import SystemPackage

/// Orphans that became our children (PR_SET_CHILD_SUBREAPER) without any mark of the service that left them, each with
/// the trees that may have left it. For hosts where trees are not control groups.
///
/// An orphan whose parent we are descends from a process that we started. It does not come from a tree whose first
/// process is younger. Nor does it come from a tree that was over before, because a tree is examined before it counts
/// as over, and by then its orphans are our children. The children of an ended stray become ours in turn, and may come
/// from any tree that the stray may have come from. If only one tree is possible, the assignment is proved. If several
/// are, the origin is unknown: the process is reported, and stopping a service does not end it.
final class StrayProcesses {
    struct Stray {
        var startTime: UInt64
        /// Tree number -> name of the tree; empty if the origin is unknown.
        var origins: [UInt64: String]
    }

    /// The number that stands for no tree: the process existed before us, or its service was given up while it lived.
    static let foreign: UInt64 = 0

    /// Whether we are the first process of a pid namespace, the parent of all its orphans: they may come from processes
    /// that we did not start.
    static let isInit = getpid() == 1

    private var strays: [Int32: Stray] = [:]
    /// Whether the child is one that we started, not an orphan.
    var isOwn: (Int32) -> Bool = { _ in false }

    /// The trees that may have left an orphan.
    /// - Parameter trees: the existing trees.
    func origins(of orphan: ProcessFacts, among trees: [SessionTree]) -> [UInt64: String] {
        if let known = strays[orphan.pid], known.startTime == orphan.startTime { return known.origins }
        var isUnknown = Self.isInit
        var origins: [UInt64: String] = [:]
        for tree in trees where tree.began(before: orphan) { origins[tree.number] = tree.name }
        for (pid, other) in strays where pid != orphan.pid && other.startTime <= orphan.startTime {
            if other.origins.isEmpty { isUnknown = true }
            origins.merge(other.origins) { name, _ in name }
        }
        if isUnknown { origins = [:] }
        strays[orphan.pid] = Stray(startTime: orphan.startTime, origins: origins)
        return origins
    }

    /// Registers the processes that a tree leaves behind although its service is over.
    func registerLeft(_ members: [Int32: UInt64], of name: String) {
        for (pid, start) in members { strays[pid] = Stray(startTime: start, origins: [Self.foreign: name]) }
    }

    /// Removes strays that have ended. The walk must have seen the children that became ours by their ends.
    func removeDead(_ living: [Int32: ProcessFacts]) {
        strays = strays.filter { pid, stray in
            guard let facts = living[pid] ?? ProcessFacts.read(pid) else { return false }
            return facts.startTime == stray.startTime && !facts.isDead
        }
    }

    /// Living strays that belong to no tree.
    func living(_ trees: [SessionTree]) -> [(facts: ProcessFacts, origins: [UInt64: String])] {
        let numbers = Set(trees.map(\.number))
        return strays.sorted { $0.key < $1.key }.compactMap { pid, stray in
            guard let facts = ProcessFacts.read(pid), facts.startTime == stray.startTime, !facts.isDead else {
                return nil
            }
            if stray.origins.count == 1, let only = stray.origins.keys.first, numbers.contains(only) { return nil }
            if trees.contains(where: { $0.isOwnMember(facts) }) { return nil }
            return (facts, stray.origins)
        }
    }

    // MARK: - Across our own execve(2)

    var saved: [StrayProcess.Saved] {
        strays.map { pid, stray in
            StrayProcess.Saved(
                pid: pid, startTime: stray.startTime, isForeign: stray.origins[Self.foreign] != nil,
                origins: stray.origins.values.sorted())
        }.sorted { $0.pid < $1.pid }
    }

    /// Restores strays. Tree numbers of the predecessor have no meaning here, so an unknown origin stays unknown.
    func restore(_ saved: [StrayProcess.Saved]) {
        for entry in saved {
            var origins: [UInt64: String] = [:]
            // These numbers are above those of any tree.
            for (index, name) in entry.origins.enumerated() { origins[.max - UInt64(index)] = name }
            if entry.isForeign { origins[Self.foreign] = entry.origins.first ?? "" }
            strays[entry.pid] = Stray(startTime: entry.startTime, origins: origins)
        }
    }
}

/// A living child of ours that cannot be assigned to a service.
public struct StrayProcess: Sendable, Equatable {
    public var pid: Int32
    /// Names of the trees that may have left it; empty if the origin is unknown.
    public var origins: [String]
    /// Whether it existed before us, or its service was given up while it lived: it is not ours to end.
    public var isForeign: Bool

    init(_ facts: ProcessFacts, _ origins: [UInt64: String]) {
        pid = facts.pid
        self.origins = Set(origins.values).sorted()
        isForeign = origins[StrayProcesses.foreign] != nil
    }

    /// The record for a successor of this process.
    public struct Saved: Codable, Sendable, Equatable {
        var pid: Int32
        var startTime: UInt64
        var isForeign: Bool
        var origins: [String]
    }
}

extension ProcessTable {
    /// Living children of ours that are no member of a tree. Walks /proc.
    func strayFacts() -> [(facts: ProcessFacts, origins: [UInt64: String])] {
        let trees = livingTrees
        let us = getpid()
        var living: [Int32: ProcessFacts] = [:]
        for pid in ProcessFacts.allPids() { if let facts = ProcessFacts.read(pid) { living[pid] = facts } }
        for facts in living.values where facts.parent == us && !facts.isDead && !strays.isOwn(facts.pid) {
            if trees.contains(where: { $0.isOwnMember(facts) }) { continue }
            _ = strays.origins(of: facts, among: trees)
        }
        strays.removeDead(living)
        return strays.living(trees)
    }
}
