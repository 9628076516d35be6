import FoundationEssentials
import Linux

/// One request of multibinder's protocol: JSON-RPC 2.0 with the methods `bind` and, beyond multibinder, `unbind`.
public struct MultibinderRequest: Equatable, Sendable {
    public enum Method: Equatable, Sendable {
        /// Asks for the listening socket at this address, opened if necessary.
        case bind(SocketAddress, backlog: Int32)
        /// Releases the socket.
        case unbind(SocketAddress)
    }

    /// The identifier of a request, returned in the answer.
    public enum ID: Equatable, Sendable, Codable {
        case number(Int64)
        case text(String)
        case none

        public init(from decoder: any Decoder) throws {
            let value = try decoder.singleValueContainer()
            if let number = try? value.decode(Int64.self) {
                self = .number(number)
            } else if let text = try? value.decode(String.self) {
                self = .text(text)
            } else {
                self = .none
            }
        }

        public func encode(to encoder: any Encoder) throws {
            var value = encoder.singleValueContainer()
            switch self {
            case .number(let number): try value.encode(number)
            case .text(let text): try value.encode(text)
            case .none: try value.encodeNil()
            }
        }
    }

    public var id: ID
    public var method: Method

    public init(id: ID, method: Method) {
        self.id = id
        self.method = method
    }

    /// The backlog of a request without one.
    public static let defaultBacklog: Int32 = 4096

    private struct Envelope: Decodable {
        var id: ID?
        var method: String?
    }

    private struct Parameters: Decodable {
        struct Address: Decodable {
            var address: String
            var port: UInt16?
            var backlog: Int64?
        }
        var params: [Address]
    }

    /// Parses one object. The error is the answer to the request.
    public static func parse(_ bytes: [UInt8]) throws(MultibinderFailure) -> MultibinderRequest {
        let data = Data(bytes)
        guard let envelope = try? JSONDecoder().decode(Envelope.self, from: data) else {
            throw MultibinderFailure(.none, .parseError, "Parse error")
        }
        let id = envelope.id ?? .none
        guard let name = envelope.method else { throw MultibinderFailure(id, .invalidRequest, "Invalid Request") }
        guard name == "bind" || name == "unbind" else {
            throw MultibinderFailure(id, .methodNotFound, "Method not found")
        }
        guard let wanted = (try? JSONDecoder().decode(Parameters.self, from: data))?.params.first,
            let address = address(wanted.address, wanted.port)
        else {
            throw MultibinderFailure(id, .invalidParameters, "Invalid params: an address and a port, or a path")
        }
        let backlog = wanted.backlog.map { Int32(clamping: max(0, $0)) } ?? defaultBacklog
        return MultibinderRequest(id: id, method: name == "bind" ? .bind(address, backlog: backlog) : .unbind(address))
    }

    /// IPv4, IPv6 with or without brackets, a path, or `@name`; `localhost` and an empty host as in Ruby's sockets.
    private static func address(_ host: String, _ port: UInt16?) -> SocketAddress? {
        if host.hasPrefix("/") || host.hasPrefix("@") { return port == nil || port == 0 ? SocketAddress(host) : nil }
        guard let port else { return nil }
        switch host {
        case "": return .inet(host: "0.0.0.0", port: port)
        case "localhost": return .inet(host: "127.0.0.1", port: port)
        default: break
        }
        let bare = host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
        return SocketAddress(host: bare, port: port)
    }
}

/// The failure of a request, as a JSON-RPC error.
public struct MultibinderFailure: Error, Equatable, Sendable {
    public enum Code: Int, Sendable {
        case parseError = -32700
        case invalidRequest = -32600
        case methodNotFound = -32601
        case invalidParameters = -32602
        /// multibinder's own code: the socket could not be bound, or is not bound.
        case cannotBind = 10000
    }
    public var id: MultibinderRequest.ID
    public var code: Code
    public var message: String

    public init(_ id: MultibinderRequest.ID, _ code: Code, _ message: String) {
        self.id = id
        self.code = code
        self.message = message
    }
}

/// The answer. A result of `bind` is sent with the socket.
public enum MultibinderReply: Equatable, Sendable {
    case done(MultibinderRequest.ID)
    case failed(MultibinderFailure)

    private struct Result: Encodable {
        var jsonrpc = "2.0"
        var id: MultibinderRequest.ID
        var result = true
    }

    private struct Failure: Encodable {
        struct Cause: Encodable {
            var code: Int
            var message: String
        }
        var jsonrpc = "2.0"
        var id: MultibinderRequest.ID
        var error: Cause
    }

    /// The answer as one object without a line end.
    public var encoded: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let data: Data? =
            switch self {
            case .done(let id): try? encoder.encode(Result(id: id))
            case .failed(let failure):
                try? encoder.encode(
                    Failure(id: failure.id, error: .init(code: failure.code.rawValue, message: failure.message)))
            }
        return data.map { Array($0) } ?? []
    }
}
