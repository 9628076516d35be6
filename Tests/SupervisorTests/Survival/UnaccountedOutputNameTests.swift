import Linux
import Testing

@testable import Supervisor

@Suite("Names of services' FIFOs")
struct UnaccountedOutputNameTests {
    @Test("unit, generation and stream are found in them, and nothing in other names")
    func parts() {
        let whole = UnaccountedOutputName("7-app@v2.service#3.out")
        #expect(whole?.unit == "app@v2.service" && whole?.generation == 3 && whole?.stream == .out)
        let again = UnaccountedOutputName("xx7-a-b.service#12.err")
        #expect(again?.unit == "a-b.service" && again?.generation == 12 && again?.stream == .err)
        let long = UnaccountedOutputName("1-\(String(repeating: "a", count: 200)).out")
        #expect(long?.unit.count == 200 && long?.generation == nil)
        for name in ["", "7", "7-app.service#3", "7-app.service#3.log", ".out"] {
            #expect(UnaccountedOutputName(name) == nil)
        }
    }
}
