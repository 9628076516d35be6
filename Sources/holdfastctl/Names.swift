import ControlProtocol

/// Arguments that stand for several units: `all`, `app*`, `site:*`. The daemon resolves them.
enum Names {
    /// Whether a name stands for several units, or may do so. A colon after an `@` is part of an instance name.
    static func isPattern(_ name: String) -> Bool {
        if name == "all" || isGlob(name) { return true }
        // Members of targets are services, so a name with a colon and `.socket` is a whole name.
        return name.first { $0 == ":" || $0 == "@" } == ":" && !name.hasSuffix(".socket")
    }

    private static func isGlob(_ name: String) -> Bool { name.contains { $0 == "*" || $0 == "?" } }

    /// Whether a name that looks like TARGET:MEMBER is in fact the whole name of the only unit that it matches.
    static func isFullName(_ name: String, of units: [ListedUnit]) -> Bool {
        guard !isGlob(name), let only = units.first, units.count == 1 else { return false }
        return only.unit == name || only.unit.hasPrefix(name) && suffixes.contains(only.unit.dropFirst(name.count))
    }

    private static let suffixes: Set<Substring> = [".service", ".socket", ".target"]

    /// The use that a command makes of the units that a pattern matches.
    enum Purpose {
        /// All units, running or not.
        case starting
        /// Running units only: `stop all` does not report the units that are stopped already.
        case runningOnly
    }

    /// The names to act on, each once. Patterns leave out a template that never had a release, because only a name with
    /// a release can start it.
    static func operands(_ units: [ListedUnit], _ purpose: Purpose) -> [String] {
        var seen: Set<String> = []
        return units.filter { unit in
            switch purpose {
            case .starting: return !suffixes.contains { unit.operand.hasSuffix("@" + $0) }
            case .runningOnly: return unit.state != .stopped && unit.state != .failed
            }
        }.map(\.operand).filter { seen.insert($0).inserted }
    }
}

extension Session {
    /// The names unchanged, or, if a pattern is among them, the units that they match.
    func operands(_ names: [String], _ purpose: Names.Purpose) throws(CommandFailure) -> [String] {
        guard names.contains(where: Names.isPattern) else { return distinct(names) }
        var result: [String] = []
        for name in names {
            if Names.isPattern(name) {
                do throws(CommandFailure) {
                    let reply = try quiet.ask(.list(names: [name], sockets: false), ListReply.self)
                    result += Names.isFullName(name, of: reply.units) ? [name] : Names.operands(reply.units, purpose)
                } catch {
                    // The request about this name is refused in its turn; the others are carried out.
                    guard case .refused(.noSuchUnit) = error, names.count > 1 else { throw error }
                    result.append(name)
                }
            } else {
                result.append(name)
            }
        }
        var seen: Set<String> = []
        return result.filter { seen.insert($0).inserted }
    }

    /// The names in their order, without duplicates, so that a unit named twice is not restarted or signalled twice.
    func distinct(_ names: [String]) -> [String] {
        var seen: Set<String> = []
        return names.filter { seen.insert($0).inserted }
    }

    /// Sends one request about several names. Unknown names are reported, and the request is repeated without them.
    /// - Returns: the answer, with the exit status of the first unknown name.
    func askSkippingUnknown<Answer>(
        _ names: [String], refusal status: (ControlError) -> CommandStatus = { _ in .failure },
        _ body: ([String]) throws(CommandFailure) -> Answer
    ) throws(CommandFailure) -> (answer: Answer, status: CommandStatus) {
        var known = names
        var worst = CommandStatus.ok
        while true {
            do throws(CommandFailure) {
                return (try body(known), worst)
            } catch {
                guard case .refused(.noSuchUnit(let name, _)) = error, known.count > 1,
                    let index = known.firstIndex(where: { $0 == name || name.hasPrefix($0 + ".") })
                else { throw error }
                let one = report(error, refusal: status)
                if worst == .ok { worst = one }
                known.remove(at: index)
            }
        }
    }
}
