import ControlProtocol

/// One value of each type with every field set, and what it must look like on the wire. Other languages read these
/// names, so a change here is a change of the protocol.
enum Samples {
    static let service = ServiceStatus(
        unit: "app@v3.service", state: .startPre, mainPid: 4711, statusText: "warming up", age: 1.5, restarts: 2,
        result: "exit status 1 (FAILURE)", ready: true, connections: 12, memory: 1024, linesLost: 3,
        linesSuppressed: 4, waitingFor: "ExecStartPre=/bin/check to end")
    static let serviceJSON =
        #"{"age":1.5,"connections":12,"linesLost":3,"linesSuppressed":4,"mainPid":4711,"memory":1024,"ready":true,"restarts":2,"#
        + #""result":"exit status 1 (FAILURE)","state":"start_pre","statusText":"warming up","unit":"app@v3.service","#
        + #""waitingFor":"ExecStartPre=/bin/check to end"}"#

    static let generation = GenerationStatus(
        number: 4, release: "v3", role: .draining, services: [service], age: 60, phase: .cutOver,
        waitingFor: "edge@v3.service", deadline: 12.5, connections: 3, oldestPeer: "192.0.2.7:51234", oldestPeerIdle: 8)
    static let generationJSON =
        #"{"age":60,"connections":3,"deadline":12.5,"number":4,"oldestPeer":"192.0.2.7:51234","oldestPeerIdle":8,"#
        + #""phase":"cut_over","release":"v3","role":"draining","#
        + #""services":[\#(serviceJSON)],"waitingFor":"edge@v3.service"}"#

    static let unit = UnitStatus(
        unit: "site@.target", description: "The site", state: .swapping, swappable: true, release: "v3",
        servingGeneration: 4, generations: [generation], reason: "because", since: "2026-11-23T05:02:57Z",
        outdated: true, unitFileState: "enabled")
    static let unitJSON =
        #"{"description":"The site","generations":[\#(generationJSON)],"outdated":true,"reason":"because","#
        + #""release":"v3","#
        + #""servingGeneration":4,"since":"2026-11-23T05:02:57Z","state":"swapping","swappable":true,"#
        + #""unit":"site@.target","unitFileState":"enabled"}"#

    static let progress = Progress(
        elapsed: 0.25, unit: "site@v3.target", generation: 4, release: "v3", phase: .rollBack,
        service: "app@v3.service", message: "ready", waitingFor: "edge", connectionsLeft: 9, secondsLeft: 30)
    static let progressJSON =
        #"{"connectionsLeft":9,"elapsed":0.25,"generation":4,"message":"ready","phase":"roll_back","release":"v3","#
        + #""secondsLeft":30,"service":"app@v3.service","unit":"site@v3.target","waitingFor":"edge"}"#

    static let failure = FailureReport(
        unit: "app@v3.service", phase: .verify, message: "cannot start app@v3.service: no",
        exitStatus: "signal 9 (KILL)",
        probeAnswer: "503 Service Unavailable", lastLines: ["a", "b"])
    static let failureJSON =
        #"{"exitStatus":"signal 9 (KILL)","lastLines":["a","b"],"message":"cannot start app@v3.service: no","#
        + #""phase":"verify","probeAnswer":"503 Service Unavailable","unit":"app@v3.service"}"#

    static let durations = PhaseDurations(prepare: 0.5, start: 1, soak: 5, drain: 2, total: 8.5)
    static let durationsJSON = #"{"drain":2,"prepare":0.5,"soak":5,"start":1,"total":8.5}"#

    static let drainEnd = DrainEnd(
        generation: 3, release: "v2", seconds: 12.5, forced: .timeout, connectionsCut: 2, unclean: "a", lost: "b")
    static let drainEndJSON =
        #"{"connectionsCut":2,"forced":"timeout","generation":3,"lost":"b","release":"v2","seconds":12.5,"unclean":"a"}"#

