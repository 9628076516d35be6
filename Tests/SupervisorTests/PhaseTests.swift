import ControlProtocol
import Testing

@testable import Engine
@testable import Supervisor

@Suite("Phases of operations in the protocol")
struct PhaseTests {
    private func phase(_ engine: PhaseName, services: [ServicePhase]) -> SwapPhase? {
        let start = Instant(nanoseconds: 0)
        let views = services.enumerated().map { number, phase in
            ServiceView(
                instance: InstanceID(number: UInt64(number)), spec: ServiceSpec(unit: "app\(number).service"), birth: 2,
                phase: phase, isReady: phase == .running, since: start, restarts: 0)
        }
        return SwapPhase(
            of: GroupView(
                id: GroupID("site@.target"), serving: 1, lastNumber: 2,
                generations: [
                    GenerationView(number: 2, release: "v2", role: .starting, startedAt: start, services: views)
                ],
                operation: OperationView(
                    kind: .swap, phase: engine, startedAt: start, phaseSince: start, new: 2, obstacles: []),
                drains: [], canRollBack: true, since: start))
    }

    @Test("A swap verifies once each service is executed, and starts as long as one is not")
    func verify() {
        #expect(phase(.start, services: [.running, .waiting]) == .start)
        #expect(phase(.start, services: [.probing, .startPre]) == .start)
        #expect(phase(.start, services: [.condition]) == .start)
        #expect(phase(.start, services: [.running, .starting]) == .verify)
        #expect(phase(.start, services: [.probing]) == .verify)
        #expect(phase(.restore, services: [.starting]) == .verify)
        #expect(phase(.start, services: []) == .start)
    }

    @Test("The old generation is told to drain at the cutover, where a swap ends")
    func cutover() {
        #expect(SwapPhase(entered: .cutOver) == .cutOver)
        #expect(SwapPhase(entered: .stopOld) == .cutOver)
        #expect(SwapPhase(entered: .stop) == .drain)
        #expect(SwapPhase(entered: .reload) == .reload)
    }

    @Test("A service that fails while it runs is no failure of readiness")
    func failures() {
        #expect(SwapPhase(Failure.Step.readiness, in: nil) == .verify)
        #expect(SwapPhase(Failure.Step.run, in: nil) == .run)
        #expect(SwapPhase(Failure.Step.reload, in: nil) == .reload)
    }

    @Test("A unit is named with its release, and without one where it has none")
    func units() {
        #expect(GroupID("site@.target").unit(release: "v3") == "site@v3.target")
        #expect(GroupID("site@.target").unit(release: nil) == "site@.target")
        #expect(GroupID("app.service").unit(release: nil) == "app.service")
    }
}
