// The table of the protocol. A new method is a row here, a case of `Request`, and its description in the interface file
// `io.holdfast.Manager.varlink`, which tests compare with the row; the compiler then asks for its handler.

extension Method {
    /// All methods: name, access, effect, replies; how their requests are read from parameters, and written as such.
    public static let all: [Method] = introspection + questions + operations + actions

    /// The methods that every Varlink service has.
    private static let introspection: [Method] = [
        .plain("org.varlink.service.GetInfo", .everyone, .none, .one, .getInfo),
        Method(
            "org.varlink.service.GetInterfaceDescription", .everyone, .none, .one,
            read: { .getInterfaceDescription(interface: $0.text("interface")) },
            write: { if case .getInterfaceDescription(let name) = $0 { ["interface": .text(name)] } else { nil } }),
    ]

    private static let questions: [Method] = [
        .plain("Describe", .readers, .none, .one, .describe),
        Method(
            "Status", .readers, .none, .one,
            read: { .status(names: $0.optionalTexts("names")) },
            write: { if case .status(let names) = $0 { ["names": .texts(names)] } else { nil } }),
        Method(
            "List", .readers, .none, .one,
            read: { .list(names: $0.optionalTexts("names"), sockets: $0.flag("sockets")) },
            write: {
                if case .list(let names, let sockets) = $0 {
                    ["names": .texts(names), "sockets": .flag(sockets)]
                } else {
                    nil
                }
            }),
        .named("Why", .readers, .none, .one, Request.why(name:)) {
            if case .why(let name) = $0 { name } else { nil }
        },
        .named("Show", .readers, .none, .one, Request.show(name:)) {
            if case .show(let name) = $0 { name } else { nil }
        },
        Method(
            "History", .readers, .none, .one,
            read: {
                let (name, limit) = ($0.optionalText("name"), $0.optionalInteger("limit"))
                if let limit, limit < 0 { $0.refuse("limit") }
                return .history(name: name, limit: limit)
            },
            write: {
                if case .history(let name, let limit) = $0 {
                    ["name": .text(name), "limit": .number(limit)]
                } else {
                    nil
                }
            }),
        Method(
            "Generations", .readers, .none, .one,
            read: { .generations(name: $0.optionalText("name")) },
            write: { if case .generations(let name) = $0 { ["name": .text(name)] } else { nil } }),
        .plain("Sockets", .readers, .none, .one, .sockets),
        .named("Cat", .readers, .none, .one, Request.cat(name:)) {
            if case .cat(let name) = $0 { name } else { nil }
        },
        Method(
            "Events", .readers, .none, .stream,
            read: { .events(names: $0.optionalTexts("names")) },
            write: { if case .events(let names) = $0 { ["names": .texts(names)] } else { nil } }),
        Method(
            "Logs", .readers, .none, .stream, read: { .logs(LogQuery(&$0)) },
            write: { if case .logs(let query) = $0 { query.arguments } else { nil } }),
        Method(
            "Verify", .readers, .none, .one,
            read: { .verify(names: $0.optionalTexts("names")) },
            write: { if case .verify(let names) = $0 { ["names": .texts(names)] } else { nil } }),
        .named("Dependencies", .readers, .none, .one, Request.dependencies(name:)) {
            if case .dependencies(let name) = $0 { name } else { nil }
        },
        Method(
            "UnitFileStates", .readers, .none, .one,
            read: { .unitFileStates(names: $0.texts("names")) },
            write: { if case .unitFileStates(let names) = $0 { ["names": .texts(names)] } else { nil } }),
        Method(
            "Outcome", .requester, .none, .progress,
            read: { .outcome(of: $0.identity(Call.identityParameter)) },
            write: {
                if case .outcome(let identity) = $0 {
                    ["request": .text(identity.description)]
                } else {
                    nil
                }
            }),
    ]