    static let result = OperationResult(
        outcome: .rolledBack, unit: "site@v3.target", generation: 4, release: "v3", fromGeneration: 3,
        fromRelease: "v2", reason: failure, notes: ["edge@v3 moved along"], durations: durations,
        draining: [GenerationReference(generation: 4, release: "v3")], drained: [drainEnd])
    static let resultJSON =
        #"{"drained":[\#(drainEndJSON)],"draining":[{"generation":4,"release":"v3"}],"#
        + #""durations":\#(durationsJSON),"fromGeneration":3,"fromRelease":"v2","generation":4,"#
        + #""notes":["edge@v3 moved along"],"outcome":"rolled_back","reason":\#(failureJSON),"release":"v3","#
        + #""unit":"site@v3.target"}"#

    static let entry = HistoryEntry(
        number: 7, unit: "site@.target", kind: .swap, who: Actor(uid: 1000, user: "ann"), at: "2026-11-23T05:02:57Z",
        from: GenerationReference(generation: 3, release: "v2"), to: GenerationReference(generation: 4, release: "v3"),
        outcome: .completed, reason: "x", durations: durations, request: identity.description, drained: drainEnd)
    static let identity = RequestIdentity("0123456789abcdef-A_z")!
    static let entryJSON =
        #"{"at":"2026-11-23T05:02:57Z","drained":\#(drainEndJSON),"durations":\#(durationsJSON),"from":{"generation":3,"release":"v2"},"#
        + #""kind":"swap","number":7,"outcome":"completed","reason":"x","request":"\#(identity)","to":{"generation":4,"release":"v3"},"#
        + #""unit":"site@.target","who":{"uid":1000,"user":"ann"}}"#

    static let socket = SocketStatus(
        unit: "app@.socket", address: "/run/site/app-v3.sock.4", scope: .generation, generation: 4,
        descriptorName: "app", listening: true, backlog: 4096, queued: 1,
        holders: [SocketHolder(unit: "app@v3.service", generation: 4)])
    static let socketJSON =
        #"{"address":"/run/site/app-v3.sock.4","backlog":4096,"descriptorName":"app","generation":4,"#
        + #""holders":[{"generation":4,"unit":"app@v3.service"}],"kind":"stream","listening":true,"paused":false,"#
        + #""queued":1,"scope":"generation","state":"held","unit":"app@.socket"}"#

    /// One with everything that a started socket unit has.
    static let socketChange = SocketChange(
        attribute: "socket filter", found: "a classic BPF program", expected: "none",
        suspects: ["web@v2.service (generation 2)"], at: "2026-11-28T16:00:00Z", count: 2,
        problem: "it is locked (SO_LOCK_FILTER)")
    static let startedSocket: SocketStatus = {
        var socket = Self.socket
        (socket.state, socket.paused, socket.service, socket.reason) = (.failed, true, "app.service", "too often")
        (socket.triggered, socket.connections, socket.accepted, socket.maxConnections) = (7, 1, 9, 64)
        socket.triggerLimit = SocketLimit(burst: 20, interval: 2)
        socket.pollLimit = SocketLimit(burst: 15, interval: 2)
        socket.changes = [socketChange]
        return socket
    }()

    static let diagnostic = UnitDiagnostic(
        file: "/etc/x.service", line: 3, column: 1, severity: .error, code: "unknown-directive", directive: "ExecStrt=",
        message: "unknown directive", suggestion: "ExecStart=")
    static let diagnosticJSON =
        #"{"code":"unknown-directive","column":1,"directive":"ExecStrt=","file":"/etc/x.service","line":3,"#
        + #""message":"unknown directive","severity":"error","suggestion":"ExecStart="}"#

    static let describe = DescribeReply(
        version: "1", pid: 42, unitDirectories: ["/etc/holdfast/units"], runtimeDirectory: "/run/holdfast",
        stateDirectory: "/var/lib/holdfast", logDirectory: "/var/log/holdfast", userMode: false,
        startedAt: "2026-11-23T05:02:57Z")
    static let describeJSON =
        #"{"logDirectory":"/var/log/holdfast","pid":42,"runtimeDirectory":"/run/holdfast","#
        + #""startedAt":"2026-11-23T05:02:57Z","stateDirectory":"/var/lib/holdfast","#
        + #""unitDirectories":["/etc/holdfast/units"],"userMode":false,"version":"1"}"#

