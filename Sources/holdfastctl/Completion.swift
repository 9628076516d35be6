import ArgumentParser
import ControlProtocol

/// What Tab offers for names of units: what the daemon lists, asked quickly and without a word if it does not answer.
enum UnitCompletion {
    /// In milliseconds. A shell that hangs at Tab is worse than one that knows no names.
    private static let patience = 500

    /// Names of units, as short as they may be typed, that begin with what is typed already.
    static func candidates(path: String, prefix: String) -> [String] {
        let request = Request.list(names: nil, sockets: true).call()
        guard var connection = try? Connection(path: path), (try? connection.send(request)) != nil,
            case .reply(let reply)? = try? connection.next(tick: patience), reply.error == nil,
            let list = try? reply.parameters.decode(ListReply.self)
        else { return [] }
        return names(list.units).filter { $0.hasPrefix(prefix) }
    }

    /// A template with the release that it runs, so that what is completed can be used; names that two units share keep
    /// their suffix.
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
        // Without a release one must be typed: "site@" invites to it.
        return String(stem)
    }
}

extension CompletionKind {
    /// Names of units, asked of the daemon that the environment names.
    static var units: CompletionKind {
        .custom { arguments, index, prefix in
            UnitCompletion.candidates(path: completionSocketPath(arguments), prefix: prefix)
        }
    }

    /// The options on the line that is being completed say which daemon it is.
    private static func completionSocketPath(_ arguments: [String]) -> String {
        var option: String?
        for (index, argument) in arguments.enumerated() {
            if argument.hasPrefix("--socket=") { option = String(argument.dropFirst(9)) }
            if argument == "--socket", index + 1 < arguments.count { option = arguments[index + 1] }
        }
        return GlobalOptions.socketPath(option: option, user: arguments.contains("--user"))
    }
}