    private static let operations: [Method] = [
        Method(
            "Start", .operators, .begins, .progress,
            read: { .start(name: $0.text("name"), hold: $0.flag("hold")) },
            write: {
                if case .start(let name, let hold) = $0 { ["name": .text(name), "hold": .flag(hold)] } else { nil }
            }),
        Method(
            "Stop", .operators, .ends, .progress,
            read: { .stop(name: $0.text("name"), with: $0.optionalTexts("with") ?? []) },
            write: {
                if case .stop(let name, let others) = $0 {
                    ["name": .text(name), "with": .texts(others.isEmpty ? nil : others)]
                } else {
                    nil
                }
            }),
        Method(
            "Restart", .operators, .begins, .progress,
            read: { .restart(name: $0.text("name"), hard: $0.flag("hard")) },
            write: {
                if case .restart(let name, let hard) = $0 { ["name": .text(name), "hard": .flag(hard)] } else { nil }
            }),
        .named("Reload", .operators, .begins, .progress, Request.reload(name:)) {
            if case .reload(let name) = $0 { name } else { nil }
        },
        Method(
            "Swap", .operators, .begins, .progress,
            read: { .swap(name: $0.text("name"), hold: $0.flag("hold")) },
            write: {
                if case .swap(let name, let hold) = $0 { ["name": .text(name), "hold": .flag(hold)] } else { nil }
            }),
        .named("Promote", .operators, .begins, .progress, Request.promote(name:)) {
            if case .promote(let name) = $0 { name } else { nil }
        },
        .named("Abort", .operators, .ends, .progress, Request.abort(name:)) {
            if case .abort(let name) = $0 { name } else { nil }
        },
        .named("Rollback", .operators, .begins, .progress, Request.rollback(name:)) {
            if case .rollback(let name) = $0 { name } else { nil }
        },
        Method(
            "Drain", .operators, .ends, .progress,
            read: {
                .drain(name: $0.text("name"), now: $0.flag("now"), generation: $0.optionalInteger("generation"))
            },
            write: {
                if case .drain(let name, let now, let generation) = $0 {
                    ["name": .text(name), "now": .flag(now), "generation": .number(generation)]
                } else {
                    nil
                }
            }),
        .named("Adopt", .operators, .begins, .progress, Request.adopt(name:)) {
            if case .adopt(let name) = $0 { name } else { nil }
        },
        .plain("Shutdown", .operators, .ends, .progress, .shutdown),
    ]

    private static let actions: [Method] = [
        Method(
            "Signal", .operators, .immediate, .one,
            read: {
                let (name, signal) = ($0.text("name"), $0.text("signal"))
                return .signal(
                    name: name, signal: signal, who: $0.optionalValue("who", Request.SignalTarget.self) ?? .main)
            },
            write: {
                if case .signal(let name, let signal, let who) = $0 {
                    ["name": .text(name), "signal": .text(signal), "who": .text(who == .main ? nil : who.rawValue)]
                } else {
                    nil
                }
            }),
        .named("Pause", .operators, .immediate, .progress, Request.pause(name:)) {
            if case .pause(let name) = $0 { name } else { nil }
        },
        .named("Resume", .operators, .immediate, .progress, Request.resume(name:)) {
            if case .resume(let name) = $0 { name } else { nil }
        },
        .named("Forget", .operators, .immediate, .one, Request.forget(name:)) {
            if case .forget(let name) = $0 { name } else { nil }
        },
        Method(
            "ResetFailed", .operators, .immediate, .one,
            read: { .resetFailed(names: $0.optionalTexts("names")) },
            write: { if case .resetFailed(let names) = $0 { ["names": .texts(names)] } else { nil } }),
        .plain("Update", .operators, .immediate, .one, .update),
        .plain("Reexec", .operators, .immediate, .one, .reexec),
        .named("ClearLogs", .operators, .immediate, .one, Request.clearLogs(name:)) {
            if case .clearLogs(let name) = $0 { name } else { nil }
        },
        Method(
            "Input", .operators, .immediate, .one,
            read: {
                let (name, text) = ($0.text("name"), $0.text("text"))
                if text.utf8.count > Request.inputLimit { $0.refuse("text") }
                return .input(name: name, text: text)
            },
            write: {
                if case .input(let name, let text) = $0 { ["name": .text(name), "text": .text(text)] } else { nil }
            }),
        install("Enable", .enable), install("Disable", .disable), install("Mask", .mask), install("Unmask", .unmask),
    ]

    private static func install(_ name: String, _ verb: Request.InstallVerb) -> Method {
        Method(
            name, .operators, .immediate, .one,
            read: { .install(verb, names: $0.texts("names"), runtime: $0.flag("runtime")) },
            write: {
                if case .install(verb, let names, let runtime) = $0 {
                    ["names": .texts(names), "runtime": .flag(runtime)]
                } else {
                    nil
                }
            })
    }
}

extension LogQuery {
    fileprivate init(_ reader: inout ArgumentReader) {
        self.init(
            names: reader.optionalTexts("names"), follow: reader.optionalFlag("follow"),
            lines: reader.optionalInteger("lines"), since: reader.optionalText("since"),
            until: reader.optionalText("until"), generation: reader.optionalInteger("generation"),
            stream: reader.optionalText("stream"), grep: reader.optionalText("grep"),
            ignoreCase: reader.optionalFlag("ignoreCase"))
        reader.refuse(wrongParameter)
    }

    fileprivate var arguments: Arguments {
        [
            "names": .texts(names), "follow": .flag(follow), "lines": .number(lines), "since": .text(since),
            "until": .text(until), "generation": .number(generation), "stream": .text(stream), "grep": .text(grep),
            "ignoreCase": .flag(ignoreCase),
        ]
    }
}
