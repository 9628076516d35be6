import Testing

@testable import ControlProtocol

private func call(_ text: String) throws -> Call { try Call(message: Array(text.utf8)) }

@Suite("Calls and replies")
struct MessageTests {
    @Test("A call is read as Varlink writes it")
    func readsCall() throws {
        let read = try call(#" {"method":"io.x.M","parameters":{"a":[1,{"b":null}]},"more":true,"oneway":false} "#)
        #expect(read.method == "io.x.M")
        #expect(read.interface == "io.x")
        #expect(read.parameters.description == #"{"a":[1,{"b":null}]}"#)
        #expect(read.more && !read.oneway && !read.upgrade)
    }

    @Test("Absent and null members mean the default; members that Varlink does not define are ignored")
    func defaults() throws {
        let read = try call(#"{"method":"a.B","parameters":null,"more":null,"x-trace":[1,2]}"#)
        #expect(read == Call(method: "a.B"))
    }

    @Test(
        "What is not a call is refused, not guessed at",
        arguments: [
            "", " ", "null", "[]", "1", "{", "}", "{}", "{]", #"{"method":1}"#, #"{"method":"a","parameters":[]}"#,
            #"{"method":"a","more":1}"#, #"{"method":"a","method":"b"}"#, #"{"method":"a"}x"#, #"{"method":"a",}"#,
            #"{"method":"a" "more":true}"#, #"{"meth\u006fd":"a"}"#, #"{"method":"\x"}"#, "{\"method\":\"a\u{1}\"}",
            #"{"method":"a","parameters":{"x":01}}"#, #"{"method":"a","parameters":{"x":1.}}"#,
            #"{"method":"a","parameters":{"x":+1}}"#, #"{"method":"a","parameters":{"x":tru}}"#,
            #"{"method":"a","parameters":{"x":NaN}}"#, #"{"method":"a","parameters":{"x":[1,]}}"#,
            #"{"method":"a","parameters":{"x":[1}}}"#, #"{"method":"a","parameters":{"x"}}"#,
        ])
    func refuses(text: String) {
        #expect(throws: MessageError.self) { try call(text) }
    }

    @Test("Bytes that are not UTF-8 are refused")
    func notUTF8() {
        #expect(throws: MessageError.self) { try Call(message: Array(#"{"method":""#.utf8) + [0xFF, 0x22, 0x7D]) }
    }

    @Test("Nesting is accepted up to 64 levels and refused beyond, without recursion", arguments: ["[", #"{"a":"#])
    func depth(opening: String) throws {
        func nested(_ levels: Int) -> String {
            let closing = opening == "[" ? "]" : "}"
            return #"{"method":"a.B","x":"# + String(repeating: opening, count: levels - 1) + "1"
                + String(repeating: closing, count: levels - 1) + "}"
        }
        #expect(try call(nested(64)).method == "a.B")
        #expect(throws: MessageError.tooDeep) { try call(nested(65)) }
        #expect(throws: MessageError.tooDeep) { try call(nested(1_000_000)) }
    }

    @Test("What we write we read back, with every combination of flags")
    func roundTrip() throws {
        for flags in 0..<8 {
            let original = Call(
                method: "io.x.M", parameters: try JSONObject(encoding: ["k": "v\u{1}\"\\\n/é"]), oneway: flags & 1 != 0,
                more: flags & 2 != 0, upgrade: flags & 4 != 0)
            let bytes = original.encoded()
            #expect(bytes.last == 0 && bytes.dropLast().allSatisfy { $0 != 0 })
            #expect(try Call(message: Array(bytes.dropLast())) == original)
        }
        for reply in [
            Reply(), Reply(StatusReply(units: [Samples.unit]), continues: true), Reply(ControlError.shuttingDown),
            Reply(ControlError.failed(message: "cannot \"x\"")),
        ] {
            #expect(try Reply(message: Array(reply.encoded().dropLast())) == reply)
        }
    }

    @Test("A value that JSON cannot express becomes an error reply, because the caller waits")
    func notFinite() throws {
        let reply = Reply(
            OperationReply(
                result: OperationResult(
                    outcome: .completed, unit: "a", durations: PhaseDurations(total: .infinity))))
        #expect(reply.failure == .failed(message: "cannot write the reply: message has no usable \"total\""))
    }

    @Test("20,000 damaged messages are refused or understood, and never crash")
    func mutations() throws {
        var random = Seeded(state: 4)
        let originals =
            Samples.requests.map { Array($0.request.call(more: true).encoded().dropLast()) }
            + Samples.errors.map { Array(Reply($0.error).encoded().dropLast()) }
            + [Array(Reply(StatusReply(units: [Samples.unit])).encoded().dropLast())]
        let alphabet = Array("{}[]\",:\\u0019e-+.tfn ".utf8)
        var understood = 0
        for _ in 0..<20_000 {
            var bytes = originals.randomElement(using: &random) ?? []
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let position = Int.random(in: 0..<max(1, bytes.count), using: &random)
                switch Int.random(in: 0..<5, using: &random) {
                case 0: bytes.insert(UInt8.random(in: 0...255, using: &random), at: position)
                case 1: bytes.insert(alphabet.randomElement(using: &random) ?? 0, at: position)
                case 2 where !bytes.isEmpty: bytes.remove(at: position)
                case 3: bytes.insert(contentsOf: bytes[position...].prefix(40), at: position)
                default: bytes.removeLast(Int.random(in: 0...min(8, bytes.count), using: &random))
                }
            }
            if let call = try? Call(message: bytes) {
                understood += 1
                _ = try? Request(call)
            }
            if let reply = try? Reply(message: bytes) {
                _ = reply.failure?.localizedMessage
                _ = try? reply.parameters.decode(StatusReply.self)
            }
        }
        #expect(understood > 100, "the mutations must leave some messages whole, or they test only the scanner's door")
    }
}
