import Testing

@testable import Supervisor

@Suite("Log lines that others can cause")
struct LineBoundsTests {
    private let stranger = LineBounds.Subject(kind: .deniedUser, name: "uid 1000")
    private let unit = LineBounds.Subject(kind: .unit, name: "app.service")

    @Test("a stranger gets a few a minute, a unit enough for its swaps, and what was left out is counted")
    func bounds() {
        var bounds = LineBounds()
        let refusals = (0..<2311).count { _ in bounds.admits(stranger, at: 5) }
        let lines = (0..<150).count { _ in bounds.admits(unit, at: 6) }
        let isOtherAdmitted = bounds.admits(LineBounds.Subject(kind: .deniedUser, name: "uid 1001"), at: 7)
        #expect(refusals == 5 && lines == 100 && isOtherAdmitted)
        #expect(bounds.hasSuppressed)
        #expect(bounds.end == 5 + LineBounds.interval)
        #expect(!bounds.isOver(at: 4 + LineBounds.interval) && bounds.isOver(at: 5 + LineBounds.interval))
        let left = bounds.takeSuppressed()
        #expect(
            left == [
                LineBounds.Suppressed(subject: "uid 1000", count: 2306),
                LineBounds.Suppressed(subject: "app.service", count: 50),
            ])
        #expect(!bounds.hasSuppressed && bounds.end == nil)
        let isAdmittedAgain = bounds.admits(stranger, at: 5 + LineBounds.interval)
        #expect(isAdmittedAgain)
    }

    @Test("a person with thousands of uids gets no more lines than a few strangers")
    func manyUids() {
        var bounds = LineBounds()
        let said = (0..<5000).count { number in
            bounds.admits(LineBounds.Subject(kind: .deniedUser, name: "uid \(number)"), at: 0)
        }
        let isUnitAdmitted = bounds.admits(unit, at: 1)
        #expect(said == LineBounds.deniedUsersBurst && isUnitAdmitted)
    }

    @Test("names that are made up neither fill the log nor the memory")
    func manySubjects() {
        var bounds = LineBounds()
        var said = 0
        for number in 0..<50_000 {
            for _ in 0..<3 {
                said += bounds.admits(LineBounds.Subject(kind: .unit, name: "u\(number).service"), at: 0) ? 1 : 0
            }
        }
        #expect(said == LineBounds.totalBurst)
        let left = bounds.takeSuppressed()
        #expect(left.count == 1 && left.first == LineBounds.Suppressed(subject: "others", count: 150_000 - said))
    }
}
