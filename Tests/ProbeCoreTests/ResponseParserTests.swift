import Testing

@testable import ProbeCore

private struct Reading: Equatable {
    var outcome: ResponseParser.Outcome
    var status: Int
    var closes: Bool
    var body: String
}

/// Feeds `text` in pieces of the given sizes (the last size repeats), and then the end if the response is not complete.
private func read(_ text: [UInt8], pieces: [Int] = [Int.max], end: Bool = true) -> Reading {
    var parser = ResponseParser(keptLength: 8)
    var outcome = ResponseParser.Outcome.needsMore
    var position = 0
    var index = 0
    while position < text.count, outcome == .needsMore {
        let size = max(1, min(pieces[min(index, pieces.count - 1)], text.count - position))
        index += 1
        outcome = text[position..<(position + size)].withUnsafeBytes { parser.feed($0) }
        if case .complete(let used) = outcome { outcome = .complete(used: position + used) }
        position += size
    }
    if end, outcome == .needsMore, parser.end() { outcome = .complete(used: position) }
    return Reading(
        outcome: outcome, status: parser.status, closes: parser.closes,
        body: String(decoding: parser.bodyStart, as: UTF8.self))
}

private func read(_ text: String, end: Bool = true) -> Reading { read(Array(text.utf8), end: end) }

private let samples = [
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nV1\n",
    "HTTP/1.1 200\r\ncontent-length:3\r\nConnection: Close\r\n\r\nV1\n",
    "HTTP/1.1 200 OK\nContent-Length: 2\n\nV2",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\nV\r\n2;x=y\r\n1!\r\n0\r\nTrailer: z\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.0 200 OK\r\n\r\nuntil the end",
    "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
]

@Suite struct ResponseParserTests {
    @Test("the body's length is understood in each of its forms")
    func framings() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nV1\n"
        #expect(
            read(text) == Reading(outcome: .complete(used: text.utf8.count), status: 200, closes: false, body: "V1"))
        #expect(read(samples[3]).body == "V1!")
        #expect(read(samples[3]).outcome == .complete(used: samples[3].utf8.count))
        #expect(read(samples[4]).status == 503)
        #expect(read(samples[5]) == Reading(outcome: .complete(used: 32), status: 200, closes: true, body: "until th"))
        #expect(read(samples[6]).status == 204)
    }

    @Test("an answer that ends before its length is not complete", arguments: samples)
    func truncation(sample: String) {
        let bytes = Array(sample.utf8)
        let isUntilEnd = sample.hasPrefix("HTTP/1.0")
        let head = isUntilEnd ? 19 : bytes.count
        for length in 0..<head {
            #expect(read(Array(bytes[..<length])).outcome == .needsMore, "\(length) bytes of \(sample)")
        }
    }

    @Test("how the bytes are cut into reads makes no difference", arguments: samples)
    func pieces(sample: String) {
        let bytes = Array(sample.utf8)
        let whole = read(bytes)
        for first in 1..<bytes.count { #expect(read(bytes, pieces: [first, 1000]) == whole) }
        #expect(read(bytes, pieces: [1]) == whole)
    }

    @Test("bytes behind an answer are told apart from it")
    func extra() {
        #expect(read(samples[0] + "HTTP/1.1 200 OK\r\n").outcome == .complete(used: samples[0].utf8.count))
    }

    @Test("what is not HTTP, or contradicts itself, or has no end, is refused")
    func malformed() {
        let bad = [
            "SSH-2.0-OpenSSH\r\n", "HTTP/2 200 OK\r\n", "HTTP/1.1 99 x\r\n", "HTTP/1.1 2000\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nVV\r\n",
            "HTTP/1.1 101 Switching\r\n\r\n",
            String(repeating: "x", count: ResponseParser.lineLimit + 1),
            "HTTP/1.1 200 OK\r\n" + String(repeating: "a: b\r\n", count: 20_000),
        ]
        for text in bad {
            guard case .malformed = read(text, end: false).outcome else {
                Issue.record("accepted: \(text.prefix(80))")
                continue
            }
        }
    }

    @Test("no bytes whatever crash it, and no cut changes what it makes of them")
    func fuzz() {
        var random = Generator(state: 42)
        let seeds = samples.map { Array($0.utf8) }
        for _ in 0..<20_000 {
            var bytes = seeds[Int(random.next() % UInt64(seeds.count))]
            for _ in 0...(random.next() % 4) {
                let position = Int(random.next() % UInt64(bytes.count))
                switch random.next() % 4 {
                case 0: bytes[position] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes.remove(at: position)
                case 2: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: position)
                default: bytes.insert(contentsOf: seeds[Int(random.next() % UInt64(seeds.count))], at: position)
                }
                if bytes.isEmpty { bytes = [0] }
            }
            let pieces = (0..<8).map { _ in Int(random.next() % 16) + 1 }
            #expect(read(bytes, pieces: pieces) == read(bytes))
        }
    }
}

/// SplitMix64: the same numbers everywhere, for tests that can be repeated.
struct Generator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
