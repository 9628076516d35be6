import Foundation
import Testing

@testable import Linux

extension LinuxTests {
    @Suite("Files of records")
    struct RecordFiles {
        private func withPath(_ body: (String) throws -> Void) throws {
            let scratch = try Scratch()
            try body(scratch("journal"))
        }

        @Test("of several records with one key the last counts, and what was ended is gone")
        func lastCounts() throws {
            try withPath { path in
                #expect(try RecordFile.read(path).records.isEmpty)
                let file = RecordFile(path: path)
                file.put("a", [1, 2, 3])
                file.put("b", [])
                try file.flush()
                file.put("a", [4])
                file.put("c", [5])
                file.put("c", nil)
                file.put(String(repeating: "k", count: 300), [6])
                try file.flush()
                let read = try RecordFile.read(path).records
                #expect(read == ["a": [4], "b": [], String(repeating: "k", count: 300): [6]])
                #expect(file.size == file.existingSize)
            }
        }

        @Test("what a crash cut short, anywhere, costs that record and no other")
        func cutShort() throws {
            try withPath { path in
                let file = RecordFile(path: path)
                var ends = [0]
                for number in UInt8(0)..<5 {
                    file.put("key \(number)", [number, number])
                    try file.flush()
                    ends.append(file.size)
                }
                let whole = try Data(contentsOf: URL(fileURLWithPath: path))
                for length in 0...whole.count {
                    try whole.prefix(length).write(to: URL(fileURLWithPath: path))
                    let contents = try RecordFile.read(path)
                    let last = ends.last { $0 <= length } ?? 0
                    #expect(contents.records.count == ends.filter { $0 <= length }.count - 1)
                    #expect(contents.unreadable == length - last)
                }
                // A byte that is wrong ends what is believed.
                for index in whole.indices {
                    var bad = whole
                    bad[index] ^= 0xff
                    try bad.write(to: URL(fileURLWithPath: path))
                    #expect(try RecordFile.read(path).records.count == ends.filter { $0 <= index }.count - 1)
                }
            }
        }

        @Test("a file that is replaced has what was collected for it, and goes on being appended to")
        func replacing() throws {
            try withPath { path in
                let file = RecordFile(path: path)
                for number in 0..<100 { file.put("a", [UInt8(number)]) }
                try file.flush()
                let before = file.size
                file.put("never written", [1])
                file.discard()
                file.put("b", [2])
                try file.replace()
                #expect(file.size < before)
                file.put("c", [3])
                try file.flush()
                #expect(try RecordFile.read(path).records == ["b": [2], "c": [3]])
                let other = RecordFile(path: path)
                other.put("b", nil)
                try other.flush()
                #expect(try RecordFile.read(path).records == ["c": [3]])
                other.remove()
                #expect(try RecordFile.read(path).records.isEmpty)
            }
        }

        @Test(
            "room is kept for more, and for a replacement; readers do not see it; a mark that something is missing goes with it"
        )
        func room() throws {
            try withPath { path in
                let file = RecordFile(path: path)
                file.put("a", [1])
                try file.flush()
                try file.keepRoom(more: 10_000, replacement: 20_000)
                #expect(file.room >= 10_000 && file.roomForReplacement >= 20_000)
                #expect(try RecordFile.read(path).unreadable == 0)
                #expect(!RecordFile.isStale(path))
                file.markStale()
                #expect(RecordFile.isStale(path))
                file.put("b", [2])
                try file.replace()
                #expect(!RecordFile.isStale(path))
                #expect(file.room >= 19_000, "that of the replacement is its own now")
                #expect(try RecordFile.read(path).records == ["b": [2]])
                file.remove()
                #expect(
                    try FileManager.default.contentsOfDirectory(atPath: (path as NSString).deletingLastPathComponent)
                        == [])
            }
        }

        @Test("a socket is found again by its inode in a process that has it, and nothing else is taken for it")
        func foreignSockets() throws {
            let socket = try ListeningSocket(.inet(host: "127.0.0.1", port: 0))
            let inode = try #require(OwnedDescriptor.inode(of: socket.raw))
            let sockets = try ForeignSockets(of: [getpid(), 999_999_999])
            guard let found = try sockets.duplicate(inode: inode) else {
                Issue.record("the socket was not found")
                return
            }
            let (number, foundInode) = (found.raw, found.inode)
            #expect(foundInode == inode)
            #expect(number != socket.raw)
            let hasOther = try sockets.duplicate(inode: inode ^ 0xffff_ffff) != nil
            #expect(!hasOther)
            let again = try ListeningSocket(adopting: found)
            #expect(again.address == socket.address)
            #expect(again.isListening)
        }
    }
}
