import ControlProtocol
import Foundation

/// A client of the control socket that only follows the test: it may send and not read, or read late.
final class Varlink {
    let connection: RawConnection

    init(_ world: World) throws { connection = try RawConnection(unix: world.controlSocket) }

    /// The bytes of a call to our interface.
    static func call(_ method: String, _ parameters: String = "{}", more: Bool = false) -> [UInt8] {
        Array(
            "{\"method\":\"io.holdfast.Manager.\(method)\",\"parameters\":\(parameters)\(more ? ",\"more\":true" : "")}"
                .utf8) + [0]
    }

    func send(_ method: String, _ parameters: String = "{}", more: Bool = false) throws {
        try connection.send(Self.call(method, parameters, more: more))
    }

    /// The next reply as it came.
    func readText() throws -> String { try connection.readMessage() }

    /// The parameters of the next reply.
    func read<R: Decodable>(_: R.Type) throws -> R {
        try JSONDecoder().decode(Answer<R>.self, from: Data(readText().utf8)).parameters
    }

    private struct Answer<R: Decodable>: Decodable {
        var parameters: R
    }

    func close() { shutdown(connection.descriptor, Int32(SHUT_RDWR)) }
}
