import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    @Suite struct Swaps {
        @Test("A swap of proxy and backend loses no request, with new connections and with keep-alive clients")
        func swap() throws {
            try withWorld {
                try $0.site()
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                let bodies = try underLoad(world, until: "v2") { loads in
                    for load in loads { try load.waitForAnswer("v1") }
                    let swap = try world.run("swap", "site@v2")
                    #expect(swap.outcome == .completed, "\(swap.errors)")
                    #expect(swap.status == 0)
                    #expect(swap.result?.fromRelease == "v1")
                    #expect(swap.result?.unit == "site@v2.target")
                    let own = swap.progress.filter { $0.phase != .drain }
                    #expect(Set(own.map(\.unit)) == ["site@v2.target"])
                    let phases = own.map(\.phase)
                    // The private tier soaks before the public one is executed, and only then is everything verified.
                    let steps: [SwapPhase] = [.prepare, .start, .soak, .verify, .cutOver, .record]
                    let places = steps.map { phases.firstIndex(of: $0) ?? -1 }
                    #expect(places == places.sorted() && places[0] >= 0 && phases.last == .record, "\(phases)")
                    #expect(world.processes(generation: 1).map(\.description) == [])
                    for load in loads { load.forgetAnswers() }
                }
                #expect(Set(bodies.keys) == ["v1", "v2"])
                let history = try world.history()
                #expect(history.map(\.outcome) == [.completed, .started])
                #expect(history.first?.drained?.generation == 1 && history.first?.drained?.forced == nil)
                #expect(history.first?.who?.uid == Int(geteuid()))
                #expect(history.first?.from == GenerationReference(generation: 1, release: "v1"))
                #expect(history.first?.to == GenerationReference(generation: 2, release: "v2"))
            }
        }

        @Test("The demo's own units and releases: v1 to v2 without a loss, v3-bad rolled back without a loss")
        func demo() throws {
            let demo = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .deletingLastPathComponent().appendingPathComponent("units/demo").path
            try withWorld { layout in
                let prepared = try Program.run("\(demo)/prepare", [layout.path, World.binaries, "\(layout.port)"])
                try #require(try prepared.end() == 0, "\(prepared.errorText)")
                // %E is /etc for the system's supervisor, and `prepare`'s directory for a user's: here both get the
                // same directory.
                for name in ["app@.service", "edge@.service"] {
                    let file = "\(layout.path)/units/\(name)"
                    let text = try String(contentsOfFile: file, encoding: .utf8)
                    try layout.unit(name, text.replacingOccurrences(of: "%E/", with: "\(layout.path)/config/"))
                }
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                try underLoad(world, until: "V2") { loads in
                    for load in loads { try load.waitForAnswer("V1") }
                    #expect(try world.run("swap", "site@v2").outcome == .completed)
                    for load in loads { try load.waitForAnswer("V2") }
                    let bad = try world.run("swap", "site@v3-bad")
                    #expect(bad.outcome == .rolledBack)
                    #expect(bad.status == 7)
                    #expect(bad.reason?.probeAnswer?.contains("503") == true, "\(bad.output)")
                    for load in loads { load.forgetAnswers() }
                }
            }
        }
    }
}
