import ControlProtocol
import Testing
import UnitFiles
import Vocabulary

@testable import Engine
@testable import Supervisor

@Suite("Messages of reports")
struct WordingTests {
    private static func service(_ text: String) throws -> ServiceUnit {
        let name = try UnitName("app.service")
        let source = UnitSource(path: "app.service", text: text)
        return try #require(
            UnitLoader.restore(name, sources: [source], wants: [], specifiers: SpecifierEnvironment()).service)
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var step: Failure.Step
        var cause: Failure.Cause
        var text: String
        var testDescription: String { text }
        init(_ step: Failure.Step, _ cause: Failure.Cause, _ text: String) {
            (self.step, self.cause, self.text) = (step, cause, text)
        }
    }

    /// One of each step and each cause, as an operator reads it.
    static let failures = [
        Case(.dependency, .text("db.service failed"), "cannot start app.service: db.service failed"),
        Case(.prepare, .text("no such user: web"), "cannot start app.service: no such user: web"),
        Case(
            .condition, .exited(.exited(255)),
            "cannot start app.service: ExecCondition= exited with status 255/EXCEPTION"),
        Case(
            .startPre, .timedOut(.seconds(3)),
            "cannot start app.service: ExecStartPre= timed out after 3 s (TimeoutStartSec=)"),
        Case(
            .start, .spawn("executing /srv/app: No such file or directory", status: 203),
            "cannot start app.service: executing /srv/app: No such file or directory"),
        Case(.start, .exited(.exited(3)), "cannot start app.service: exited with status 3 before it was ready"),
        Case(
            .start, .startLimit(5, .seconds(10)),
            "cannot start app.service: started 5 times within 10 s, which is the limit (StartLimitBurst=)"),
        Case(.readiness, .timedOut(.seconds(90)), "cannot start app.service: timed out after 1 min 30 s"),
        Case(
            .readiness, .probe("503 Service Unavailable"),
            "cannot start app.service: its probe failed: 503 Service Unavailable"),
        Case(.startPost, .exited(.exited(1)), "cannot start app.service: ExecStartPost= exited with status 1"),
        Case(.soak, .exited(.exited(1)), "app.service failed during soak: exited with status 1"),
        Case(.soak, .probe("500"), "app.service failed during soak: its probe failed: 500"),
        Case(.run, .exited(.exited(1)), "app.service exited with status 1"),
        Case(.run, .endedEarly(.exited(0)), "app.service exited with status 0"),
        Case(.run, .watchdog(.seconds(30)), "app.service sent no WATCHDOG=1 within 30 s (WatchdogSec=)"),
        Case(.run, .protocolError("no main process found"), "app.service failed: no main process found"),
        Case(.run, .probe("timeout"), "app.service failed: its probe failed: timeout"),
        Case(
            .reload, .timedOut(.milliseconds(1500)),
            "cannot reload app.service: ExecReload= timed out after 1.5 s (TimeoutStartSec=)"),
        Case(
            .stop, .timedOut(.seconds(90)),
            "app.service did not stop cleanly: ExecStop= timed out after 1 min 30 s (TimeoutStopSec=)"),
        Case(.leave, .timedOut(.seconds(30)), "app.service did not stop cleanly: still ran after 30 s; killed"),
        Case(.stopPost, .exited(.exited(2)), "app.service did not stop cleanly: ExecStopPost= exited with status 2"),
    ]

    @Test(
        "A failure is a sentence: what cannot be done or has happened, the step, the cause, the setting",
        arguments: failures)
    func failure(example: Case) {
        let failure = Failure(unit: "app.service", step: example.step, cause: example.cause)
        #expect(Wording.sentence(failure) == example.text)
    }

    @Test("A limit of time names the setting that it comes from: the service's own, or the generation's")
    func settings() throws {
        let unit = try Self.service("[Service]\nExecStart=/bin/true\nTimeoutStartSec=10s\nTimeoutStopSec=20s\n")
        func sentence(_ step: Failure.Step, _ limit: Duration) -> String {
            Wording.sentence(Failure(unit: "app.service", step: step, cause: .timedOut(limit)), of: unit)
        }
        #expect(sentence(.readiness, .seconds(10)).hasSuffix("timed out after 10 s (TimeoutStartSec=)"))
        #expect(sentence(.readiness, .seconds(30)).hasSuffix("timed out after 30 s (ReadyTimeoutSec=)"))
        #expect(sentence(.leave, .seconds(20)).hasSuffix("still ran after 20 s (TimeoutStopSec=); killed"))
        #expect(sentence(.leave, .seconds(60)).hasSuffix("still ran after 1 min (DrainTimeoutSec=); killed"))
    }

    @Test("The error number that a service reports is shown with its text")
    func errorNumber() {
        var failure = Failure(unit: "app.service", step: .start, cause: .exited(.exited(1)))
        failure.errno = 13
        #expect(
            Wording.sentence(failure)
                == "cannot start app.service: exited with status 1 before it was ready (the service reported ERRNO=13: Permission denied)"
        )
    }

    @Test(
        "Spans of time have one form",
        arguments: [
            (Duration.milliseconds(0), "0 ms"), (.milliseconds(250), "250 ms"), (.milliseconds(1900), "1.9 s"),
            (.seconds(30), "30 s"), (.seconds(130), "2 min 10 s"), (.seconds(3600), "1 h"),
            (.seconds(3 * 86_400 + 4 * 3600), "3 d 4 h"), (.milliseconds(61_050), "1 min 1.05 s"),
        ])
    func spans(duration: Duration, text: String) {
        #expect(Wording.span(duration) == text)
    }

    @Test(
        "Measured time is rounded to what a reader needs",
        arguments: [
            (Duration.microseconds(4_700), "4 ms"), (.milliseconds(2_449), "2.4 s"), (.milliseconds(37_900), "37 s"),
            (.seconds(3 * 3600 + 61), "3 h 1 min"), (.seconds(76 * 3600 + 1800), "3 d 4 h"),
        ])
    func ages(duration: Duration, text: String) {
        #expect(Wording.age(duration) == text)
    }

    @Test("What happens without a request names its cause and the directive")
    func causes() {
        #expect(Wording.name(StartCause.failure(unit: "app.service", nil)) == "OnFailure= of app.service")
        #expect(Wording.name(StartCause.success(unit: "app.service", nil)) == "OnSuccess= of app.service")
        #expect(Wording.name(StartCause.upheld(by: GroupID("app.service"))) == "Upholds= of app.service")
        #expect(Wording.reason(.lost(GroupID("db.service"))) == "because db.service is gone (BindsTo=)")
        #expect(
            Wording.reason(.propagated(from: GroupID("db.service")))
                == "because db.service has ended (PropagatesStopTo=, StopPropagatedFrom=)")
        #expect(Wording.reason(.unneeded) == "because no unit needs it (StopWhenUnneeded=)")
        #expect(Wording.skip("ConditionPathExists=/x") == "ConditionPathExists=/x does not hold")
    }

    @Test("Each refusal of the engine is an error of the protocol, with the command that helps where there is one")
    func refusals() {
        let site = GroupID("site@.target")
        func text(_ refusal: Refusal) -> String { Wording.error(refusal).localizedMessage }
        #expect(
            Wording.error(.busy(site, .swap, .soak))
                == .busy(unit: "site@.target", operation: "swap", detail: "soaking"))
        #expect(Wording.error(.notRunning(site)) == .notRunning(unit: "site@.target"))
        #expect(
            text(.notASwapUnit(site))
                == "site@.target cannot be swapped: it has no [X-Swap] section; add one (it may be empty), or use restart"
        )
        #expect(
            text(.otherReleaseServes(site, release: "v2")) == "site@.target serves release v2; use swap to replace it")
        #expect(Wording.error(.nothingToPromote(site)) == .nothingToPromote(unit: "site@.target"))
        #expect(Wording.error(.nothingToAbort(site, nil)) == .nothingToAbort(unit: "site@.target"))
        #expect(text(.nothingToAbort(site, .drain)) == "cannot abort site@.target: it is past its cutover (draining)")
        #expect(Wording.error(.nothingToRollBack(site)) == .nothingToRollBack(unit: "site@.target"))
        #expect(text(.nothingDrains(site)) == "no generation of site@.target is draining")
        #expect(text(.holdNeedsOverlap(site)).hasSuffix("stops before the new one starts (Strategy=queue)"))
        #expect(text(.noReload(site)) == "cannot reload site@.target: it has no ExecReload= or is not running")
        #expect(Wording.error(.shuttingDown) == .shuttingDown)
    }

    @Test("Failures of socket units name the command or the limit")
    func socketFailures() {
        #expect(Wording.sentence(.timedOut(.startPre(0))) == "ExecStartPre= timed out (TimeoutSec=)")
        #expect(Wording.sentence(.open("address in use")) == "address in use")
        #expect(Wording.sentence(.serviceStartLimit) == "its service failed too often (StartLimitBurst=)")
        #expect(
            Wording.sentence(.triggerLimit(20, .seconds(2)))
                == "activated 20 times within 2 s, which is the limit (TriggerLimitBurst=)")
    }

    @Test("Each phase of a service and of an operation has words of its own; a condition is no ExecStartPre=")
    func phases() {
        let services = ServicePhase.allCases.map(Wording.sentence)
        #expect(services.allSatisfy { !$0.isEmpty })
        #expect(Wording.sentence(ServicePhase.condition) == "its conditions are being checked")
        #expect(Wording.sentence(ServicePhase.startPre) == "ExecStartPre= runs")
        let operations: [PhaseName] = [
            .waiting, .prepare, .start, .soak, .hold, .cutOver, .drain, .rollBack, .stopOld, .restore, .stop, .reload,
        ]
        #expect(Set(operations.map(Wording.name)).count == operations.count)
    }
}
