import Testing

@testable import ControlProtocol

@Suite("Cutting a stream into messages")
struct FramerTests {
    @Test("Messages come out whole and in order, however the stream is cut", arguments: 0..<200 as Range<UInt64>)
    func randomSplits(seed: UInt64) throws {
        var random = Seeded(state: seed)
        let messages: [[UInt8]] = (0..<Int.random(in: 0...20, using: &random)).map { _ in
            (0..<Int.random(in: 0...300, using: &random)).map { _ in UInt8.random(in: 1...255, using: &random) }
        }
        let stream: [UInt8] = messages.flatMap { $0 + [0] }
        var framer = MessageFramer(limit: 300)
        var received: [[UInt8]] = []
        var position = 0
        while position < stream.count {
            let end = min(stream.count, position + Int.random(in: 1...100, using: &random))
            framer.append(stream[position..<end])
            position = end
            while let message = try framer.next() { received.append(message) }
        }
        #expect(received == messages)
        #expect(!framer.hasPartialMessage)
    }

    @Test("A message one byte too long is refused, with its NUL or without; one at the limit is not")
    func limit() throws {
        var exact = MessageFramer(limit: 10)
        exact.append(Array(repeating: 1, count: 10))
        #expect(try exact.next() == nil)
        exact.append([0])
        #expect(try exact.next()?.count == 10)
        var endless = MessageFramer(limit: 10)
        endless.append(Array(repeating: 1, count: 11))
        #expect(throws: MessageError.tooLarge(limit: 10)) { try endless.next() }
        var ended = MessageFramer(limit: 10)
        ended.append(Array(repeating: 1, count: 11) + [0])
        #expect(throws: MessageError.tooLarge(limit: 10)) { try ended.next() }
    }

    @Test("What was taken is forgotten: a long stream of small messages does not grow the buffer")
    func boundedMemory() throws {
        var framer = MessageFramer(limit: 100)
        for _ in 0..<10_000 {
            framer.append(Array("{}\0{}\0{".utf8))
            while try framer.next() != nil {}
            #expect(framer.bufferedBytes < 100)
            framer.append(Array("}\0".utf8))
            while try framer.next() != nil {}
        }
        #expect(framer.bufferedBytes == 0)
    }

    @Test("Another protocol is recognised by its first byte, whatever came before it")
    func foreign() throws {
        var framer = MessageFramer(limit: 100)
        #expect(!framer.isForeign)
        framer.append(Array("{}\0{".utf8))
        _ = try framer.next()
        #expect(!framer.isForeign)
        framer.append(Array("}\0POST /RPC2".utf8))
        _ = try framer.next()
        #expect(framer.isForeign)
        for text in ["P", "\n", " {}", "\0", "\u{16}\u{3}", "[", "\u{feff}{}"] {
            var framer = MessageFramer(limit: 100)
            framer.append(Array(text.utf8))
            #expect(framer.isForeign, "\(text)")
        }
    }

    @Test("A stream that ends inside a message is known to be cut")
    func cut() throws {
        var framer = MessageFramer(limit: 100)
        framer.append(Array("{}\0{".utf8))
        #expect(try framer.next() == Array("{}".utf8))
        #expect(try framer.next() == nil)
        #expect(framer.hasPartialMessage)
    }
}
