import Foundation
import Testing

/// Clients that send requests continuously. A request is never repeated, so every lost one is counted.
final class Load {
    private let program: Program
    private var read = 0

    struct Tally: Decodable {
        var requests: Int
        var ok: Int
        var lost: Int
        var losses: [String: Int]
        var bodies: [String: Int]
    }

    enum Kind { case newConnections, keepAlive }

    init(_ url: String, _ kind: Kind, clients: Int = 4, rate: Int? = 400) throws {
        var arguments = ["-c", "\(clients)", "--json", "--strip-all", "--timeout", "20"]
        if let rate { arguments += ["--rate", "\(rate)"] }
        if kind == .keepAlive { arguments.append("--keep-alive") }
        program = try Program("\(World.binaries)/holdfast-probe", arguments + [url])
    }

    deinit { program.killIfAlive() }

    /// Waits until a client gets this body; each call considers only answers after those that the previous call saw.
    func waitForAnswer(_ body: String) throws {
        let from = read
        read = try program.waitFor("the answer \(body)") { _, errors in
            guard from <= errors.count else { return nil }
            let text = Array(body.utf8)
            var index = from
            while index + text.count <= errors.count {
                if errors[index] == text[0], errors[index..<(index + text.count)].elementsEqual(text) {
                    return index + text.count
                }
                index += 1
            }
            return nil
        }
    }

    /// Waits until answers stop: none within half a second, in which at this rate hundreds would arrive. (The absence
    /// of answers sends no event that could be awaited.)
    func waitForSilence() throws {
        var seen = -1
        var since = Date()
        try eventually("silence") {
            if program.errorCount != seen { (seen, since) = (program.errorCount, Date()) }
            return Date().timeIntervalSince(since) > 0.5
        }
        read = seen
    }

    /// Ignores all answers so far.
    func forgetAnswers() { read = program.errorCount }

    /// Waits for requests in flight.
    func end() throws -> Tally {
        program.send(SIGINT)
        try program.end()
        return try JSONDecoder().decode(Tally.self, from: Data(program.outputText.utf8))
    }
}

/// Sends requests (new connections, keep-alive clients) while `body` runs; none may be lost. Returns all bodies.
@discardableResult
func underLoad(
    _ world: World, _ kinds: [Load.Kind] = [.newConnections, .keepAlive], until last: String? = nil,
    mayLose: Int = 0, _ body: ([Load]) throws -> Void
) throws -> [String: Int] {
    let loads = try kinds.map { try Load(world.url, $0) }
    try body(loads)
    if let last {
        for load in loads { try load.waitForAnswer(last) }
    }
    var bodies: [String: Int] = [:]
    var lost = 0
    for (kind, load) in zip(kinds, loads) {
        let tally = try load.end()
        lost += tally.lost
        #expect(lost <= mayLose, "\(kind): \(tally.losses) of \(tally.requests)")
        #expect(tally.ok > 0, "\(kind): nobody was answered")
        bodies.merge(tally.bodies, uniquingKeysWith: +)
    }
    return bodies
}
