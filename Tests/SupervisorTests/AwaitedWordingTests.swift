import Testing

@testable import Engine
@testable import Supervisor

@Suite("What services wait for, in words")
struct AwaitedWordingTests {
    private func sentence(_ awaited: Awaited?, _ cause: Failure.Cause = .timedOut(.seconds(3))) -> String {
        var failure = Failure(unit: "app.service", step: .readiness, cause: cause)
        failure.awaited = awaited
        return Wording.sentence(failure)
    }

    @Test("a failure names what did not come, and what came in its place")
    func failures() {
        let late = "cannot start app.service: timed out after 3 s"
        #expect(sentence(nil) == late)
        #expect(sentence(.readyMessage(refused: nil)) == "\(late): it has not sent READY=1")
        #expect(
            sentence(.readyMessage(refused: "process 17 (sh)"))
                == "\(late): READY=1 came only from process 17 (sh), which NotifyAccess= does not permit")
        let note = SearchNote(
            pidFile: "/run/app.pid", finding: "it names 1 (init), which is no process of this service")
        #expect(
            sentence(.mainProcess(note))
                == "\(late): PIDFile=/run/app.pid: it names 1 (init), which is no process of this service")
        #expect(sentence(.probe(nil)) == "\(late): its probe has not answered")
        #expect(
            sentence(.command(.startPre(0)))
                == "cannot start app.service: ExecStartPre= timed out after 3 s")
        #expect(
            sentence(.probe("503"), .probe("503")) == "cannot start app.service: its probe failed: 503")
    }

    /// One value of each case: a new case must be added here.
    private static let all: [Awaited] = [
        .units([]), .units(["app.service"]), .conditions, .command(.stop(0)), .execution, .readyMessage(refused: nil),
        .readyMessage(refused: "process 1"), .mainProcess(nil), .probe(nil), .probe("503"), .reloadingMessage,
        .reloadedMessage, .mainExit, .lastProcess, .announcedEnd,
    ]

    @Test("every wait has words of its own")
    func waits() {
        let texts = Self.all.map { Wording.awaited($0, of: nil) }
        #expect(texts.allSatisfy { !$0.isEmpty } && Set(texts).count == texts.count)
    }
}
