import ControlProtocol
import Linux
import UnitFiles
import UnitStore

/// A running helper call, with its user: holdfastctl reads files for a client of the control socket.
///
/// A log may be gigabytes, compressed, and on a file system that does not answer. Small reads once per round would still
/// wait there, and a descriptor is more than a client in another language can receive, and less than it needs (rotation,
/// compression, the filter). So holdfastctl reads, as it does for an operator, and prints into a pipe: a client that
/// does not read stops it by a full pipe, and costs the daemon a bounded amount of unread bytes.
///
/// It runs with the rights of the caller and with bounded resources: the caller's input (a regular expression) is as
/// good as a foreign program.
struct RunningHelperCall {
    enum Kind { case logs, verify }

    let kind: Kind
    let program: HelperProgram
    let uid: UInt32
    /// The last reply, if the program has printed it.
    var answer: Reply?
}

/// Interface of the supervisor to the desk of helper calls.
protocol HelperCallsHost: AnyObject {
    /// Reads the unit files again if they have changed.
    func refreshUnits() throws(ControlError)
    /// The unit for a name that has a file.
    func installed(_ name: String) throws(ControlError) -> UnitName
    /// Resource limits of services that set none.
    var serviceLimits: [SpawnPlan.Limit] { get }
    /// The group that may read captured logs.
    var readers: UInt32? { get }
}

/// Helper calls: calls that holdfastctl answers (`HelperProgram`), with their arguments, replies and bounds.
final class HelperCallsDesk {
    private unowned let host: any HelperCallsHost
    private let control: ControlSessions
    private let machine: any Machine
    private let configuration: Configuration
    private let environment: [String: String]
    private var calls: [ControlSessions.CallID: RunningHelperCall] = [:]

    /// - Parameters:
    ///   - environment: the supervisor's own.
    init(
        _ host: any HelperCallsHost, _ control: ControlSessions, _ machine: any Machine, _ configuration: Configuration,
        environment: [String: String]
    ) {
        (self.host, self.control, self.machine) = (host, control, machine)
        (self.configuration, self.environment) = (configuration, environment)
    }

