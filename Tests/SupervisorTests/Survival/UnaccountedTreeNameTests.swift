import Engine
import Testing

@testable import Supervisor

@Suite("What names of left-over process trees say")
struct UnaccountedTreeNameTests {
    @Test("unit, generation and instance; the number of a socket unit's command; nothing of what is no such name")
    func parsed() {
        func name(_ text: String) -> UnaccountedTreeName { UnaccountedTreeName(text, directory: text) }
        let whole = name("app@v2.service#3.12")
        #expect(whole.unit == "app@v2.service" && whole.generation == 3 && whole.instance == 12 && whole.command == nil)
        let hash = name("a#b.service#1.2")
        #expect(hash.unit == "a#b.service" && hash.generation == 1 && hash.instance == 2)
        let command = name("http.socket#5")
        #expect(command.unit == "http.socket" && command.command == 5 && command.instance == nil)
        for text in ["other", "x#", "x#a.b", "x#99999999999999999999999.1"] {
            #expect(name(text).generation == nil, "\(text)")
        }
        #expect(name("other").unit == "other")
    }

    @Test("Numbers of a life of which nothing is known are not given again")
    func reserved() {
        var engine = Engine()
        let group = GroupID("app.service")
        engine.reserve(
            instances: [InstanceID(number: 12), InstanceID(number: 7)],
            generations: [GenerationID(group: group, number: 3)], at: Instant(nanoseconds: 5))
        #expect(engine.newInstanceID().number == 13)
        #expect(engine.view(of: group)?.lastNumber == 3 && engine.view(of: group)?.since == Instant(nanoseconds: 5))
        engine.recordEndOfUnknownProcesses(group, at: Instant(nanoseconds: 9))
        #expect(engine.view(of: group)?.since == Instant(nanoseconds: 9))
    }

    @Test("What is ended gets the kill signal, and SIGKILL once when its time is over")
    func ending() {
        var ending = UnknownTreeEnding(signal: .interrupt, timeout: .seconds(5), sendsFinalKill: true)
        let start = Instant(nanoseconds: 1_000)
        #expect(ending.firstStep(at: start) == .signal(.interrupt))
        #expect(ending.nextStep(at: start + .seconds(4)) == nil)
        #expect(ending.nextStep(at: start + .seconds(5)) == .kill)
        #expect(ending.nextStep(at: start + .seconds(6)) == nil)
        var patient = UnknownTreeEnding(timeout: .seconds(5), sendsFinalKill: false)
        #expect(patient.firstStep(at: start) == .signal(.terminate))
        #expect(patient.deadline == nil)
    }
}
