import Linux
import Multibinder
import Testing

@Suite struct MultibinderMessages {
    private func framed(_ pieces: [String]) throws -> [String] {
        var framer = MultibinderFramer()
        var objects: [String] = []
        for piece in pieces {
            framer.append(piece.utf8)
            while let object = try framer.next() { objects.append(String(decoding: object, as: UTF8.self)) }
        }
        return objects
    }

    @Test("Objects are cut where their outermost brace closes, however the stream was split")
    func framing() throws {
        let text = #"{"a":{"b":[1,"}\"{"]}} {"c":2}"#
        #expect(try framed([text]) == [#"{"a":{"b":[1,"}\"{"]}}"#, #"{"c":2}"#])
        #expect(try framed(text.map { "\($0)" }) == [#"{"a":{"b":[1,"}\"{"]}}"#, #"{"c":2}"#])
        #expect(try framed(["{}\n\0{}"]) == ["{}", "{}"])
    }

    @Test("What is no object, and what is too long, is refused")
    func refused() {
        #expect(throws: MultibinderFramer.Failure.notAnObject) { try framed(["GET / HTTP/1.1"]) }
        #expect(throws: MultibinderFramer.Failure.tooLong) {
            try framed(["{\"a\":\"" + String(repeating: "x", count: MultibinderFramer.limit)])
        }
    }

    private func parse(_ text: String) throws -> MultibinderRequest { try MultibinderRequest.parse(Array(text.utf8)) }

    @Test("A bind as multibinder's Ruby library sends it")
    func bind() throws {
        let request = try parse(
            #"{"jsonrpc":"2.0","method":"bind","params":[{"address":"127.0.0.1","port":8000,"backlog":128}],"id":42}"#)
        #expect(request == .init(id: .number(42), method: .bind(.inet(host: "127.0.0.1", port: 8000), backlog: 128)))
    }

    @Test(
        "Addresses: IPv4, IPv6, localhost, everything, paths",
        arguments: [
            (#""address":"::1","port":80"#, SocketAddress.inet6(host: "::1", port: 80)),
            (#""address":"[::]","port":0"#, .inet6(host: "::", port: 0)),
            (#""address":"localhost","port":80"#, .inet(host: "127.0.0.1", port: 80)),
            (#""address":"","port":80"#, .inet(host: "0.0.0.0", port: 80)),
            (#""address":"/run/x.sock""#, .unix(path: "/run/x.sock")),
            (#""address":"@x","port":0"#, .abstract(name: "x")),
        ])
    func addresses(_ parameters: String, _ address: SocketAddress) throws {
        let request = try parse(#"{"method":"unbind","id":"a","params":[{\#(parameters)}]}"#)
        #expect(request == .init(id: .text("a"), method: .unbind(address)))
    }

    @Test(
        "What cannot be understood is answered with JSON-RPC's code and the request's id",
        arguments: [
            (#"{"id":7,"method":"quit","params":[]}"#, MultibinderFailure.Code.methodNotFound),
            (#"{"id":7}"#, .invalidRequest),
            (#"{"id":7,"method":"bind","params":[]}"#, .invalidParameters),
            (#"{"id":7,"method":"bind","params":[{"address":"127.0.0.1"}]}"#, .invalidParameters),
            (#"{"id":7,"method":"bind","params":[{"address":"example.org","port":80}]}"#, .invalidParameters),
            (#"{"id":7,"method":"bind","params":[{"address":"127.0.0.1","port":70000}]}"#, .invalidParameters),
            (#"{"id":7,"method":"bind","params":[{"address":"/x","port":80}]}"#, .invalidParameters),
        ])
    func failures(_ text: String, _ code: MultibinderFailure.Code) {
        do {
            Issue.record("\(try parse(text))")
        } catch {
            #expect((error as? MultibinderFailure)?.code == code)
            #expect((error as? MultibinderFailure)?.id == .number(7))
        }
    }

    @Test("Answers are what multibinder's clients read")
    func replies() {
        func text(_ reply: MultibinderReply) -> String { String(decoding: reply.encoded, as: UTF8.self) }
        #expect(text(.done(.number(42))) == #"{"id":42,"jsonrpc":"2.0","result":true}"#)
        #expect(
            text(.failed(.init(.none, .cannotBind, "Could not bind: x")))
                == #"{"error":{"code":10000,"message":"Could not bind: x"},"id":null,"jsonrpc":"2.0"}"#)
    }
}
