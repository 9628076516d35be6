/// The name that a client gives a request of its own before it sends it. With it the client can ask for the outcome of
/// that very request afterwards, also from another supervisor process if the first one died in between.
///
/// 16 to 64 ASCII letters, digits, `-` and `_`, chosen so that no two clients choose the same: 128 random bits, a UUID.
public struct RequestIdentity: Hashable, Sendable, CustomStringConvertible {
    /// The permitted lengths of a name in bytes.
    public static let lengths = 16...64

    public let description: String

    /// Nil if the text is no such name.
    public init?(_ text: String) {
        guard Self.lengths.contains(text.utf8.count), text.utf8.allSatisfy(Self.isValid) else { return nil }
        description = text
    }

    /// 128 random bits in hexadecimal digits.
    public static func random() -> RequestIdentity {
        var digits = ""
        for _ in 0..<2 {
            let half = String(UInt64.random(in: .min ... .max), radix: 16)
            digits += String(repeating: "0", count: 16 - half.utf8.count) + half
        }
        return RequestIdentity(trusted: digits)
    }

    private init(trusted text: String) { description = text }

    private static func isValid(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}

extension RequestIdentity: Codable {
    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let identity = RequestIdentity(text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "not the name of a request"))
        }
        self = identity
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

extension Call {
    /// The name of the parameter that every changing method takes.
    static let identityParameter = "request"

    /// The same call with a request name.
    public func named(_ identity: RequestIdentity) -> Call {
        var call = self
        call.parameters = parameters.adding(Self.identityParameter, identity.description)
        return call
    }
}

extension JSONObject {
    /// The object with one more member.
    fileprivate func adding(_ name: String, _ value: String) -> JSONObject {
        let member = "\(JSONText.quoted(name)):\(JSONText.quoted(value))"
        guard self != .empty else { return JSONObject(trusted: Array("{\(member)}".utf8)) }
        return JSONObject(trusted: bytes.dropLast() + Array(",\(member)}".utf8))
    }
}

// MARK: - Outcomes

extension Reply {
    /// The last reply of `Outcome`, which carries the parameters and the error of the request's own last reply.
    public init(outcome reply: Reply) {
        var bytes = Array("{".utf8)
        if let error = reply.error { bytes += Array("\"error\":\(JSONText.quoted(error)),".utf8) }
        bytes += Array("\"parameters\":".utf8) + reply.parameters.bytes + [UInt8(ascii: "}")]
        self.init(parameters: JSONObject(trusted: bytes))
    }

    /// The request's own reply inside the last reply of `Outcome`; nil if there is none.
    public var outcome: Reply? {
        guard error == nil, let members = try? JSONScanner.members(of: parameters.bytes),
            let own = members.first(where: { $0.name == "parameters" })
        else { return nil }
        let bytes = parameters.bytes
        var text: String?
        if let member = members.first(where: { $0.name == "error" }) {
            text = JSONText.unescaped(bytes[member.value].dropFirst().dropLast())
        }
        guard bytes[own.value].first == UInt8(ascii: "{") else { return nil }
        return Reply(parameters: JSONObject(trusted: Array(bytes[own.value])), error: text)
    }
}
