import Glibc
import SystemPackage

/// Orphans that fell to us (PR_SET_CHILD_SUBREAPER) without any mark of the service that left them, where trees are not control
/// groups: each with the trees that may have left it.
///
/// An orphan whose parent we are descends from a process that we started. Not from a tree whose first process is younger; and
/// not from one that was over before, because a tree is looked at before it counts as over, and by then its orphans are ours. What is
/// left of a stray when it ends is ours in turn, and may be of whatever that may have been of. So with one tree left the answer
/// is proved, and with more than one it is not known: such a process is shown, and no service's stop ends it.
final class StrayProcesses {
    struct Stray {
        var startTime: UInt64
        /// Numbers and names of trees. None: not known at all.
        var origins: [UInt64: String]
    }

    /// In place of a tree's number: it was there before us, or its service was given up while it lived.
    static let foreign: UInt64 = 0

    /// The first process of a pid namespace is the parent of everybody's orphans: those that others have left tell nothing.
    static let isInit = getpid() == 1

    private var strays: [Int32: Stray] = [:]
    /// Children that are no orphans.
    var isOwn: (Int32) -> Bool = { _ in false }

    /// The trees that may have left an orphan.
    /// - Parameter trees: those that are there, with their first starts.
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

    /// Notes what a tree leaves behind that is over all the same.
    func leave(_ members: [Int32: UInt64], of name: String) {
        for (pid, start) in members { strays[pid] = Stray(startTime: start, origins: [Self.foreign: name]) }
    }

    /// After a walk that has seen what became ours when they ended.
    func dropDead(_ living: [Int32: ProcessFacts]) {
        strays = strays.filter { pid, stray in
            guard let facts = living[pid] ?? ProcessFacts.read(pid) else { return false }
            return facts.startTime == stray.startTime && !facts.isDead
        }
    }

    /// Those that live and belong to no tree.
    func living(_ trees: [SessionTree]) -> [(facts: ProcessFacts, origins: [UInt64: String])] {
        let numbers = Set(trees.map(\.number))
        return strays.sorted { $0.key < $1.key }.compactMap { pid, stray in
            guard let facts = ProcessFacts.read(pid), facts.startTime == stray.startTime, !facts.isDead else {
                return nil
            }
            if stray.origins.count == 1, let only = stray.origins.keys.first, numbers.contains(only) { return nil }
            if trees.contains(where: { $0.claims(facts) }) { return nil }
            return (facts, stray.origins)
        }
    }

    // MARK: - Through an execve(2) of ours

    var saved: [StrayProcess.Saved] {
        strays.map { pid, stray in
            StrayProcess.Saved(
                pid: pid, startTime: stray.startTime, isForeign: stray.origins[Self.foreign] != nil,
                origins: stray.origins.values.sorted())
        }.sorted { $0.pid < $1.pid }
    }

    /// Numbers of trees mean nothing any more: what was not known stays unknown.
    func restore(_ saved: [StrayProcess.Saved]) {
        for entry in saved {
            var origins: [UInt64: String] = [:]
            // No tree ever has such a number.
            for (index, name) in entry.origins.enumerated() { origins[.max - UInt64(index)] = name }
            if entry.isForeign { origins[Self.foreign] = entry.origins.first ?? "" }
            strays[entry.pid] = Stray(startTime: entry.startTime, origins: origins)
        }
    }
}

/// A living process that we have and that cannot be given to a service.
public struct StrayProcess: Sendable, Equatable {
    public var pid: Int32
    /// Names of the trees that may have left it; empty if nothing is known.
    public var origins: [String]
    /// It was there before us, or its service was given up while it lived: none of ours to end.
    public var isForeign: Bool

    init(_ facts: ProcessFacts, _ origins: [UInt64: String]) {
        pid = facts.pid
        self.origins = Set(origins.values).sorted()
        isForeign = origins[StrayProcesses.foreign] != nil
    }

    /// For a successor of this process.
    public struct Saved: Codable, Sendable, Equatable {
        var pid: Int32
        var startTime: UInt64
        var isForeign: Bool
        var origins: [String]
    }
}

extension ProcessTable {
    /// Living processes that are ours and no member of a tree; a walk over /proc.
    func strayFacts() -> [(facts: ProcessFacts, origins: [UInt64: String])] {
        let trees = livingTrees
        let us = getpid()
        var living: [Int32: ProcessFacts] = [:]
        for pid in ProcessFacts.allPids() { if let facts = ProcessFacts.read(pid) { living[pid] = facts } }
        for facts in living.values where facts.parent == us && !facts.isDead && !strays.isOwn(facts.pid) {
            if trees.contains(where: { $0.claims(facts) }) { continue }
            _ = strays.origins(of: facts, among: trees)
        }
        strays.dropDead(living)
        return strays.living(trees)
    }
}
