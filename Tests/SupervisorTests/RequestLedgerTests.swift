import ControlProtocol
import Engine
import Linux
import StateCoding
import Testing

@testable import Supervisor

@Suite("Requests under the names of their clients")
struct RequestLedgerTests {
    private static let anna = Peer(pid: 1, uid: 1000, gid: 1000, groups: [])
    private static let otto = Peer(pid: 2, uid: 1001, gid: 1001, groups: [])
    private static let root = Peer(pid: 3, uid: 0, gid: 0, groups: [])

    private func at(_ second: Int64) -> Instant { Instant(nanoseconds: second * 1_000_000_000) }
    private func call(_ number: UInt64) -> ControlSessions.CallID { ControlSessions.CallID(number: number) }
    private func answer(_ text: String) -> Reply { Reply(ControlError.failed(message: text)) }

    private func ledger(_ names: [RequestIdentity], by peer: Peer = anna) -> RequestLedger {
        var ledger = RequestLedger(at: at(0))
        for (index, name) in names.enumerated() {
            let request = Request.stop(name: "unit-\(index)").call(as: name)
            ledger.recordRequest(name, request, from: peer, call(UInt64(index + 1)), at: at(Int64(index + 1)))
        }
        return ledger
    }

    private func isAbsent(_ fate: RequestLedger.Fate) -> Bool { if case .absent = fate { true } else { false } }
    private func isLost(_ fate: RequestLedger.Fate) -> Bool { if case .lost = fate { true } else { false } }
    private func isForeign(_ fate: RequestLedger.Fate) -> Bool { if case .foreign = fate { true } else { false } }
    private func isUnderWay(_ fate: RequestLedger.Fate) -> Bool { if case .underWay = fate { true } else { false } }
    private func text(_ fate: RequestLedger.Fate) -> String? {
        if case .answered(let reply) = fate { reply.failure?.localizedMessage } else { nil }
    }

    @Test("Each request has its own answer, and none has that of another")
    func ownAnswers() {
        let names = [RequestIdentity.random(), .random(), .random()]
        var ledger = ledger(names)
        #expect(names.allSatisfy { isUnderWay(ledger.fate(of: $0, for: Self.anna)) })
        let news = [ledger.answer(names[1], answer("second")), ledger.answer(names[1], answer("second"))]
        #expect(news == [true, false], "known already")
        ledger.lose(names[2])
        #expect(isUnderWay(ledger.fate(of: names[0], for: Self.anna)))
        #expect(text(ledger.fate(of: names[1], for: Self.anna)) == "second")
        #expect(isLost(ledger.fate(of: names[2], for: Self.anna)))
        #expect(isAbsent(ledger.fate(of: .random(), for: Self.anna)))
    }

    @Test("After a journal that lacks what came last no request counts as never begun, and none as under way")
    func lostTrack() {
        let names = [RequestIdentity.random(), .random()]
        var ledger = ledger(names)
        _ = ledger.answer(names[0], answer("first"))
        ledger.loseTrack(at: at(100))
        #expect(text(ledger.fate(of: names[0], for: Self.anna)) == "first", "what was answered was")
        #expect(isLost(ledger.fate(of: names[1], for: Self.anna)))
        #expect(ledger.completeSince == at(100))
        #expect(ledger.takeChanges().completeSince == at(100))
    }

    @Test("A request is told to the user who made it and to root, and to nobody else")
    func owners() {
        let name = RequestIdentity.random()
        var ledger = ledger([name])
        _ = ledger.answer(name, answer("done"))
        #expect(text(ledger.fate(of: name, for: Self.root)) == "done")
        #expect(isForeign(ledger.fate(of: name, for: Self.otto)))
    }

    @Test("The same call again is the same request; another call under its name is not")
    func repetition() {
        let name = RequestIdentity.random()
        let ledger = ledger([name])
        #expect(ledger.isRepeated(name, by: Request.stop(name: "unit-0").call(as: name)))
        #expect(!ledger.isRepeated(name, by: Request.stop(name: "unit-1").call(as: name)))
        #expect(!ledger.isRepeated(name, by: Request.start(name: "unit-0", hold: false).call(as: name)))
    }

