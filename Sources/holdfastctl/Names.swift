import ControlProtocol

/// What was typed in place of names: `all`, `app*`, `site:*`. Which units that means, the daemon says.
enum Names {
    /// Whether a name stands for several units, or may do so. A colon behind an `@` belongs to the name of an instance.
    static func isPattern(_ name: String) -> Bool {
        if name == "all" || isGlob(name) { return true }
        // Targets have services as members, so the whole is the name of a socket.
        return name.first { $0 == ":" || $0 == "@" } == ":" && !name.hasSuffix(".socket")
    }

    private static func isGlob(_ name: String) -> Bool { name.contains { $0 == "*" || $0 == "?" } }

    /// Whether a name that may be TARGET:MEMBER turned out to be the whole name of the only unit that it means.
    static func isWhole(_ name: String, of units: [ListedUnit]) -> Bool {
        guard !isGlob(name), let only = units.first, units.count == 1 else { return false }
        return only.unit == name || only.unit.hasPrefix(name) && suffixes.contains(only.unit.dropFirst(name.count))
    }

    private static let suffixes: Set<Substring> = [".service", ".socket", ".target"]

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
            case .starting: return !suffixes.contains { unit.operand.hasSuffix("@" + $0) }
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
                result += Names.isWhole(name, of: reply.units) ? [name] : Names.operands(reply.units, use)
            } else {
                result.append(name)
            }
        }
        var seen: Set<String> = []
        return result.filter { seen.insert($0).inserted }
    }

    /// The same session without the printing of JSON, for questions whose answers are not the command's.
    var quietly: Session { quiet }
}
