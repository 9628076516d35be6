import FoundationEssentials

/// JSON text of one object, proved sound by ``Call/init(message:)`` or ``Reply/init(message:)``, or written by our own
/// encoder. It stays text until its type is known, so that `--json` can print exactly the bytes that were sent.
public struct JSONObject: Equatable, Sendable, CustomStringConvertible {
    /// The UTF-8 bytes, from `{` to `}`.
    public let bytes: [UInt8]

    /// `{}`.
    public static let empty = JSONObject(trusted: Array("{}".utf8))

    init(trusted bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// The ``bytes`` of an object that this program, or another process of it, has written.
    public init(written bytes: [UInt8]) {
        self.init(trusted: bytes)
    }

    /// Writes `value` as JSON with sorted names.
    /// - Throws: ``MessageError/badMember(_:)`` if the value cannot be written (a number that is not finite).
    public init(encoding value: some Encodable) throws(MessageError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            bytes = Array(try encoder.encode(value))
        } catch let EncodingError.invalidValue(_, context) {
            throw .badMember(context.codingPath.last?.stringValue ?? "parameters")
        } catch {
            throw .badMember("parameters")
        }
    }

    /// An object with one member, whose value is JSON that a Holdfast program has written.
    public init(_ name: StaticString, json value: [UInt8]) {
        bytes = Array("{\"\(name)\":".utf8) + value + [UInt8(ascii: "}")]
    }

    /// Decodes the object as a `Value`.
    /// - Throws: ``MessageError/badMember(_:)`` with the outermost member that is missing or has another type.
    public func decode<Value: Decodable>(_: Value.Type) throws(MessageError) -> Value {
        do {
            return try JSONDecoder().decode(Value.self, from: Data(bytes))
        } catch let error as DecodingError {
            throw .badMember(Self.outermostName(of: error))
        } catch {
            throw .badMember("parameters")
        }
    }

    /// The names of the members, in the order of the text.
    var names: [String] {
        ((try? JSONScanner.members(of: bytes)) ?? []).map(\.name)
    }

    private static func outermostName(of error: DecodingError) -> String {
        let (context, missing): (DecodingError.Context, (any CodingKey)?) =
            switch error {
            case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
                (context, nil)
            case .keyNotFound(let key, let context): (context, key)
            @unknown default: (.init(codingPath: [], debugDescription: ""), nil)
            }
        return context.codingPath.first?.stringValue ?? missing?.stringValue ?? "parameters"
    }

    public var description: String { String(decoding: bytes, as: UTF8.self) }
}

/// A Varlink call, sent by a client.
public struct Call: Equatable, Sendable {
    /// The full name of the method, `io.holdfast.Manager.Swap`.
    public var method: String
    /// The parameters; an empty object if the message had none.
    public var parameters: JSONObject
    /// The client wants no reply at all, not even an error.
    public var oneway: Bool
    /// The client takes several replies; all but the last say `continues`.
    public var more: Bool
    /// The client wants to speak another protocol after the reply. No method of ours does that.
    public var upgrade: Bool

    public init(
        method: String, parameters: JSONObject = .empty, oneway: Bool = false, more: Bool = false, upgrade: Bool = false
    ) {
        self.method = method
        self.parameters = parameters
        self.oneway = oneway
        self.more = more
        self.upgrade = upgrade
    }

    /// Reads a message as the framer returned it. Members that Varlink does not define are ignored.
    /// - Throws: ``MessageError`` if it is not a Varlink call; Varlink has no reply for that: close the connection.
    public init(message: [UInt8]) throws(MessageError) {
        let members = try Members(message)
        guard let method = try members.string("method") else { throw .badMember("method") }
        self.method = method
        parameters = try members.object("parameters")
        oneway = try members.flag("oneway")
        more = try members.flag("more")
        upgrade = try members.flag("upgrade")
    }

    /// The message with its NUL.
    public func encoded() -> [UInt8] {
        var writer = MessageWriter(capacity: parameters.bytes.count)
        writer.member("method", string: method)
        if parameters != .empty { writer.member("parameters", raw: parameters.bytes) }
        if oneway { writer.member("oneway", raw: Array("true".utf8)) }
        if more { writer.member("more", raw: Array("true".utf8)) }
        if upgrade { writer.member("upgrade", raw: Array("true".utf8)) }
        return writer.finish()
    }

