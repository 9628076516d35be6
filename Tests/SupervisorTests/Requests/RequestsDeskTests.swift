import ControlProtocol
import Linux
import Testing

@testable import Engine
@testable import Supervisor

@Suite("Requests on the simulated machine")
struct RequestsDeskTests {
    private let name = RequestIdentity("0123456789abcdef-request")!

    /// One request of each method.
    static let requests: [Request] = [
        .getInfo, .getInterfaceDescription(interface: "io.holdfast.Manager"), .describe, .status(names: ["a"]),
        .list(names: nil, sockets: true), .why(name: "a"), .show(name: "a"), .history(name: "a", limit: 3),
        .generations(name: nil), .sockets, .cat(name: "a"), .events(names: ["a"]), .logs(LogQuery(names: ["a"])),
        .verify(names: nil), .dependencies(name: "a"), .unitFileStates(names: ["a"]),
        .start(name: "a", hold: true), .stop(name: "a", with: ["b"]), .restart(name: "a", hard: true),
        .reload(name: "a"), .swap(name: "a", hold: false), .promote(name: "a"), .abort(name: "a"),
        .rollback(name: "a"), .drain(name: "a", now: true), .adopt(name: "a"), .shutdown,
        .signal(name: "a", signal: "HUP", who: .all), .pause(name: "a"), .resume(name: "a"), .forget(name: "a"),
        .resetFailed(names: ["a"]), .update, .reexec, .clearLogs(name: "a"), .input(name: "a", text: "x\n"),
        .install(.enable, names: ["a"], runtime: true), .install(.disable, names: ["a"], runtime: false),
        .install(.mask, names: ["a"], runtime: false), .install(.unmask, names: ["a"], runtime: false),
    ]

    @Test("The list above has every method but Outcome")
    func allMethods() {
        let methods = Set(Self.requests.map(\.method.name) + ["io.holdfast.Manager.Outcome"])
        #expect(methods == Set(ControlProtocol.Method.all.map(\.name)))
    }

    @Test(
        "Each method reaches its handler as it was sent, for those who may call it; others are told who may",
        arguments: requests)
    func access(request: Request) throws {
        let bench = try RequestsBench()
        let denied = { (required: String) in ControlError.permissionDenied(required: required) }
        let expected: [(gid: UInt32, error: ControlError?)] =
            switch request.method.access {
            case .everyone: [(4, nil), (501, nil), (500, nil)]
            case .readers, .requester:
                [(4, denied("root, group holdfast or group holdfast-read")), (501, nil), (500, nil)]
            case .operators:
                [(4, denied("root or group holdfast")), (501, denied("root or group holdfast")), (500, nil)]
            }
        for (gid, error) in expected {
            bench.handled = []
            let replies = try bench.ask(request, more: true, uid: 1000, gid: gid)
            #expect(replies.map(\.failure) == [error])
            #expect(bench.handled == (error == nil ? [request] : []))
        }
        #expect(try bench.ask(request, more: true).map(\.failure) == [nil], "root may do everything")
    }

    @Test(
        "A request with effects that the engine does not decide is in the journal before its handler runs",
        arguments: requests)
    func recordedFirst(request: Request) throws {
        let bench = try RequestsBench()
        var recorded: Bool?
        bench.handler = { _, _, _ in
            recorded = bench.journal.records["q\(self.name)"] != nil
            return Reply()
        }
        guard request.method.changesSomething else { return }
        _ = try bench.ask(request, as: name)
        #expect(recorded == (request.method.effect == .immediate))
        #expect(bench.journal.records["q\(name)"] != nil, "its answer is recorded before it is sent")
    }

