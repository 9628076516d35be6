/// Reads the parameters of one call, each once.
///
/// The functions name the parameters that a method takes. They return a default value for a parameter that cannot be
/// read; ``finish()`` then throws.
struct ArgumentReader {
    /// Parameter that a method takes, as the interface description writes it: `hold: ?bool`.
    struct Parameter: Equatable {
        var name: String
        /// Varlink's name of the type, with `?` for an optional parameter.
        var type: String
    }

    private let bytes: [UInt8]
    private var members: [JSONScanner.Member] = []
    /// Parameters that the functions have asked for.
    private(set) var parameters: [Parameter] = []
    private var problem: String?

    /// - Parameter object: proved sound by ``JSONScanner``.
    init(_ object: JSONObject) {
        bytes = object.bytes
        guard object != .empty else { return }
        // Two readers that disagree about which of two equal names counts let a message pass a filter: the scanner
        // refuses such an object.
        guard let members = try? JSONScanner.members(of: bytes) else {
            problem = "parameters"
            return
        }
        self.members = members
    }

    mutating func text(_ name: String) -> String {
        read(name, "string") { (reader) throws(JSONReader.Mismatch) in try reader.string() } ?? missing(name, "")
    }

    mutating func optionalText(_ name: String) -> String? {
        read(name, "?string") { (reader) throws(JSONReader.Mismatch) in try reader.string() }
    }

    mutating func texts(_ name: String) -> [String] {
        read(name, "[]string", Self.strings) ?? missing(name, [])
    }

    mutating func optionalTexts(_ name: String) -> [String]? { read(name, "?[]string", Self.strings) }

    /// False if absent.
    mutating func flag(_ name: String) -> Bool { optionalFlag(name) ?? false }

    mutating func optionalFlag(_ name: String) -> Bool? {
        read(name, "?bool") { (reader) throws(JSONReader.Mismatch) in try reader.bool() }
    }

    mutating func optionalInteger(_ name: String) -> Int? {
        read(name, "?int") { (reader) throws(JSONReader.Mismatch) in try reader.integer() }
    }

    mutating func optionalValue<V: RawRepresentable<String>>(_ name: String, _ type: V.Type) -> V? {
        read(name, "?\(type)") { (reader) throws(JSONReader.Mismatch) in try reader.value(type) }
    }

    mutating func identity(_ name: String) -> RequestIdentity {
        read(name, "string", Self.identity) ?? missing(name, .random())
    }

    mutating func optionalIdentity(_ name: String) -> RequestIdentity? { read(name, "?string", Self.identity) }

    /// Refuses a parameter whose value has the right type and is not valid; nil refuses nothing.
    mutating func refuse(_ name: String?) { problem = problem ?? name }

    /// - Throws: ``ControlError/invalidParameter(parameter:)`` for the first parameter that the method does not take (a
    ///   misspelt optional parameter must not be taken for an absent one), that is missing, or that has another type.
    consuming func finish() throws(ControlError) {
        let unknown = members.first { member in !parameters.contains { $0.name == member.name } }
        if let wrong = unknown?.name ?? problem { throw .invalidParameter(parameter: wrong) }
    }

    private mutating func read<Value>(
        _ name: String, _ type: String, _ value: (inout JSONReader) throws(JSONReader.Mismatch) -> Value
    ) -> Value? {
        parameters.append(Parameter(name: name, type: type))
        guard let member = members.first(where: { $0.name == name }) else { return nil }
        // Null counts as absent.
        if bytes[member.value].elementsEqual("null".utf8) { return nil }
        var reader = JSONReader(Array(bytes[member.value]))
        do throws(JSONReader.Mismatch) {
            return try value(&reader)
        } catch {
            refuse(name)
            return nil
        }
    }

    private mutating func missing<Value>(_ name: String, _ value: Value) -> Value {
        refuse(name)
        return value
    }

    private static func strings(_ reader: inout JSONReader) throws(JSONReader.Mismatch) -> [String] {
        try reader.array { (reader) throws(JSONReader.Mismatch) in try reader.string() }
    }

    private static func identity(_ reader: inout JSONReader) throws(JSONReader.Mismatch) -> RequestIdentity {
        guard let identity = RequestIdentity(try reader.string()) else { throw JSONReader.Mismatch(name: "") }
        return identity
    }
}

/// Parameters of a call to be sent. Absent values and flags that are false are not written.
struct Arguments: ExpressibleByDictionaryLiteral {
    enum Value {
        case text(String?)
        case texts([String]?)
        case flag(Bool?)
        case number(Int?)

        fileprivate var json: String? {
            switch self {
            case .text(let text): text.map(JSONText.quoted)
            case .texts(let texts): texts.map { "[\($0.map(JSONText.quoted).joined(separator: ","))]" }
            case .flag(let flag): flag == true ? "true" : nil
            case .number(let number): number.map { "\($0)" }
            }
        }
    }

    private let values: [(String, Value)]

    init(dictionaryLiteral values: (String, Value)...) { self.values = values }

    /// The object with sorted names.
    var object: JSONObject {
        let members = values.sorted { $0.0 < $1.0 }.compactMap { name, value in
            value.json.map { "\(JSONText.quoted(name)):\($0)" }
        }
        return members.isEmpty ? .empty : JSONObject(trusted: Array("{\(members.joined(separator: ","))}".utf8))
    }
}
