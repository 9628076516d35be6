import Engine
import Linux
import StateCoding
import Testing

@testable import Supervisor

@Suite("Signals over a crash")
struct UnsentSignalsTests {
    private let signals: [SavedSignal] = [
        .process(Token(number: 1), .user1), .tree(InstanceID(number: 2), .terminate),
        .process(Token(number: 3), .hangUp),
    ]

    /// The signals that a successor would send.
    private func left(_ contents: RecordFile.Contents) throws -> [SavedSignal] {
        let records = contents.records
        func value<T: Decodable>(_ key: String, _ type: T.Type) throws -> T? {
            try records[key].map { try StateDecoder.decode(type, from: $0) }
        }
        return UnsentSignals.left(try value("t", [SavedSignal].self), sent: try value("ts", Int.self)) ?? []
    }

    @Test("each signal is crossed off right after it was sent, so that a successor sends no other one twice")
    func crossedOff() throws {
        let world = World()
        let records = world.boot().records
        let path = "/journal"
        func left(_ path: String) throws -> [SavedSignal] { try self.left(records.read(path)) }
        let journal = Journal(path: path, records: records)
        for _ in 0..<2 {
            var unsent = UnsentSignals(signals)
            unsent.write(to: journal)
            journal.flush()
            for index in signals.indices {
                #expect(try left(path) == Array(signals[index...]))
                #expect(unsent.next == signals[index])
                // The file may be rewritten at any moment.
                if index == 1 { journal.rewrite { unsent.write(to: journal) } }
                #expect(try left(path) == Array(signals[index...]))
                unsent.noteSent(in: journal)
                journal.flush()
            }
            #expect(try left(path) == [])
            #expect(unsent.next == nil)
        }
    }
}
