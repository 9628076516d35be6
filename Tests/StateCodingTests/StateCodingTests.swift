import StateCoding
import Testing

/// Values as the supervisor keeps them: nested, optional, with enums that carry something.
private struct Sample: Codable, Equatable {
    enum Kind: Codable, Equatable {
        case none
        case numbered(Int, name: String)
        indirect case wrapped(Kind)
    }
    struct Key: Codable, Hashable { var group: String }
    enum Plain: String, Codable { case one, two }

    var text = "grüße\u{0}\n"
    var numbers: [Int] = [0, 1, -1, .max, .min, 127, 128]
    var big: UInt64 = .max
    var small: Int32 = -7
    var real = 1.5
    var on = true
    var nothing: String?
    var kind = Kind.wrapped(.numbered(3, name: "x"))
    var plain = Plain.two
    var byKey: [Key: [Kind]] = [Key(group: "a"): [.none, .numbered(0, name: "")], Key(group: "b"): []]
    var byName: [String: Set<Int>] = ["x": [1, 2], "": []]
    var span: Duration? = .seconds(3)
    var nested: [[Int?]] = [[], [nil, 1], [2]]
    var other: [String] = []
}

@Suite("State as bytes")
struct StateCodingTests {
    @Test("what was written is read")
    func roundTrip() throws {
        let sample = Sample()
        #expect(try StateDecoder.decode(Sample.self, from: StateEncoder.encode(sample)) == sample)
        #expect(
            try StateDecoder.decode([Sample].self, from: StateEncoder.encode([sample, sample])) == [sample, sample])
        #expect(try StateDecoder.decode(Int?.self, from: StateEncoder.encode(Int?.none)) == nil)
    }

    @Test("properties in another order, more of them, and fewer of them can be read")
    func otherVersions() throws {
        struct Older: Codable {
            var first = 1
            var gone = ["a": [1, 2]]
            var second = "two"
        }
        struct Newer: Codable, Equatable {
            var second: String
            var added: Int?
            var first: Int
        }
        let read = try StateDecoder.decode(Newer.self, from: StateEncoder.encode(Older()))
        #expect(read == Newer(second: "two", added: nil, first: 1))
        struct Demanding: Codable { var missing: Int }
        #expect(throws: DecodingError.self) {
            try StateDecoder.decode(Demanding.self, from: StateEncoder.encode(Older()))
        }
    }

    @Test("damaged bytes are an error, or another value, and never more than that")
    func damage() throws {
        let good = try StateEncoder.encode(Sample())
        for length in 0..<good.count {
            #expect(throws: DecodingError.self) { try StateDecoder.decode(Sample.self, from: Array(good[..<length])) }
        }
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<3000 {
            var bad = good
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bad[Int.random(in: 0..<bad.count, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            _ = try? StateDecoder.decode(Sample.self, from: bad)
        }
    }
}