    static let update = UpdateReply(
        changed: ["a"], added: ["b"], removed: ["c"], outdated: ["d"], diagnostics: [diagnostic], notes: ["e"])

    static let listed = ListedUnit(
        unit: "site@.target", operand: "site@v3.target", description: "The site", state: .running, mainPids: [4711],
        outdated: true)
    static let listedJSON =
        #"{"description":"The site","mainPids":[4711],"operand":"site@v3.target","outdated":true,"state":"running","#
        + #""unit":"site@.target"}"#

    static let finding = Finding(unit: "app@v3.service", text: "not ready", hint: "wait", failure: failure)
    static let findingJSON =
        #"{"failure":\#(failureJSON),"hint":"wait","text":"not ready","unit":"app@v3.service"}"#

    static let event = UnitEvent(
        .service, at: "2026-11-23T05:02:57Z", unit: "site@.target", generation: 4, release: "v3",
        service: "app@v3.service", state: .running, serviceState: .running, phase: .soak, outcome: .completed,
        message: "ready", count: 3, drained: drainEnd)
    static let eventJSON =
        #"{"at":"2026-11-23T05:02:57Z","count":3,"drained":\#(drainEndJSON),"generation":4,"kind":"service","message":"ready","#
        + #""outcome":"completed","phase":"soak","release":"v3","service":"app@v3.service","serviceState":"running","#
        + #""state":"running","unit":"site@.target"}"#

    static let line = LoggedLine(
        time: "2026-11-23T05:02:57.000001Z", unit: "app@v3.service", generation: 4, stream: "err", text: "502")
    static let lineJSON =
        #"{"generation":4,"stream":"err","text":"502","time":"2026-11-23T05:02:57.000001Z","unit":"app@v3.service"}"#