    @Test("Who asks last is told, once; who has left is not")
    func waiters() {
        let name = RequestIdentity.random()
        var ledger = ledger([name])
        #expect(ledger.identity(of: call(1)) == name)
        let before = ledger.wait(RequestLedger.Waiter(call: call(7), isOutcome: true), for: name)
        #expect(before?.call == call(1))
        #expect(ledger.identity(of: call(1)) == nil && ledger.identity(of: call(7)) == name)
        let told = [ledger.takeWaiter(of: name)?.call, ledger.takeWaiter(of: name)?.call]
        #expect(told == [call(7), nil])
        _ = ledger.wait(RequestLedger.Waiter(call: call(8), isOutcome: true), for: name)
        ledger.left(call(8))
        #expect(!ledger.isAwaited(name))
    }

    @Test(
        "Answers are bounded in number and size; after the first that is forgotten nothing older counts as never begun")
    func bounds() {
        let names = (0..<1000).map { _ in RequestIdentity.random() }
        var ledger = ledger(names)
        for name in names.dropLast() { _ = ledger.takeWaiter(of: name) }
        // The oldest one is still running; a running request is never forgotten.
        for name in names.dropFirst() { _ = ledger.answer(name, answer("x")) }
        #expect(ledger.entries.count == RequestLedger.limit + 1)
        #expect(isUnderWay(ledger.fate(of: names[0], for: Self.anna)))
        #expect(text(ledger.fate(of: names[999], for: Self.anna)) == "x")
        #expect(isAbsent(ledger.fate(of: names[1], for: Self.anna)))
        #expect(ledger.completeSince > at(Int64(1000 - RequestLedger.limit)))
        #expect(ledger.completeSince < at(Int64(1000 - RequestLedger.limit + 1)))
        var large = self.ledger(names)
        for name in names { _ = large.takeWaiter(of: name) }
        for name in names.prefix(20) { _ = large.answer(name, answer(String(repeating: "x", count: 200_000))) }
        let kept = large.entries.values.compactMap { $0.answer?.parameters.count }.reduce(0, +)
        #expect(kept <= RequestLedger.sizeLimit && kept > RequestLedger.sizeLimit / 2)
    }

    @Test("What somebody still has to be told is not forgotten before")
    func untold() {
        let names = (0..<500).map { _ in RequestIdentity.random() }
        var ledger = ledger(names)
        for name in names { _ = ledger.answer(name, answer("x")) }
        let told = names.filter { ledger.takeWaiter(of: $0) != nil }
        #expect(told == names)
    }

    @Test("A successor knows all of it; after a crash nobody waits any more")
    func survival() throws {
        let names = [RequestIdentity.random(), .random(), .random()]
        var ledger = ledger(names)
        _ = ledger.answer(names[1], answer("done"))
        ledger.lose(names[2])
        ledger.act(names[0])
        let bytes = try StateEncoder.encode(ledger.saved)
        for keepsWaiters in [true, false] {
            let next = RequestLedger(
                try StateDecoder.decode(RequestLedger.Saved.self, from: bytes), keepsWaiters: keepsWaiters)
            #expect(isUnderWay(next.fate(of: names[0], for: Self.anna)))
            #expect(next.entries[names[0]]?.hasActed == true)
            #expect(text(next.fate(of: names[1], for: Self.anna)) == "done")
            #expect(isLost(next.fate(of: names[2], for: Self.anna)))
            #expect(next.completeSince == at(0))
            #expect(next.isAwaited(names[0]) == keepsWaiters)
        }
    }

    @Test("What has changed is told once, for the journal")
    func changes() {
        let names = [RequestIdentity.random(), .random()]
        var ledger = ledger(names)
        let first = ledger.takeChanges().entries.map(\.0)
        let second = ledger.takeChanges().entries.map(\.0)
        #expect(Set(first) == Set(names) && second.isEmpty)
        _ = ledger.answer(names[0], answer("x"))
        ledger.retract(names[1])
        let changes = ledger.takeChanges()
        #expect(Set(changes.entries.map(\.0)) == Set(names))
        #expect(changes.entries.first { $0.0 == names[1] }?.1 == nil)
        #expect(changes.completeSince == nil)
    }
}
