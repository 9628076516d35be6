/// The parameters of a method as they are in a message. `names` lists every parameter of the method: a misspelt
/// optional parameter must not be taken for an absent one.
protocol CallParameters: Codable {
    static var names: [String] { get }
    /// The value that stands for no parameters; nil if a parameter is required.
    static var empty: Self? { get }
}

extension CallParameters {
    static var empty: Self? { nil }
}

extension LogQuery: CallParameters {
    static let names = ["names", "follow", "lines", "since", "until", "generation", "stream", "grep", "ignoreCase"]
    static var empty: LogQuery? { LogQuery() }
}

enum Parameters {
    struct None: CallParameters {
        static let names: [String] = []
        static var empty: None? { None() }
    }
    struct Name: CallParameters {
        static let names = ["name"]
        var name: String
    }
    struct OptionalName: CallParameters {
        static let names = ["name"]
        var name: String?
    }
    struct Names: CallParameters {
        static let names = ["names"]
        static var empty: Names? { Names() }
        var names: [String]?
    }
    struct SomeNames: CallParameters {
        static let names = ["names"]
        var names: [String]
    }
    struct Install: CallParameters {
        static let names = ["names", "runtime"]
        var names: [String]
        var runtime: Bool?
    }
    struct List: CallParameters {
        static let names = ["names", "sockets"]
        static var empty: List? { List() }
        var names: [String]?
        var sockets: Bool?
    }
    struct NameHold: CallParameters {
        static let names = ["name", "hold"]
        var name: String
        var hold: Bool?
    }
    struct NameHard: CallParameters {
        static let names = ["name", "hard"]
        var name: String
        var hard: Bool?
    }
    struct NameWith: CallParameters {
        static let names = ["name", "with"]
        var name: String
        var with: [String]?
    }
    struct NameNow: CallParameters {
        static let names = ["name", "now"]
        var name: String
        var now: Bool?
    }
    struct Signal: CallParameters {
        static let names = ["name", "signal", "who"]
        var name: String
        var signal: String
        var who: Request.SignalTarget?
    }
    struct History: CallParameters {
        static let names = ["name", "limit"]
        var name: String?
        var limit: Int?
    }
    struct Input: CallParameters {
        static let names = ["name", "text"]
        var name: String
        var text: String
    }
    struct Outcome: CallParameters {
        static let names = ["request"]
        var request: String
    }
    struct Interface: CallParameters {
        static let names = ["interface"]
        var interface: String
    }
}

extension Call {
    func withoutParameters(_ request: Request) throws(ControlError) -> Request {
        _ = try read(Parameters.None.self)
        return request
    }

    /// The name of the parameter that the decoder rejects. For some values (1.5 as an integer, half a surrogate pair)
    /// the decoder does not name it; then it is the member that gives the same vague error alone.
    private func culprit<P: CallParameters>(_: P.Type) -> String? {
        let members = (try? JSONScanner.members(of: parameters.bytes)) ?? []
        return members.first { member in
            let alone = Array("{\"\(member.name)\":".utf8) + parameters.bytes[member.value] + [UInt8(ascii: "}")]
            do throws(MessageError) {
                _ = try JSONObject(trusted: alone).decode(P.self)
                return false
            } catch {
                return error == .badMember("parameters")
            }
        }?.name
    }

    func read<P: CallParameters>(_: P.Type) throws(ControlError) -> P {
        let mayHaveName = ManagerMethod(rawValue: method)?.takesIdentity == true
        let unknown = parameters.names.first { name in
            !P.names.contains(name) && !(mayHaveName && name == Self.identityParameter)
        }
        if let unknown { throw .invalidParameter(parameter: unknown) }
        // Without parameters, where none is required, no decoder needs to start.
        if parameters == .empty, let nothing = P.empty { return nothing }
        do {
            return try parameters.decode(P.self)
        } catch {
            switch error {
            case .badMember(let name) where P.names.contains(name): throw .invalidParameter(parameter: name)
            case .badMember, .tooLarge, .tooDeep, .malformed:
                throw .invalidParameter(parameter: culprit(P.self) ?? "parameters")
            }
        }
    }
}

extension JSONObject {
    /// Encodes parameters. They hold strings, booleans and integers only, so that encoding cannot fail.
    static func of(_ value: some Encodable) -> JSONObject {
        (try? JSONObject(encoding: value)) ?? .empty
    }
}