    /// Every request there is, with its parameters as they are sent.
    static let requests: [(request: Request, parameters: String)] = [
        (.outcome(of: identity), #"{"request":"\#(identity)"}"#),
        (.getInfo, "{}"),
        (.getInterfaceDescription(interface: "io.holdfast.Manager"), #"{"interface":"io.holdfast.Manager"}"#),
        (.describe, "{}"),
        (.status(names: nil), "{}"),
        (.status(names: ["a", "b"]), #"{"names":["a","b"]}"#),
        (.start(name: "a", hold: false), #"{"name":"a"}"#),
        (.start(name: "a", hold: true), #"{"hold":true,"name":"a"}"#),
        (.stop(name: "a"), #"{"name":"a"}"#),
        (.restart(name: "a", hard: true), #"{"hard":true,"name":"a"}"#),
        (.reload(name: "a"), #"{"name":"a"}"#),
        (.swap(name: "site@v3", hold: true), #"{"hold":true,"name":"site@v3"}"#),
        (.promote(name: "a"), #"{"name":"a"}"#),
        (.abort(name: "a"), #"{"name":"a"}"#),
        (.rollback(name: "a"), #"{"name":"a"}"#),
        (.drain(name: "a", now: true), #"{"name":"a","now":true}"#),
        (.adopt(name: "a"), #"{"name":"a"}"#),
        (.signal(name: "a", signal: "HUP", who: .main), #"{"name":"a","signal":"HUP"}"#),
        (.signal(name: "a", signal: "HUP", who: .all), #"{"name":"a","signal":"HUP","who":"all"}"#),
        (.history(name: "a", limit: 5), #"{"limit":5,"name":"a"}"#),
        (.history(name: nil, limit: nil), "{}"),
        (.generations(name: nil), "{}"),
        (.sockets, "{}"),
        (.list(names: nil, sockets: false), "{}"),
        (.list(names: ["app*"], sockets: true), #"{"names":["app*"],"sockets":true}"#),
        (.why(name: "a"), #"{"name":"a"}"#),
        (.show(name: "a"), #"{"name":"a"}"#),
        (.events(names: nil), "{}"),
        (.events(names: ["a"]), #"{"names":["a"]}"#),
        (.forget(name: "a"), #"{"name":"a"}"#),
        (.resetFailed(names: nil), "{}"),
        (.resetFailed(names: ["a"]), #"{"names":["a"]}"#),
        (.cat(name: "a"), #"{"name":"a"}"#),
        (.pause(name: "a"), #"{"name":"a"}"#),
        (.resume(name: "a"), #"{"name":"a"}"#),
        (.clearLogs(name: "a"), #"{"name":"a"}"#),
        (.logs(LogQuery()), "{}"),
        (
            .logs(
                LogQuery(
                    names: ["a"], follow: true, lines: 9, since: "2026-11-23T05:02:57Z", until: "2026-11-24T05:02:57Z",
                    generation: 4, stream: "err", grep: "x+", ignoreCase: true)),
            #"{"follow":true,"generation":4,"grep":"x+","ignoreCase":true,"lines":9,"names":["a"],"#
                + #""since":"2026-11-23T05:02:57Z","stream":"err","until":"2026-11-24T05:02:57Z"}"#
        ),
        (.verify(names: nil), "{}"),
        (.verify(names: ["a"]), #"{"names":["a"]}"#),
        (.dependencies(name: "a"), #"{"name":"a"}"#),
        (.unitFileStates(names: ["a"]), #"{"names":["a"]}"#),
        (.install(.enable, names: ["a"], runtime: false), #"{"names":["a"]}"#),
        (.install(.disable, names: ["a"], runtime: true), #"{"names":["a"],"runtime":true}"#),
        (.install(.mask, names: ["a"], runtime: false), #"{"names":["a"]}"#),
        (.install(.unmask, names: ["a"], runtime: false), #"{"names":["a"]}"#),
        (.input(name: "a", text: "x\n"), #"{"name":"a","text":"x\n"}"#),
        (.update, "{}"),
        (.reexec, "{}"),
        (.shutdown, "{}"),
    ]

    static let errors: [(error: ControlError, json: String)] = [
        (.interfaceNotFound(interface: "x.y"), #"{"interface":"x.y"}"#),
        (.methodNotFound(method: "x.y.Z"), #"{"method":"x.y.Z"}"#),
        (.methodNotImplemented(method: "x.y.Z"), #"{"method":"x.y.Z"}"#),
        (.invalidParameter(parameter: "name"), #"{"parameter":"name"}"#),
        (.expectedMore, "{}"),
        (.noSuchUnit(name: "sit", suggestion: "site@.target"), #"{"name":"sit","suggestion":"site@.target"}"#),
        (.noSuchUnit(name: "sit", suggestion: nil), #"{"name":"sit"}"#),
        (.ambiguousName(name: "a", candidates: ["a.service"]), #"{"candidates":["a.service"],"name":"a"}"#),
        (.invalidUnit(name: "a", diagnostics: [diagnostic]), #"{"diagnostics":[\#(diagnosticJSON)],"name":"a"}"#),
        (.notSwappable(name: "a", reason: "no [X-Swap]"), #"{"name":"a","reason":"no [X-Swap]"}"#),
        (.busy(unit: "a", operation: "swap", detail: "verify"), #"{"detail":"verify","operation":"swap","unit":"a"}"#),
        (.noRelease(name: "site@.target"), #"{"name":"site@.target"}"#),
        (.nothingToPromote(unit: "a"), #"{"unit":"a"}"#),
        (.nothingToAbort(unit: "a"), #"{"unit":"a"}"#),
        (.nothingToRollBack(unit: "a"), #"{"unit":"a"}"#),
        (.notRunning(unit: "a"), #"{"unit":"a"}"#),
        (.noInput(unit: "a", reason: "b"), #"{"reason":"b","unit":"a"}"#),
        (.permissionDenied(required: "root or group holdfast"), #"{"required":"root or group holdfast"}"#),
        (.shuttingDown, "{}"),
        (.noSuchRequest(request: "0123456789abcdef", since: 2.5), #"{"request":"0123456789abcdef","since":2.5}"#),
        (.outcomeUnknown(request: "0123456789abcdef"), #"{"request":"0123456789abcdef"}"#),
        (.failed(message: "cannot x: y"), #"{"message":"cannot x: y"}"#),
    ]
}

/// A small generator (SplitMix64), so that a failing run can be repeated from its seed.
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
