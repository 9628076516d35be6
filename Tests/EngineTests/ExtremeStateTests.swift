import Glibc
import Testing

@testable import Engine
@testable import StateCoding

/// A state with numbers that no engine can reach is refused or continued; it never ends the process.
@Suite("A restored state with extreme numbers")
struct ExtremeStateTests {
    /// A value in the encoding of `StateEncoder`.
    private indirect enum Node {
        case plain([UInt8])
        case integer(Int64)
        case array([Node])
        case map([(key: [UInt8], value: Node)])
    }

    private static func varint(_ value: UInt64) -> [UInt8] {
        var (bytes, rest) = ([UInt8](), value)
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }

    private static func parse(_ reader: Reader, _ bytes: [UInt8], _ offset: inout Int) throws -> Node {
        let tag = bytes[offset]
        let end = try reader.skip(offset, [])
        defer { offset = end }
        switch tag {
        case Tag.integer: return .integer(try reader.integer(Int64.self, offset, []))
        case Tag.array:
            var (next, items) = (try reader.content(tag, at: offset, []).lowerBound, [Node]())
            while next < end { items.append(try parse(reader, bytes, &next)) }
            return .array(items)
        case Tag.map:
            var (next, items) = (try reader.content(tag, at: offset, []).lowerBound, [(key: [UInt8], value: Node)]())
            while next < end {
                let start = next
                _ = try reader.range(&next, [])
                items.append((Array(bytes[start..<next]), try parse(reader, bytes, &next)))
            }
            return .map(items)
        default: return .plain(Array(bytes[offset..<end]))
        }
    }

    private static func write(_ node: Node, _ change: (Int64) -> Int64) -> [UInt8] {
        func contained(_ tag: UInt8, _ bytes: [UInt8]) -> [UInt8] {
            [tag] + (0..<4).map { UInt8(truncatingIfNeeded: bytes.count >> (8 * $0)) } + bytes
        }
        switch node {
        case .plain(let bytes): return bytes
        case .integer(let value):
            let small = change(value)
            return [Tag.integer] + varint(UInt64(bitPattern: (small << 1) ^ (small >> 63)))
        case .array(let items): return contained(Tag.array, items.flatMap { write($0, change) })
        case .map(let items): return contained(Tag.map, items.flatMap { $0.key + write($0.value, change) })
        }
    }

    private static let extremes: [Int64] = [.max, .min, .max - 1, -1, 0, 1, 1 << 53, 1 << 32, 9_223_372_036]

    /// The most effects of one event; a state of a few groups causes some dozen.
    private static let mostEffects = 2_000

    /// Uses an engine as a supervisor does.
    private func use(_ engine: Engine, _ groups: [GroupID], _ random: inout SplitMix64) throws {
        var engine = engine
        _ = try StateEncoder.encode(engine)
        _ = engine.outstandingEffects
        for now in [Instant(nanoseconds: 5_000_000_000), Instant(nanoseconds: .max - 5), Instant(nanoseconds: .max)] {
            _ = engine.nextDeadline
            var follow = engine.handle(.deadlineReached, at: now)
            for group in groups {
                _ = engine.view(of: group)
                follow += engine.handle(
                    .command(random.chance(50) ? .stop(group) : .abort(group), RequestID(number: .max)), at: now)
            }
            try #require(follow.count < Self.mostEffects)
            // Every effect succeeds: processes are started and end, trees are empty.
            for _ in 0..<3 {
                var next: [Effect] = []
                for effect in follow {
                    switch effect {
                    case .spawn(let token, _, _):
                        next += engine.handle(.spawned(token), at: now)
                        next += engine.handle(.exited(token, .exited(1)), at: now)
                    case .watchTree(let token, _): next += engine.handle(.treeEmpty(token), at: now)
                    case .prepare(let id, _): next += engine.handle(.prepared(id), at: now)
                    default: break
                    }
                }
                try #require(next.count < Self.mostEffects)
                follow = next
            }
        }
        _ = engine.handle(.command(.shutDown, RequestID(number: 0)), at: Instant(nanoseconds: .max))
        _ = try StateEncoder.encode(engine)
    }

    @Test("one number or many of them: refused by name, or gone on with", arguments: 0..<6 as Range<UInt64>)
    func numbers(seed: UInt64) throws {
        var simulation = Simulation(seed: seed)
        simulation.groups = simulation.plans.groups(&simulation.random)
        for group in simulation.groups {
            simulation.command(
                .start(
                    simulation.plans.plan(group, release: simulation.random.pick(group.releases), &simulation.random)))
        }
        for _ in 0..<Int(seed * 7) { simulation.step() }
        let bytes = try StateEncoder.encode(simulation.engine)
        var offset = 0
        let tree = try Self.parse(Reader(bytes), bytes, &offset)
        #expect(Self.write(tree) { $0 } == bytes)
        var count = 0
        _ = Self.write(tree) { value in
            count += 1
            return value
        }
        let groups = simulation.groups.map(\.id)
        var (random, refused, used) = (SplitMix64(seed: seed), 0, 0)
        for round in 0..<60 {
            // The first rounds change one number each, the others every tenth number.
            let target = round < 40 ? random.below(count) : nil
            var position = -1
            let changed = Self.write(tree) { value in
                position += 1
                let isHit = target.map { position == $0 } ?? random.chance(10)
                return isHit ? random.pick(Self.extremes) : value
            }
            guard let engine = try? StateDecoder.decode(Engine.self, from: changed) else {
                refused += 1
                continue
            }
            used += 1
            try use(engine, groups, &random)
        }
        #expect(refused > 0 && used > 20, "\(refused) refused, \(used) gone on with")
    }
}
