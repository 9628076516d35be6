import ControlProtocol

/// What was typed in place of names: `all`, `app*`, `site:*`. Which units that means, the daemon says.
enum Names {
    /// Whether a name stands for several units, or for whatever there is.
    static func isPattern(_ name: String) -> Bool {
        name == "all" || name.contains { $0 == "*" || $0 == "?" || $0 == ":" }
    }

    /// What a command does with the units that a pattern means.
    enum Use {
        /// Everything, whether it runs or not.
        case starting
        /// Only what runs: nobody who says `stop all` wants to hear of what is stopped.
        case runningOnly
    }

    /// The names to act on, each once. A template that never had a release is left out of patterns, because only a name
    /// with a release can start it.
    static func operands(_ units: [ListedUnit], _ use: Use) -> [String] {
        var seen: Set<String> = []
        return units.filter { unit in
            switch use {
            case .starting: return !unit.operand.contains("@.")
            case .runningOnly: return unit.state != .stopped && unit.state != .failed
            }
        }.map(\.operand).filter { seen.insert($0).inserted }
    }
}

extension Session {
    /// The names as they are, or, if a pattern is among them, what they mean.
    func operands(_ names: [String], _ use: Names.Use) throws(CommandFailure) -> [String] {
        guard names.contains(where: Names.isPattern) else { return names }
        var result: [String] = []
        for name in names {
            if Names.isPattern(name) {
                let reply = try quietly.ask(.list(names: [name], sockets: false), ListReply.self)
                result += Names.operands(reply.units, use)
            } else {
                result.append(name)
            }
        }
        var seen: Set<String> = []
        return result.filter { seen.insert($0).inserted }
    }

    /// The same session without the printing of JSON, for questions whose answers are not the command's.
    var quietly: Session {
        Session(path: path, json: false, output: output, errors: errors)
    }
}