    @Test("A repeated request is answered like the first, and carried out once; another under its name is refused")
    func repeated() throws {
        let bench = try RequestsBench()
        bench.handler = { _, _, _ in Reply(SignalReply(pids: [4711])) }
        let signal = Request.signal(name: "a", signal: "HUP", who: .main)
        let first = try bench.ask(signal, as: name)
        #expect(try bench.ask(signal, as: name) == first && bench.handled.count == 1)
        #expect(
            try bench.ask(.stop(name: "a"), as: name).first?.failure == .invalidParameter(parameter: "request"))
        #expect(
            try bench.ask(signal, uid: 1000, gid: 500, as: name).first?.failure
                == .permissionDenied(required: "root or the user who made the request"))
        #expect(bench.handled.count == 1)
    }

    @Test("Outcome waits for a request in progress, and then has its answer; the operation does not need its client")
    func outcome() throws {
        let bench = try RequestsBench()
        var id: RequestID?
        bench.handler = { _, call, peer in
            id = bench.requests.make(call: call, group: GroupID("a.service"), kind: .stop, peer: peer)
            return nil
        }
        let client = try bench.client()
        client.call(.stop(name: "a"), as: name)
        bench.run()
        client.disconnect()
        bench.run()
        let asking = try bench.client()
        asking.call(.outcome(of: name), more: true)
        bench.run()
        #expect(asking.replies == [])
        let request = try #require(id)
        let result = OperationResult(outcome: .stopped, unit: "a.service")
        bench.requests.end(try #require(bench.requests.remove(request)), request, result)
        bench.run()
        let reply = try #require(asking.takeReplies().first?.outcome)
        #expect(try reply.parameters.decode(OperationReply.self).result == result)
        #expect(try bench.ask(.outcome(of: name)).first?.outcome == reply)
    }

    @Test("Of a request that was never made nothing is known, and since when that would be known")
    func absent() throws {
        let bench = try RequestsBench()
        bench.world.schedule(after: 5_000_000_000) {}
        _ = bench.world.run(for: 6_000_000_000)
        guard case .noSuchRequest(let request, let since) = try bench.ask(.outcome(of: name)).first?.failure else {
            Issue.record("another error")
            return
        }
        #expect(request == name.description && since > 4.9)
    }

    @Test(
        "After a crash: an answered request has its answer, an acted one is unknown, a decided one never began, one in progress waits on"
    )
    func crash() throws {
        let bench = try RequestsBench()
        let (answered, acted, decided, waiting) = (
            name, RequestIdentity("acted-0123456789abcdef")!, RequestIdentity("decided-0123456789abcdef")!,
            RequestIdentity("waiting-0123456789abcdef")!
        )
        let reply = try bench.ask(.forget(name: "a"), as: answered)
        bench.handler = { _, _, _ in nil }
        _ = try bench.ask(.signal(name: "a", signal: "HUP", who: .main), as: acted)
        _ = try bench.ask(.stop(name: "a"), as: decided)
        var id: RequestID?
        bench.handler = { _, call, peer in
            id = bench.requests.make(call: call, group: GroupID("b.service"), kind: .stop, peer: peer)
            return nil
        }
        _ = try bench.ask(.stop(name: "b"), as: waiting)
        // The engine's decision is written together with the request.
        bench.requests.recordChanges()
        bench.journal.flush()
        try bench.restart(alive: [try #require(id)])
        #expect(try bench.ask(.outcome(of: answered)).first?.outcome == reply.first)
        #expect(try bench.ask(.outcome(of: acted)).first?.failure == .outcomeUnknown(request: acted.description))
        #expect(try bench.ask(.outcome(of: decided)).first?.failure?.name.hasSuffix("NoSuchRequest") == true)
        let asking = try bench.client()
        asking.call(.outcome(of: waiting))
        bench.run()
        #expect(asking.replies == [])
        let request = try #require(id)
        let pending = try #require(bench.requests.remove(request))
        bench.requests.end(pending, request, OperationResult(outcome: .stopped, unit: "b.service"))
        bench.run()
        #expect(asking.replies.count == 1)
    }

    @Test("A request that cannot be carried out now is refused, and that refusal is its outcome")
    func refused() throws {
        let bench = try RequestsBench()
        bench.refusal = .failed(message: "nothing was begun: the disk is full")
        #expect(try bench.ask(.start(name: "a", hold: false), as: name).first?.failure == bench.refusal)
        #expect(bench.handled.isEmpty)
        #expect(try bench.ask(.outcome(of: name)).first?.outcome?.failure == bench.refusal)
        #expect(try bench.ask(.describe).first?.failure == nil, "a question needs no room")
    }

    @Test(
        "A request for several units is answered once, after its last part; a failed part fails it, with the first reason"
    )
    func batch() throws {
        let bench = try RequestsBench()
        var parts: [RequestID] = []
        bench.handler = { _, call, peer in
            let batch = bench.requests.makeBatch(call, named: "all.target", notes: ["note"], outcome: .started)
            for unit in ["a.service", "b.service"] {
                bench.requests.addPart(to: batch)
                parts.append(bench.requests.make(group: GroupID(unit), kind: .start, peer: peer, batch: batch))
            }
            parts.append(bench.requests.make(group: GroupID("all.target"), kind: .start, peer: peer, batch: batch))
            return nil
        }
        let client = try bench.client()
        client.call(.start(name: "all", hold: false), as: name)
        bench.run()
        let failure = FailureReport(unit: "b.service", phase: .start, message: "cannot start b.service: no")
        let results = [
            OperationResult(outcome: .started, unit: "a.service"),
            OperationResult(outcome: .failed, unit: "b.service", reason: failure),
            OperationResult(outcome: .started, unit: "all.target"),
        ]
        for (part, result) in zip(parts, results) {
            #expect(client.replies == [])
            bench.requests.end(try #require(bench.requests.remove(part)), part, result)
            bench.run()
        }
        let reply = try #require(client.replies.first)
        let result = try #require(try reply.parameters.decode(OperationReply.self).result)
        #expect(result.outcome == .failed && result.reason == failure && result.unit == "all.target")
        #expect(result.notes == ["note", "a.service: started", "b.service: failed", "all.target: started"])
    }

    @Test("What the journal cannot hold is said with every result")
    func journalTrouble() throws {
        let bench = try RequestsBench()
        bench.journal.isBehind = true
        bench.journal.trouble = "the journal cannot be written"
        bench.handler = { _, call, peer in
            let id = bench.requests.make(call: call, group: GroupID("a.service"), kind: .stop, peer: peer)
            bench.requests.end(bench.requests.remove(id)!, id, OperationResult(outcome: .stopped, unit: "a.service"))
            return nil
        }
        let reply = try #require(try bench.ask(.stop(name: "a")).first)
        #expect(try reply.parameters.decode(OperationReply.self).result?.notes == ["the journal cannot be written"])
    }
}
