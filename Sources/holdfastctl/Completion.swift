import ArgumentParser
import ControlProtocol

/// Completion of unit names on Tab, from the daemon's list. A short time limit, and no message if it does not answer.
enum UnitCompletion {
    /// The time limit in milliseconds. A shell that hangs at Tab is worse than one without completion.
    private static let timeout = 500

    /// Names of units, in their shortest form, that begin with `prefix`.
    static func candidates(path: String, prefix: String) -> [String] {
        let request = Request.list(names: nil, sockets: true).call()
        guard var connection = try? Connection(path: path), (try? connection.send(request)) != nil,
            case .reply(let reply)? = try? connection.next(tick: timeout), reply.error == nil,
            let list = try? reply.parameters.decode(ListReply.self)
        else { return [] }
        return names(list.units).filter { $0.hasPrefix(prefix) }
    }

    /// A template is listed with the release that it runs, so that the completed name can be used; names that two units
    /// share keep their suffix.
    static func names(_ units: [ListedUnit]) -> [String] {
        let names = units.map(\.operand)
        let stems = names.map(stem)
        var count: [String: Int] = [:]
        for stem in stems { count[stem, default: 0] += 1 }
        return zip(names, stems).map { count[$1] == 1 ? $1 : $0 }
    }

    private static func stem(_ name: String) -> String {
        guard let dot = name.lastIndex(of: ".") else { return name }
        let stem = name[..<dot]
        // The user must type a release: "site@" invites to it.
        return String(stem)
    }
}

extension CompletionKind {
    /// Names of units from the daemon that the environment selects.
    static var units: CompletionKind {
        .custom { arguments, index, prefix in
            UnitCompletion.candidates(path: completionSocketPath(arguments), prefix: prefix)
        }
    }

    /// The control socket according to the options on the line that is being completed.
    private static func completionSocketPath(_ arguments: [String]) -> String {
        var option: String?
        for (index, argument) in arguments.enumerated() {
            if argument.hasPrefix("--socket=") { option = String(argument.dropFirst(9)) }
            if argument == "--socket", index + 1 < arguments.count { option = arguments[index + 1] }
        }
        return GlobalOptions.socketPath(option: option, user: arguments.contains("--user"))
    }
}
