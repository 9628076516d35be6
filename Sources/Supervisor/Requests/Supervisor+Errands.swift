import ControlProtocol
import Glibc
import Linux

/// One that is under way, and for whom.
struct RunningErrand {
    enum Kind { case logs, verify }

    let kind: Kind
    let errand: Errand
    let uid: UInt32
    /// What it has said that is the last reply.
    var answer: Reply?
}

/// Calls that holdfastctl answers (`Errand`): the arguments, the replies, the bounds.
extension Supervisor {
    /// Each is a process.
    private static let errandLimit = 32
    /// Of them for one user who is not root.
    private static let errandsOfOneUser = 8
    /// Of a caller who has more than this unread nothing more is taken from the disk until it has read it. In bytes.
    private static let unreadLimit = 256 * 1024
    /// What a line of a log may have as JSON: 16 KiB, of which each byte may be written as six.
    private static let longestLogLine = 256 * 1024
    /// What is wrong with ten thousand unit files is one line.
    private static let longestVerdict = MessageLimit.reply / 2

    func readLogs(_ query: LogQuery, _ call: ControlSessions.CallID, _ peer: Peer) throws(ControlError) {
        var arguments = ["logs", "--log-dir", configuration.logDirectory]
        arguments += ["--lines", query.lines.map { "\($0)" } ?? "all"]
        if query.follow == true { arguments.append("--follow") }
        if query.ignoreCase == true { arguments.append("--ignore-case") }
        for (option, value) in [
            ("--since", query.since), ("--until", query.until), ("--generation", query.generation.map { "\($0)" }),
            ("--stream", query.stream), ("--grep", query.grep),
        ] {
            if let value { arguments += [option, value] }
        }
        arguments += ["--"] + (query.names ?? [])
        try begin(.logs, arguments, call, peer)
    }

    func verify(_ names: [String], _ call: ControlSessions.CallID, _ peer: Peer) throws(ControlError) {
        try lookAtDisk()
        var arguments = ["verify"]
        for directory in configuration.unitDirectories { arguments += ["--units", directory] }
        arguments.append("--")
        // Under their full names, which are no paths.
        for name in names { arguments.append(try installed(name).description) }
        try begin(.verify, arguments, call, peer)
    }

    // MARK: - What it says

    private func took(_ lines: Errand.Lines, _ call: ControlSessions.CallID) {
        guard let running = errands[call], let first = lines.first else { return }
        if first.starts(with: "{\"error\":".utf8) {
            // With `--json` a refusal is printed as a reply has it.
            errands[call]?.answer = try? Reply(message: Array(first))
            return
        }
        switch running.kind {
        case .logs:
            let list = lines.joined(separator: [UInt8(ascii: ",")])
            let value = [UInt8(ascii: "[")] + list + [UInt8(ascii: "]")]
            control?.reply(call, Reply(parameters: JSONObject("lines", json: value), continues: true))
            if control?.unread(call) ?? 0 > Self.unreadLimit { running.errand.setReading(false) }
        case .verify: errands[call]?.answer = Reply(parameters: JSONObject("diagnostics", json: Array(first)))
        }
    }

    private func ended(_ call: ControlSessions.CallID, _ problem: String?) {
        guard let running = errands.removeValue(forKey: call) else { return }
        control?.reply(call, lastReply(running, problem))
    }

    private func lastReply(_ running: RunningErrand, _ problem: String?) -> Reply {
        // Before the exit status, which is also what `verify` says of the files.
        if let answer = running.answer { return answer }
        if problem == nil, running.kind == .logs { return Reply(LogsReply(lines: [])) }
        let prefix = "holdfastctl: "
        let text = problem ?? "holdfastctl said nothing"
        return Reply(ControlError.failed(message: text.hasPrefix(prefix) ? String(text.dropFirst(prefix.count)) : text))
    }

    // MARK: - Running it

    private func begin(
        _ kind: RunningErrand.Kind, _ arguments: [String], _ call: ControlSessions.CallID, _ peer: Peer
    ) throws(ControlError) {
        let ofUser = peer.uid == 0 ? 0 : errands.values.count { $0.uid == peer.uid }
        guard errands.count < Self.errandLimit, ofUser < Self.errandsOfOneUser else {
            throw .failed(message: "too many calls that read files are under way: try again when one has ended")
        }
        guard let program = ProgramFile.companion("holdfastctl") else {
            throw .failed(
                message: "holdfastctl, which reads files for the supervisor, is not installed beside holdfastd")
        }
        let errand = Errand(
            longestLine: kind == .logs ? Self.longestLogLine : Self.longestVerdict,
            took: { [unowned self] lines in took(lines, call) },
            done: { [unowned self] problem in ended(call, problem) })
        do {
            try errand.begin(plan(program, arguments, for: peer), children, loop)
        } catch {
            throw .failed(message: "cannot start holdfastctl: \(error)")
        }
        errands[call] = RunningErrand(kind: kind, errand: errand, uid: peer.uid)
    }

    private func plan(_ program: String, _ arguments: [String], for peer: Peer) -> SpawnPlan {
        var options = ["--json", "--socket", configuration.controlSocket]
        if configuration.isUser { options.append("--user") }
        var plan = SpawnPlan(
            program: program, arguments: ["holdfastctl", arguments[0]] + options + arguments.dropFirst(),
            environment: ["PATH": ProgramSearch.path], standardInput: -1, standardOutput: -1, standardError: -1)
        // Ours is for who runs us: the caller can look into a process that is the caller's.
        if configuration.isUser { plan.environment = environment }
        if geteuid() == 0, peer.uid != 0 {
            // Who may ask may read logs, and is not always in the group that may.
            let groups = peer.groups + [readers].compactMap(\.self)
            plan.credentials = Credentials(uid: peer.uid, gid: peer.gid, groups: groups)
        }
        plan.workingDirectory = SpawnPlan.WorkingDirectory(path: "/")
        plan.nice = 10
        plan.oomScoreAdjust = 500
        plan.keyring = .ownSession
        plan.noNewPrivileges = true
        plan.limits = launcher.limits.filter { $0.resource != 2 }
        plan.limits += [
            // A regular expression may need as much as there is: RLIMIT_DATA, and no core file of it.
            SpawnPlan.Limit(resource: 2, soft: 512 << 20, hard: 512 << 20),
            SpawnPlan.Limit(resource: 4, soft: 0, hard: 0),
        ]
        return plan
    }
}
