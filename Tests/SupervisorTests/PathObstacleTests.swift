import Foundation
import Linux
import Logging
import Testing
import UnitFiles

@testable import Supervisor

@Suite("What is in the way of a socket")
struct PathObstacleTests {
    private let directory = FileManager.default.temporaryDirectory.path + "/holdfast-obstacle-\(UUID().uuidString)"

    init() throws { try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true) }

    /// The error from opening the unit's socket.
    private func refusal(_ directive: String, _ path: String) throws -> String {
        let machine = LinuxMachine(loop: try EventLoop(), name: "test", environment: [:])
        let host = SilentHost()
        let sockets = HeldSockets(machine, host: host)
        let text = "[Socket]\n\(directive)=\(path)\n"
        let loaded = UnitLoader.restore(
            try UnitName("web.socket"), sources: [UnitSource(path: "/web.socket", text: text)], wants: [],
            specifiers: SpecifierEnvironment())
        let unit = try #require(loaded.socket)
        do throws(PreparationError) {
            _ = try sockets.opened(unit)
            return ""
        } catch {
            return error.text
        }
    }

    @Test("A file of another kind at the path of a socket or FIFO is named, and stays")
    func kinds() throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let path = directory + "/x"
        let makers: [(String, () throws -> Void)] = [
            ("a regular file", { try Data("precious".utf8).write(to: URL(fileURLWithPath: path)) }),
            (
                "a directory",
                { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false) }
            ),
            (
                "a symbolic link",
                { try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "/nonexistent") }
            ),
        ]
        for (name, make) in makers {
            try make()
            for directive in ["ListenStream", "ListenDatagram", "ListenSequentialPacket", "ListenFIFO"] {
                let text = try refusal(directive, path)
                #expect(text.contains("(\(name) is in the way; remove it, or choose another path)"), "\(text)")
                #expect(text.hasPrefix("/web.socket:2:") && text.contains(": listening on \(path): "), "\(text)")
            }
            #expect((try? FileManager.default.attributesOfItem(atPath: path)) != nil)
            try FileManager.default.removeItem(atPath: path)
        }
        #expect(try refusal("ListenStream", path) == "")
    }

    @Test("A process that listens at the path is named as that")
    func listener() throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let path = directory + "/x"
        let other = try ListeningSocket(.unix(path: path))
        #expect(try refusal("ListenStream", path).hasSuffix("Address already in use (a process listens there already)"))
        withExtendedLifetime(other) {}
    }
}

private final class SilentHost: HeldSocketsHost {
    func log(_ level: Logger.Level, about subject: String, _ text: String) {}
    func takeUnaccountedSocket(at target: HeldEndpoint.Target, of members: Set<Int32>?) -> OwnedDescriptor? { nil }
    func record(_ held: HeldSocket) {}
    func recordSockets(of unit: String) {}
}