    /// The interface part of the method's name: everything before the last dot, empty if there is none.
    public var interface: String {
        guard let dot = method.lastIndex(of: ".") else { return "" }
        return String(method[..<dot])
    }
}

/// A Varlink reply: the daemon sends one, or several for a call with `more`.
public struct Reply: Equatable, Sendable {
    /// The parameters of the reply or of the error; an empty object if the message had none.
    public var parameters: JSONObject
    /// Another reply to the same call follows.
    public var continues: Bool
    /// The full name of the error, `io.holdfast.Manager.Busy`; nil on success.
    public var error: String?

    public init(parameters: JSONObject = .empty, continues: Bool = false, error: String? = nil) {
        self.parameters = parameters
        self.continues = continues
        self.error = error
    }

    /// A reply that carries `value`. The caller waits: a value that JSON cannot express becomes the error `Failed`.
    public init(_ value: some Encodable, continues: Bool = false) {
        do {
            self.init(parameters: try JSONObject(encoding: value), continues: continues)
        } catch {
            self.init(.failed(message: "cannot write the reply: \(error)"))
        }
    }

    /// The reply that carries the reason of a refusal.
    public init(_ error: ControlError) {
        self.init(parameters: error.parameters, error: error.name)
    }

    /// Reads a message as the framer returned it.
    /// - Throws: ``MessageError`` if it is not a Varlink reply.
    public init(message: [UInt8]) throws(MessageError) {
        let members = try Members(message)
        parameters = try members.object("parameters")
        continues = try members.flag("continues")
        error = try members.string("error")
    }

    /// The message with its NUL.
    public func encoded() -> [UInt8] {
        var writer = MessageWriter(capacity: parameters.bytes.count)
        if let error { writer.member("error", string: error) }
        if parameters != .empty || error == nil { writer.member("parameters", raw: parameters.bytes) }
        if continues { writer.member("continues", raw: Array("true".utf8)) }
        return writer.finish()
    }

    /// The error that the reply carries, with its parameters as far as they can be read.
    public var failure: ControlError? {
        error.map { ControlError(name: $0, parameters: parameters) }
    }
}

/// The members of an envelope, typed on demand. `null` counts as absent, as in Varlink's own libraries.
private struct Members {
    private let bytes: [UInt8]
    private let members: [JSONScanner.Member]

    init(_ bytes: [UInt8]) throws(MessageError) {
        self.bytes = bytes
        members = try JSONScanner.members(of: bytes)
    }

    private func value(_ name: String) -> ArraySlice<UInt8>? {
        guard let member = members.first(where: { $0.name == name }) else { return nil }
        let value = bytes[member.value]
        return value.elementsEqual("null".utf8) ? nil : value
    }

    func string(_ name: String) throws(MessageError) -> String? {
        guard let value = value(name) else { return nil }
        guard value.first == UInt8(ascii: "\""), let text = JSONText.unescaped(value.dropFirst().dropLast()) else {
            throw .badMember(name)
        }
        return text
    }

    func flag(_ name: String) throws(MessageError) -> Bool {
        guard let value = value(name) else { return false }
        if value.elementsEqual("true".utf8) { return true }
        if value.elementsEqual("false".utf8) { return false }
        throw .badMember(name)
    }

    func object(_ name: String) throws(MessageError) -> JSONObject {
        guard let value = value(name) else { return .empty }
        guard value.first == UInt8(ascii: "{") else { throw .badMember(name) }
        return JSONObject(trusted: Array(value))
    }
}

/// Builds an envelope around parameters that are JSON already.
private struct MessageWriter {
    private var bytes: [UInt8] = [UInt8(ascii: "{")]

    init(capacity: Int) { bytes.reserveCapacity(capacity + 64) }

    mutating func member(_ name: String, raw: [UInt8]) {
        if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
        bytes += "\"\(name)\":".utf8
        bytes += raw
    }

    mutating func member(_ name: String, string: String) {
        member(name, raw: Array(JSONText.quoted(string).utf8))
    }

    consuming func finish() -> [UInt8] {
        bytes.append(UInt8(ascii: "}"))
        bytes.append(0)
        return bytes
    }
}
