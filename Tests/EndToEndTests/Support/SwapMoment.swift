import ControlProtocol
import Foundation
import Testing

/// A moment of a swap of `site`, at which a test disturbs the supervisor.
enum SwapMoment: String, CaseIterable {
    case backendStarts, startPre, soak, hold, drain, rollBack, stopOld

    /// Writes the units of `site`, and a release v2 that stays in this moment as long as a test needs.
    func layOut(_ layout: World.Layout) throws {
        try layout.site(
            swap: "SoakSec=1s\nReadyTimeoutSec=20s\n" + (self == .stopOld ? "Strategy=queue" : ""),
            edge: "ExecStartPre=/bin/sleep 0.7")
        if self == .backendStarts { try layout.release("v2", "--ready-delay 3") }
        if self == .rollBack { try layout.release("v2", "--ignore-sigterm --unhealthy") }
    }

    /// The outcome of the swap.
    var outcome: OperationOutcome { self == .rollBack ? .aborted : .completed }

    /// Swaps from v1 to v2 under load without a lost request, and calls `disturb` at the moment. The swap then ends as
    /// it would have, and its waiting clients get the result.
    func disturb(_ world: World, _ disturb: () throws -> Void) throws {
        #expect(try world.run("swap", "site@v1").outcome == .started)
        let pending = try RawConnection(port: world.port)
        let isPending = self == .drain || self == .stopOld
        if isPending {
            try pending.send("GET / HTTP/1.1\r\n")
            try eventually("the connection to be accepted") { try pending.isAccepted(by: world) }
        }
        try underLoad(world, until: self == .rollBack ? "v1" : "v2") { loads in
            for load in loads { try load.waitForAnswer("v1") }
            let (swap, abort) = try begin(world)
            try disturb()
            if isPending {
                try pending.send("Host: x\r\n\r\n")
                #expect(try pending.readAnswer().hasSuffix("v1"))
            }
            if self == .hold { #expect(try world.run("promote", "site").outcome == .completed) }
            if self != .hold {
                let end = try swap.end()
                #expect(end.outcome == outcome, "\(end.output)\(end.errors)")
            }
            if let abort { #expect(try abort.end().outcome == .aborted) }
            try eventually("the history of the swap") { try world.history().first?.outcome == outcome }
        }
        let serving = self == .rollBack ? 1 : 2
        try eventually("one generation") { try world.generations("site").map(\.number) == [serving] }
    }

    /// Begins the swap and waits for this moment; for the roll-back also returns the operation that caused it.
    private func begin(_ world: World) throws -> (swap: Operation, abort: Operation?) {
        let swap = try self == .hold ? world.begin("swap", "--hold", "site@v2") : world.begin("swap", "site@v2")
        switch self {
        case .backendStarts: try swap.waitFor("the start") { $0.service == "app@v2.service" }
        case .startPre: try swap.waitFor("the start") { $0.service == "edge@v2.service" }
        case .soak: try swap.waitFor(.soak)
        case .hold: #expect(try swap.end().status == 0)
        case .drain: try swap.waitFor(.drain)
        case .stopOld: try swap.waitFor(.cutOver)
        case .rollBack:
            try swap.waitFor("the start") { $0.service == "app@v2.service" }
            let abort = try world.begin("abort", "site")
            try swap.waitFor(.rollBack)
            return (swap, abort)
        }
        return (swap, nil)
    }
}
