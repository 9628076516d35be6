import Testing

@testable import ControlProtocol

@Suite("Status without Codable")
struct StatusJSONTests {
    private static let texts = [
        "app", "a \"quoted\" \\ one", "tab\tline\nend\r", "\u{1}\u{8}\u{c}\u{1f}\u{7f}", "Zürich 🦊 /srv/x", "",
        "\u{2028}",
    ]

    /// Values that nobody has thought of, from a seed.
    private func random(_ seed: UInt64) -> StatusReply {
        var generator = Seeded(state: seed)
        func maybe<T>(_ value: @autoclosure () -> T) -> T? { Bool.random(using: &generator) ? value() : nil }
        func text() -> String { Self.texts.randomElement(using: &generator) ?? "" }
        func number() -> Double {
            [0, 0.1, 1.5, -3, 1e-7, 1e15, 123_456.789, 1e22].randomElement(using: &generator) ?? 0
        }
        func count() -> Int { [0, 1, 9, 10, 4711, -1, 1 << 52].randomElement(using: &generator) ?? 0 }
        func service() -> ServiceStatus {
            ServiceStatus(
                unit: text(), state: ServiceState.allCases.randomElement(using: &generator) ?? .running,
                mainPid: maybe(count()), statusText: maybe(text()), age: maybe(number()), restarts: count(),
                result: maybe(text()), ready: Bool.random(using: &generator), connections: maybe(count()),
                memory: maybe(count()), linesLost: maybe(count()), linesSuppressed: maybe(count()))
        }
        func generation() -> GenerationStatus {
            GenerationStatus(
                number: count(), release: maybe(text()),
                role: GenerationRole.allCases.randomElement(using: &generator) ?? .held,
                services: (0..<Int.random(in: 0...2, using: &generator)).map { _ in service() }, age: maybe(number()),
                phase: maybe(SwapPhase.soak), waitingFor: maybe(text()), deadline: maybe(number()),
                connections: maybe(count()), oldestPeer: maybe(text()), oldestPeerIdle: maybe(number()))
        }
        return StatusReply(
            units: (0..<Int.random(in: 0...3, using: &generator)).map { _ in
                UnitStatus(
                    unit: text(), description: text(),
                    state: UnitState.allCases.randomElement(using: &generator) ?? .stopped,
                    swappable: Bool.random(using: &generator), release: maybe(text()),
                    servingGeneration: maybe(count()),
                    generations: (0..<Int.random(in: 0...2, using: &generator)).map { _ in generation() },
                    reason: maybe(text()), since: maybe(text()), outdated: maybe(true))
            })
    }

    @Test("It is written as an encoder writes it, and read as a decoder reads it", arguments: 0..<200)
    func sameAsCodable(seed: UInt64) throws {
        let reply = random(seed)
        let encoded = try JSONObject(encoding: reply)
        let written = JSONObject(reply)
        #expect(written.description == encoded.description)
        #expect(try encoded.decodeStatus() == reply)
        #expect(try written.decode(StatusReply.self) == reply)
    }

    @Test("Another order, white space, escapes, null and members of a newer daemon do not matter")
    func tolerant() throws {
        let text = #"""
            { "later" : [ {"x":[1,"]}",{"y":null}]} ],
              "units" : [ { "unit":"\u0061\ud83e\udd8a", "swappable" : true, "state":"stopped", "new":{"a":[true,-1e3]},
                "release" : null, "description":"\\\/", "generations":[ ], "servingGeneration": 4e0 } ] }
            """#
        let object = try Reply(message: Array("{\"parameters\":\(text)}".utf8)).parameters
        let unit = try #require(try object.decodeStatus().units.first)
        #expect(unit.unit == "a🦊")
        #expect(unit.description == #"\/"#)
        #expect(unit.swappable && unit.release == nil && unit.servingGeneration == 4)
    }

    @Test(
        "What is missing or of another type is named",
        arguments: [
            ("{}", "units"), (#"{"units":{}}"#, "units"), (#"{"units":[{"unit":"a"}]}"#, "state"),
            (#"{"units":[{"unit":1}]}"#, "unit"), (#"{"units":[{"state":"dancing"}]}"#, "state"),
            (#"{"units":[{"generations":[{"number":"x"}]}]}"#, "number"), (#"{"units":[7]}"#, "units"),
        ])
    func mismatch(text: String, name: String) throws {
        let object = try Reply(message: Array("{\"parameters\":\(text)}".utf8)).parameters
        #expect(throws: MessageError.badMember(name)) { try object.decodeStatus() }
    }

    @Test("Whatever sound JSON stands in place of a status, reading it ends", arguments: 0..<300)
    func fuzz(seed: UInt64) throws {
        var generator = Seeded(state: seed)
        let pieces = [
            "{", "}", "[", "]", "\"units\"", ":", ",", "1", "null", "\"\\u00e9\"", "true", " ", "\"unit\"", "-0.5",
        ]
        let count = Int.random(in: 1...40, using: &generator)
        let text = (0..<count).map { _ in pieces.randomElement(using: &generator) ?? "" }.joined()
        // Also what the scanner would have refused: nothing may lead out of the text.
        let trusted = Result { try JSONObject(trusted: Array(text.utf8)).decodeStatus() }
        if case .failure(let error) = trusted { #expect(error is MessageError, "\(text): \(error)") }
        // What the scanner takes is read as the general decoder reads it: both have the units, or neither.
        let message = Array("{\"parameters\":\(text)}".utf8)
        guard let object = try? Reply(message: message).parameters else { return }
        let general = try? object.decode(StatusReply.self)
        #expect((try? trusted.get()) == general, "\(text)")
    }

    @Test("Half a surrogate pair is no text", arguments: [#"\ud800"#, #"\ud800x"#, #"\ud800\u0041"#, #"\udc00"#])
    func surrogates(text: String) {
        #expect(JSONText.unescaped(ArraySlice(text.utf8)) == nil)
    }
}
