import Testing

@testable import Linux

@Suite("Orphans without a mark of their service")
struct StrayTests {
    private func tree(_ table: ProcessTable, _ name: String, since start: UInt64) -> SessionTree {
        let tree = SessionTree(name: name, cookie: "", table: table)
        var state = SessionTree.State()
        state.firstStart = start
        tree.state = state
        return tree
    }

    private func orphan(_ pid: Int32, since start: UInt64) -> ProcessFacts {
        // None that can exist.
        ProcessFacts(parent: 1, startTime: start, pid: pid)
    }

    private func names(_ table: ProcessTable, _ orphan: ProcessFacts) -> [String] {
        table.strays.origins(of: orphan, among: table.livingTrees).values.sorted()
    }

    @Test(
        "Of a younger tree it cannot be, of those that were there at the first look it may be, whatever comes and goes later"
    )
    func origins() {
        let table = ProcessTable()
        let old = tree(table, "old", since: 100)
        var other: SessionTree? = tree(table, "other", since: 200)
        let first = orphan(1 << 23, since: 150)
        #expect(names(table, first) == ["old"])
        let second = orphan(1 << 23 + 1, since: 250)
        #expect(names(table, second) == ["old", "other"])
        withExtendedLifetime(other) {}
        other = nil
        #expect(table.livingTrees.count == 1)
        #expect(names(table, second) == ["old", "other"], "that the other is over proves nothing")
        withExtendedLifetime(old) {}
    }

    @Test("What is left of a stray may be of whatever that may have been of")
    func descendants() {
        let table = ProcessTable()
        var gone: [SessionTree] = [tree(table, "a", since: 100), tree(table, "b", since: 100)]
        #expect(names(table, orphan(1 << 23, since: 150)) == ["a", "b"])
        gone = []
        let later = tree(table, "later", since: 160)
        #expect(names(table, orphan(1 << 23 + 1, since: 170)) == ["a", "b", "later"])
        #expect(
            names(table, orphan(1 << 23 + 2, since: 140)) == [], "older than the stray and every tree: nothing is known"
        )
        withExtendedLifetime((gone, later)) {}
    }

    @Test("What is not ours makes its descendants nobody's, and a re-exec makes nothing known that was not")
    func saved() {
        let table = ProcessTable()
        let only = tree(table, "only", since: 200)
        table.strays.registerLeft([1 << 23: 150], of: "foreign")
        #expect(names(table, orphan(1 << 23 + 1, since: 250)) == ["foreign", "only"])
        let next = ProcessTable()
        next.strays.restore(table.strays.saved)
        let same = tree(next, "only", since: 200)
        let origins = next.strays.origins(of: orphan(1 << 23 + 1, since: 250), among: next.livingTrees)
        #expect(origins[same.number] == nil && origins[StrayProcesses.foreign] != nil)
        withExtendedLifetime((only, same)) {}
    }
}