    /// Helper processes at the same time.
    private static let callLimit = 32
    /// Helper processes of one user who is not root.
    private static let callsOfOneUser = 8
    /// Unread bytes of a caller above which the helper's output is not read until the caller has read some.
    private static let unreadLimit = 256 * 1024
    /// Bytes of a log line as JSON: 16 KiB, of which each byte may be encoded as six.
    private static let longestLogLine = 256 * 1024
    /// Bytes of a verdict: the findings on ten thousand unit files are one line.
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
        try startHelper(.logs, arguments, call, peer)
    }

    func verify(_ names: [String], _ call: ControlSessions.CallID, _ peer: Peer) throws(ControlError) {
        try host.refreshUnits()
        var arguments = ["verify"]
        for directory in configuration.unitDirectories { arguments += ["--units", directory] }
        arguments.append("--")
        // Full names, which cannot be taken for paths.
        for name in names { arguments.append(try host.installed(name).description) }
        try startHelper(.verify, arguments, call, peer)
    }

    /// Ends the helper of a call whose client has gone.
    func end(_ call: ControlSessions.CallID) { calls[call]?.program.kill() }

    func endAll() { for call in calls.values { call.program.kill() } }

    /// Continues to read the helper's output, after the client has read all replies.
    func resumeReading(_ call: ControlSessions.CallID) { calls[call]?.program.setReading(true) }

    // MARK: - Output

    private func didPrint(_ lines: HelperProgram.Lines, _ call: ControlSessions.CallID) {
        guard let running = calls[call], let first = lines.first else { return }
        if first.starts(with: "{\"error\":".utf8) {
            // With `--json` holdfastctl prints a refusal in the form of a reply.
            calls[call]?.answer = try? Reply(message: Array(first))
            return
        }
        switch running.kind {
        case .logs:
            let list = lines.joined(separator: [UInt8(ascii: ",")])
            let value = [UInt8(ascii: "[")] + list + [UInt8(ascii: "]")]
            control.reply(call, Reply(parameters: JSONObject("lines", json: value), continues: true))
            if control.unread(call) > Self.unreadLimit { running.program.setReading(false) }
        case .verify: calls[call]?.answer = Reply(parameters: JSONObject("diagnostics", json: Array(first)))
        }
    }

    private func didEnd(_ call: ControlSessions.CallID, _ problem: String?) {
        guard let running = calls.removeValue(forKey: call) else { return }
        control.reply(call, lastReply(running, problem))
    }

    private func lastReply(_ running: RunningHelperCall, _ problem: String?) -> Reply {
        // Checked before the exit status, by which `verify` also reports problems of the files.
        if let answer = running.answer { return answer }
        if problem == nil, running.kind == .logs { return Reply(LogsReply(lines: [])) }
        let prefix = "holdfastctl: "
        let text = problem ?? "holdfastctl printed nothing"
        return Reply(ControlError.failed(message: text.hasPrefix(prefix) ? String(text.dropFirst(prefix.count)) : text))
    }

    // MARK: - Start

    private func startHelper(
        _ kind: RunningHelperCall.Kind, _ arguments: [String], _ call: ControlSessions.CallID, _ peer: Peer
    ) throws(ControlError) {
        let ofUser = peer.uid == 0 ? 0 : calls.values.count { $0.uid == peer.uid }
        guard calls.count < Self.callLimit, ofUser < Self.callsOfOneUser else {
            throw .failed(message: "too many calls that read files are under way: try again when one has ended")
        }
        guard let program = machine.processes.companion("holdfastctl") else {
            throw .failed(
                message: "holdfastctl, which reads files for the supervisor, is not installed beside holdfastd")
        }
        let helper = HelperProgram(on: machine)
        let lines = HelperProgram.LineReader(
            longestLine: kind == .logs ? Self.longestLogLine : Self.longestVerdict
        ) { [unowned self] lines in didPrint(lines, call) }
        do throws(SystemError) {
            try helper.start(plan(program, arguments, for: peer), lines: lines) { [unowned self] outcome in
                didEnd(call, outcome.problem)
            }
        } catch {
            throw .failed(message: "cannot start holdfastctl: \(error)")
        }
        calls[call] = RunningHelperCall(kind: kind, program: helper, uid: peer.uid)
    }

    private func plan(_ program: String, _ arguments: [String], for peer: Peer) -> SpawnPlan {
        var options = ["--json", "--socket", configuration.controlSocket]
        if configuration.isUser { options.append("--user") }
        var plan = SpawnPlan(
            program: program, arguments: ["holdfastctl", arguments[0]] + options + arguments.dropFirst(),
            environment: ["PATH": ProgramSearch.path], standardInput: -1, standardOutput: -1, standardError: -1)
        // The supervisor's own environment only for its own user: the caller can read the environment of a process that
        // runs as the caller.
        if configuration.isUser { plan.environment = environment }
        if machine.processes.ownUser == 0, peer.uid != 0 {
            // The caller may read logs by the rules of the control socket, but is not always in the group that owns the
            // files.
            let groups = peer.groups + [host.readers].compactMap(\.self)
            plan.credentials = Credentials(uid: peer.uid, gid: peer.gid, groups: groups)
        }
        plan.workingDirectory = SpawnPlan.WorkingDirectory(path: "/")
        plan.nice = 10
        plan.oomScoreAdjust = 500
        plan.keyring = .ownSession
        plan.noNewPrivileges = true
        plan.limits = host.serviceLimits.filter { $0.resource != 2 }
        plan.limits += [
            // A regular expression may use unlimited memory: RLIMIT_DATA, and no core file.
            SpawnPlan.Limit(resource: 2, soft: 512 << 20, hard: 512 << 20),
            SpawnPlan.Limit(resource: 4, soft: 0, hard: 0),
        ]
        return plan
    }
}
