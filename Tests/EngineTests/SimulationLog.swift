@testable import Engine

/// Short texts of events and effects, for the log.
enum Short {
    static func text(_ event: Event) -> String {
        switch event {
        case .command(.start(let plan), let request): "#\(request.number) start \(text(plan))"
        case .command(.swap(let plan, let options), let request):
            "#\(request.number) \(options.kind) \(text(plan))\(options.hold ? " hold" : "")\(options.stopFirst ? " hard" : "")"
        case .command(let command, let request): "#\(request.number) \(command)"
        case .commands(let list): list.map { text(.command($0.command, $0.request)) }.joined(separator: " + ")
        case .prepareFailed(let generation, _): "prepareFailed(\(generation))"
        case .spawned(let token): "spawned \(token.number)"
        case .spawnFailed(let token, _, let status): "spawnFailed \(token.number) \(status ?? 0)"
        case .exited(let token, let status): "exited \(token.number) \(status)"
        case .treeEmpty(let token): "treeEmpty \(token.number)"
        case .conditionsChecked(let token, let verdict): "conditions \(token.number) \(verdict)"
        case .mainSought(let token, let answer): "main sought \(token.number) \(answer)"
        case .searchNoted(let token, _): "search noted \(token.number)"
        case .probeAnswered(let token, let answer): "probe \(token.number) \(answer)"
        case .notified(let id, .process(let token), let message):
            "notify i\(id.number) from \(token.number)\(message.ready ? " READY" : "") \(text(message.extendTimeout))"
        case .notified(let id, .other, let message): "notify i\(id.number) \(text(message.extendTimeout))"
        case .mainProcessChanged(let id, let token): "MAINPID i\(id.number) \(token.number)"
        case .connectionsCut(let id, let count): "cut \(count) connections of i\(id.number)"
        case .prepared, .deadlineReached, .restored: "\(event)"
        }
    }

    static func text(_ effect: Effect) -> String {
        switch effect {
        case .prepare(let generation, _): "prepare \(generation)"
        case .createInstance(let id, let generation, let spec): "create i\(id.number) in \(generation): \(text(spec))"
        case .spawn(let token, let id, let command): "spawn \(token.number) i\(id.number) \(command)"
        case .signal(let token, let signal): "signal \(token.number) with \(signal)"
        case .signalTree(let id, let signal): "signalTree i\(id.number) with \(signal)"
        case .killTree(let id): "killTree i\(id.number)"
        case .watchTree(let token, let id): "watch \(token.number) i\(id.number)"
        case .unwatchTree(let token, let id): "unwatch \(token.number) i\(id.number)"
        case .probe(let token, let id): "probe \(token.number) i\(id.number)"
        case .cancelProbe(let token): "cancelProbe \(token.number)"
        case .checkConditions(let token, let id): "check \(token.number) i\(id.number)"
        case .seekMain(let token, let id): "seek \(token.number) i\(id.number)"
        case .cancelSearch(let token): "cancelSearch \(token.number)"
        case .forgetInstance(let id): "forget i\(id.number)"
        case .report(.service(let id, let phase)): "i\(id.number) is \(phase)"
        case .report(.failure(_, let failure)): "failure \(failure.unit) \(failure.step) \(failure.cause)"
        case .report(.finished(let id, let result, let requests)):
            "finished \(id) \(result.kind) \(result.outcome) serving \(result.serving?.number ?? 0), for "
                + requests.map { "#\($0.number)" }.joined(separator: " ")
        case .report(let report): "\(report)".replacing("Engine.", with: "")
        case .startUnits(let units, let cause): "start \(units) for \(cause)"
        case .releaseGeneration, .recordServing: "\(effect)".replacing("Engine.", with: "")
        }
    }

    private static func text(_ duration: Duration?) -> String { duration.map { "extend \($0)" } ?? "" }

    private static func text(_ plan: Plan) -> String {
        let members = plan.services.map(\.unit).joined(separator: "+")
        let needs = plan.after.sorted().map { " after \($0)" } + plan.requires.sorted().map { " requires \($0)" }
        return
            "\(plan.isTarget ? "list " : "")\(plan.group) \(plan.release ?? "-") [\(members)]\(plan.isWhole ? "" : " partial") "
            + "\(plan.settings.strategy) ready \(plan.settings.readyTimeout.map { "\($0)" } ?? "-") "
            + "soak \(plan.settings.soak)" + needs.joined()
    }

    private static func text(_ spec: ServiceSpec) -> String {
        let counts = spec.commands
        var words = [spec.unit, "\(spec.type)", "kill \(spec.killMode)", "restart \(spec.restart.policy)"]
        if spec.hasProbe { words.append("probe") }
        if spec.acceptsShared { words.append("public") }
        words.append(
            "commands \([counts.condition, counts.startPre, counts.startPost, counts.reload, counts.stop, counts.stopPost].map(\.count))"
        )
        words.append("timeouts \(spec.startTimeout.map { "\($0)" } ?? "-") \(spec.stopTimeout.map { "\($0)" } ?? "-")")
        if let drain = spec.drain { words.append("drain \(drain.method) \(drain.timeout.map { "\($0)" } ?? "-")") }
        return words.joined(separator: ", ")
    }
}
