import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// Swaps of single members of a target, plain units, and the two strategies.
    @Suite struct Shapes {
        @Test("A backend behind a shared private socket is swapped alone: the proxy stays, no request is lost")
        func backendAlone() throws {
            try withWorld { layout in
                try layout.site()
                try layout.unit(
                    "app@.socket", "[Socket]\nListenStream=%t/site/app.sock\nX-Scope=shared\nRemoveOnStop=yes\n")
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                let proxy = try world.mainPid("edge@v1.service")
                try underLoad(world, until: "v2") { loads in
                    for load in loads { try load.waitForAnswer("v1") }
                    let swap = try world.run("swap", "app@v2")
                    #expect(swap.outcome == .completed, "\(swap.output)")
                    for load in loads { load.forgetAnswers() }
                }
                #expect(try world.mainPid("edge@v1.service") == proxy)
                let serving = try world.generations("site")
                #expect(serving.map(\.number) == [2], "a member that is swapped alone takes the target's next number")
                #expect(Set(serving.flatMap(\.services).map(\.unit)) == ["app@v2.service", "edge@v1.service"])
            }
        }

        @Test("The proxy is swapped alone: the backend stays, no request is lost")
        func proxyAlone() throws {
            try withWorld {
                try $0.site()
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                let backend = try world.mainPid("app@v1.service")
                let proxy = try Watched(world.mainPid("edge@v1.service"))
                try underLoad(world, until: "v1") { loads in
                    for load in loads { try load.waitForAnswer("v1") }
                    let swap = try world.run("swap", "edge@v1")
                    #expect(swap.outcome == .completed, "\(swap.output)")
                    #expect(proxy.hasEnded)
                    for load in loads { load.forgetAnswers() }
                }
                #expect(try world.mainPid("app@v1.service") == backend)
            }
        }

        @Test("A backend with a socket of its generation takes its proxy along, and says so")
        func takesAlong() throws {
            try withWorld {
                try $0.site()
            } then: { world in
                #expect(try world.run("swap", "site@v1").outcome == .started)
                try underLoad(world, until: "v3") { loads in
                    let swap = try world.run("swap", "app@v3")
                    #expect(swap.outcome == .completed, "\(swap.output)")
                    #expect(swap.result?.notes.contains { $0.contains("edge@v3.service") } == true, "\(swap.output)")
                    for load in loads { load.forgetAnswers() }
                }
                let services = try world.generations("site").flatMap(\.services).map(\.unit)
                #expect(Set(services) == ["app@v3.service", "edge@v3.service"])
            }
        }

        @Test("Strategy=queue: the two generations never run together, connections wait, nobody is refused")
        func queue() throws {
            try withWorld {
                try $0.web(swap: "Strategy=queue")
            } then: { world in
                #expect(try world.run("swap", "web@v1").outcome == .started)
                // Keep-alive clients need a notice when their server leaves, and holdfast-static gives it.
                try underLoad(world, until: "v2") { loads in
                    for load in loads { try load.waitForAnswer("v1") }
                    let old = try Watched(world.mainPid("web@v1.service"))
                    let swap = try world.begin("swap", "web@v2")
                    try swap.waitFor("the new one's start") { $0.service == "web@v2.service" }
                    #expect(old.hasEnded, "the new generation was started while the old one ran")
                    #expect(try swap.end().outcome == .completed)
                    for load in loads { load.forgetAnswers() }
                }
                #expect(try world.run("swap", "--hold", "web@v3").status == 1, "both cannot be held")
            }
        }

        @Test("Strategy=queue: a bad release is replaced by the old one again, and who waited is served")
        func queueRollsBack() throws {
            try withWorld { layout in
                try layout.web(swap: "Strategy=queue")
                try layout.release("v2", "--exit-at-start 4")
            } then: { world in
                #expect(try world.run("swap", "web@v1").outcome == .started)
                try underLoad(world, until: "v1") { loads in
                    let swap = try world.run("swap", "web@v2")
                    #expect(swap.outcome == .rolledBack)
                    #expect(swap.status == 7)
                    for load in loads { load.forgetAnswers() }
                }
                #expect(try world.generations("web").map(\.release) == ["v1"])
            }
        }

        @Test("A plain unit with [X-Swap] is swapped to its present files")
        func plainUnit() throws {
            try withWorld {
                try $0.plain()
            } then: { world in
                #expect(try world.run("start", "app").outcome == .started)
                try underLoad(world, until: "v2") { loads in
                    for load in loads { try load.waitForAnswer("v1") }
                    try world.layout().body("v2")
                    #expect(try world.run("swap", "app").outcome == .completed)
                    for load in loads {
                        load.forgetAnswers()
                        try load.waitForAnswer("v2")
                    }
                    try world.layout().body("v3", "--exit-at-start 2")
                    let bad = try world.run("swap", "app")
                    #expect(bad.outcome == .rolledBack)
                    #expect(bad.status == 7)
                    for load in loads { load.forgetAnswers() }
                }
                #expect(try world.generations("app").map(\.number) == [2])
            }
        }

        @Test("A service without [X-Swap] is started, restarted and stopped as systemd does it; swap is refused")
        func notSwappable() throws {
            try withWorld { layout in
                try layout.unit("job.service", "[Service]\nExecStart=/bin/sleep infinity\n")
            } then: { world in
                #expect(try world.run("start", "job").outcome == .started)
                let first = try Watched(world.mainPid("job.service"))
                #expect(try world.run("swap", "job").output.contains("NotSwappable"))
                #expect(!first.hasEnded)
                let restart = try world.run("restart", "job")
                #expect(restart.status == 0, "\(restart.output)")
                #expect(first.hasEnded)
                #expect(try world.run("stop", "job").outcome == .stopped)
            }
        }
    }
}
