import Testing
import Vocabulary

@testable import Engine

@Suite struct NotifyAccessTests {
    @Test("NotifyAccess= admits main processes, commands and other processes as systemd does")
    func table() {
        let admitted: [NotifyAccess: [NotifyAccess.SenderRole]] = [
            .none: [], .main: [.main], .exec: [.main, .command], .all: [.main, .command, .other],
        ]
        for access in [NotifyAccess.none, .main, .exec, .all] {
            #expect(NotifyAccess.SenderRole.allCases.filter(access.allows) == admitted[access], "\(access)")
        }
        #expect(ServiceCommand.start(0).senderRole == .main)
        #expect(ServiceCommand.startPre(0).senderRole == .command && ServiceCommand.stop(1).senderRole == .command)
    }

    @Test("the answer for fields that the supervisor handles is the answer for those that the engine handles")
    func oneRule() throws {
        for access in [NotifyAccess.none, .main, .exec, .all] {
            var bench = Bench()
            bench.hanging = ["startPre app.service"]
            bench.start(
                Plans.service("app.service") {
                    ($0.type, $0.notifyAccess) = (.notify, access)
                    $0.commands.startPre = [.no]
                })
            let id = try #require(bench.instance("app.service"))
            let command = try #require(bench.engine.controlProcess(of: id))
            #expect(bench.engine.accepts(messagesFrom: .process(command), of: id) == access.allows(.command))
            bench.endControl("startPre app.service")
            #expect(!bench.engine.accepts(messagesFrom: .process(command), of: id), "its end has been handled (I6)")
            let main = try #require(bench.engine.mainProcess(of: id))
            #expect(bench.engine.accepts(messagesFrom: .process(main), of: id) == access.allows(.main))
            #expect(bench.engine.accepts(messagesFrom: .other, of: id) == access.allows(.other))
        }
    }

    @Test("only the first command of an automatic restart may wait for the end of a shortage")
    func postponement() throws {
        var bench = Bench()
        bench.start(Plans.service("app.service") { $0.type = .notify })
        let id = try #require(bench.instance("app.service"))
        #expect(!bench.engine.mayPostpone(.start(0), of: id), "the start waits for the answer")
        bench.ready("app.service")
        #expect(bench.engine.mayPostpone(.start(0), of: id) && bench.engine.mayPostpone(.startPre(0), of: id))
        #expect(!bench.engine.mayPostpone(.stop(0), of: id) && !bench.engine.mayPostpone(.startPost(0), of: id))
    }
}
