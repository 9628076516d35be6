import Testing

@testable import ControlProtocol

private func request(_ method: String, _ parameters: String = "{}", more: Bool = false) throws -> Request {
    try Request(
        Call(message: Array(#"{"method":"\#(method)","parameters":\#(parameters),"more":\#(more)}"#.utf8)))
}

private let manager = "io.holdfast.Manager."

@Suite("Understanding requests")
struct RequestTests {
    @Test("Every request is sent with the documented parameters and understood again")
    func roundTrip() throws {
        for (original, parameters) in Samples.requests {
            let call = original.call(more: original.repliesWithMore)
            #expect(call.parameters.description == parameters)
            #expect(try Request(Call(message: Array(call.encoded().dropLast()))) == original)
            // What needs nothing may be asked with an empty object or with none.
            if parameters == "{}" {
                #expect(try request(original.method.name, "{}", more: original.repliesWithMore) == original)
            }
        }
        let methods = Set(Samples.requests.map(\.request.method.name))
        #expect(methods == Set(Method.all.map(\.name)))
    }

    @Test("An unknown interface, an unknown method and an upgrade are told apart")
    func unknown() {
        #expect(throws: ControlError.interfaceNotFound(interface: "io.other")) { try request("io.other.Swap") }
        #expect(throws: ControlError.interfaceNotFound(interface: "")) { try request("Swap") }
        #expect(throws: ControlError.methodNotFound(method: manager + "Swop")) { try request(manager + "Swop") }
        #expect(throws: ControlError.methodNotFound(method: "org.varlink.service.X")) {
            try request("org.varlink.service.X")
        }
        #expect(throws: ControlError.methodNotImplemented(method: manager + "Sockets")) {
            try Request(Call(method: manager + "Sockets", upgrade: true))
        }
    }

    @Test(
        "The parameter that is missing, misspelt or mistyped is named",
        arguments: [
            ("Swap", "{}", "name"), ("Swap", #"{"name":1}"#, "name"), ("Swap", #"{"name":null}"#, "name"),
            ("Swap", #"{"name":"a","hold":"yes"}"#, "hold"), ("Swap", #"{"name":"a","wait":true}"#, "wait"),
            ("Status", #"{"names":"a"}"#, "names"), ("Status", #"{"names":["a",1]}"#, "names"),
            ("Status", #"{"name":["a"]}"#, "name"), ("History", #"{"limit":-1}"#, "limit"),
            ("History", #"{"limit":1.5}"#, "limit"), ("History", #"{"limit":1e400}"#, "limit"),
            ("Signal", #"{"name":"a"}"#, "signal"), ("Signal", #"{"name":"a","signal":"HUP","who":"me"}"#, "who"),
            ("Sockets", #"{"x":1}"#, "x"), ("Swap", #"{"name":"\ud800"}"#, "name"),
        ])
    func invalidParameter(method: String, parameters: String, named: String) {
        #expect(throws: ControlError.invalidParameter(parameter: named)) { try request(manager + method, parameters) }
    }

    @Test(
        "A line of a log is asked for in words that a program's arguments can hold",
        arguments: [
            (#"{"lines":-1}"#, "lines"), (#"{"lines":100001}"#, "lines"), (#"{"since":"yesterday"}"#, "since"),
            (#"{"until":"2026-13-01T00:00:00Z"}"#, "until"), (#"{"stream":"log"}"#, "stream"),
            (#"{"grep":"a\u0000b"}"#, "grep"), (#"{"names":["a\u0000b"]}"#, "names"), (#"{"tail":true}"#, "tail"),
        ])
    func logQuery(parameters: String, named: String) {
        #expect(throws: ControlError.invalidParameter(parameter: named)) {
            try request(manager + "Logs", parameters, more: true)
        }
    }

    @Test("Every request that changes something may have a name, and is the same request under it; no other has one")
    func names() throws {
        for (original, _) in Samples.requests {
            let call = original.call(as: Samples.identity)
            let read = try Call(message: Array(call.encoded().dropLast()))
            if original.method.changesSomething {
                #expect(try Request(read) == original)
                #expect(try ValidCall(read).identity == Samples.identity)
                #expect(try ValidCall(original.call(more: original.repliesWithMore)).identity == nil)
            } else if case .outcome = original {
                continue
            } else if !original.repliesWithMore || original == .events(names: nil) {
                #expect(throws: ControlError.self) { try Request(read) }
            }
        }
    }

    @Test(
        "A name that is too short, too long or of other characters is refused, and so is what is no text",
        arguments: [
            #""""#, #""0123456789abcde""#, "\"\(String(repeating: "x", count: 65))\"", #""0123456789abcdef\u0000""#,
            #""0123456789abcde/""#, #""0123456789abcd\n ""#, #""0123456789abcdé""#, "7", "[]", "{}", "true",
            "\"\(String(repeating: "x", count: 100_000))\"",
        ])
    func badNames(json: String) throws {
        let call = try Call(
            message: Array(#"{"method":"\#(manager)Stop","parameters":{"name":"a","request":\#(json)}}"#.utf8))
        #expect(throws: ControlError.invalidParameter(parameter: "request")) { try ValidCall(call) }
        #expect(throws: ControlError.invalidParameter(parameter: "request")) {
            try request(manager + "Outcome", #"{"request":\#(json)}"#)
        }
    }

    @Test("A name is random, and no two are the same")
    func random() {
        let names = (0..<1000).map { _ in RequestIdentity.random() }
        #expect(Set(names).count == 1000)
        #expect(names.allSatisfy { $0.description.utf8.count == 32 && RequestIdentity($0.description) == $0 })
    }

    @Test("An answer goes through Outcome as it was given")
    func outcomes() throws {
        let answers = [
            Reply(OperationReply(result: Samples.result)), Reply(parameters: .empty),
            Reply(ControlError.failed(message: "a \"quoted\" cause")),
        ]
        for answer in answers {
            let told = try Reply(message: Array(Reply(outcome: answer).encoded().dropLast()))
            #expect(told.error == nil && told.outcome == answer)
        }
        #expect(Reply(parameters: .empty).outcome == nil)
        #expect(Reply(parameters: try JSONObject(encoding: ["parameters": 1])).outcome == nil)
    }

    @Test("A stream without an end is only for those who take more than one reply")
    func expectsMore() {
        #expect(throws: ControlError.expectedMore) { try request(manager + "Events") }
        #expect(throws: ControlError.expectedMore) { try request(manager + "Logs") }
    }

    @Test("Only what changes something needs authority, and nothing that changes something goes without")
    func authority() {
        for method in Method.all { #expect((method.access == .operators) == method.changesSomething, "\(method.name)") }
        let questions = Method.all.filter { !$0.changesSomething && $0.access != .everyone }.map(\.name)
        let names = [
            "Describe", "Status", "History", "Generations", "Sockets", "Cat", "List", "Why", "Show", "Events", "Logs",
            "Verify", "Dependencies", "UnitFileStates", "Outcome",
        ]
        #expect(Set(questions) == Set(names.map { manager + $0 }))
        let forAll = Method.all.filter { $0.access == .everyone }.map(\.name)
        #expect(forAll == ["org.varlink.service.GetInfo", "org.varlink.service.GetInterfaceDescription"])
    }

    @Test("A parameter that is given twice is refused, whichever of the two would count")
    func twice() {
        #expect(throws: ControlError.invalidParameter(parameter: "parameters")) {
            try request(manager + "Stop", #"{"name":"a","name":"b"}"#)
        }
    }
}

@Suite("Errors")
struct ControlErrorTests {
    @Test("Every error is sent with the documented parameters and read again")
    func roundTrip() throws {
        for (error, json) in Samples.errors {
            let reply = Reply(error)
            #expect(reply.parameters.description == json)
            #expect(try Reply(message: Array(reply.encoded().dropLast())).failure == error)
            #expect(!error.localizedMessage.isEmpty)
        }
    }

    @Test("An error that we do not know, or whose parameters we cannot read, is kept as it came")
    func unknown() throws {
        let strange = Reply(parameters: try JSONObject(encoding: ["x": 1]), error: "io.x.Strange")
        #expect(strange.failure?.localizedMessage == #"the daemon answered io.x.Strange {"x":1}"#)
        let incomplete = Reply(parameters: .empty, error: "io.holdfast.Manager.Busy")
        #expect(incomplete.failure == .unknown(name: "io.holdfast.Manager.Busy", parameters: .empty))
    }

    @Test("Sentences name the thing and help on")
    func sentences() {
        #expect(
            ControlError.noSuchUnit(name: "sit", suggestion: "site@.target").localizedMessage
                == "no such unit: sit (did you mean site@.target?)")
        #expect(
            ControlError.noRelease(name: "site@.target").localizedMessage
                == "site@.target is a template and has no release yet: name one, as in site@v1")
        #expect(
            ControlError.invalidUnit(name: "x", diagnostics: [Samples.diagnostic]).localizedMessage
                == "unit x is invalid: /etc/x.service:3:1: unknown directive (did you mean ExecStart=?)")
    }
}

extension Request {
    fileprivate var repliesWithMore: Bool { method.replies != .one }
}
