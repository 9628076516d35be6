import Engine
import Linux
import UnitFiles

/// Started socket units, with their kernel objects apart from the held sockets.
struct SavedActivation: Codable {
    var machine: SocketActivation
    var started: [Started]
    var commands: [Command]
    var connections: [Connection]

    struct Started: Codable {
        /// The unit's number.
        var unit: Int
        var service: String?
    }

    /// A running command of a socket unit.
    struct Command: Codable {
        var token: SocketToken
        var unit: String
        var invocation: String
        var pid: Int32
        var descriptor: Int32?
        /// Start time; with the pid it names the process also after a crash.
        var startTime: UInt64?
    }

    /// An accepted connection that has an instance.
    struct Connection: Codable {
        var group: GroupID
        var socket: SocketID
        var number: Int
        var descriptor: Int32?
    }

    var descriptors: [Int32] { commands.compactMap(\.descriptor) + connections.compactMap(\.descriptor) }
}
