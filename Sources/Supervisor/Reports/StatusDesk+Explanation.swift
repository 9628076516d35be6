import ControlProtocol
import Engine
import Linux
import UnitFiles

/// The `Why` call: findings that explain the state of a unit, collected when the call is made.
extension StatusDesk {
    func why(_ name: String) throws(ControlError) -> WhyReply {
        if name.hasSuffix(".socket") { return why(ofSocket: try planning.unitName(name, kinds: [.socket])) }
        let group = try names.group(name)
        var findings = leftFindings(group) + (host.journalTrouble.map { [Finding(text: $0)] } ?? [])
        let view = engine.view(of: group)
        if let view {
            findings += operationFindings(view)
            findings += serviceFindings(view)
            findings += drainFindings(view)
        }
        findings += failureFindings(group, view)
        findings += explanations.strayFindings(group)
        let remarks = remarkFindings(group, view)
        if findings.isEmpty { findings.append(Finding(text: quiet(group, view, isClean: remarks.isEmpty))) }
        findings += remarks
        findings += historyFindings(group, view)
        findings += fileFindings(group, view)
        return WhyReply(unit: group.name, state: state(of: group), findings: findings)
    }

    private func operationFindings(_ view: GroupView) -> [Finding] {
        guard let operation = view.operation else { return [] }
        let name = operation.new.map { " to generation \($0)" } ?? ""
        let since = Wording.age(now - operation.phaseSince)
        var text =
            "a \(Wording.name(operation.kind))\(name) is in progress: \(Wording.name(operation.phase)) for \(since)"
        let waiting = waiting(view)
        if let waiting { text += ", waits for \(waiting.text)" }
        if let left = waiting?.secondsLeft { text += "; \(Wording.age(.seconds(left))) left" }
        let hint = operation.phase == .hold ? "holdfastctl promote \(view.id.name), or abort" : nil
        return [Finding(text: text, hint: hint)]
    }

    /// Findings about services that are not simply ready.
    private func serviceFindings(_ view: GroupView) -> [Finding] {
        view.generations.flatMap { generation in
            generation.services.compactMap { service in
                let shown = ServiceState(service.phase)
                if service.isReady && service.failure == nil || [.draining, .stopping].contains(shown) { return nil }
                var text =
                    service.phase == .autoRestart
                    ? "waits to be restarted"
                    : "\(Wording.sentence(service.phase)) for \(Wording.age(now - service.since))"
                if let awaited = awaitedText(service) { text += ", waits for \(awaited)" }
                if service.restarts > 0 {
                    text +=
                        "; restarted \(service.restarts == 1 ? "once" : "\(service.restarts) times") in this generation"
                }
                if let deadline = service.deadline {
                    let left = Wording.age(max(.zero, deadline - now))
                    text += service.phase == .autoRestart ? "; next start in \(left)" : "; times out in \(left)"
                }
                let report = service.failure.map { explanations.failureReport($0, view.id, nil) }
                return Finding(unit: service.spec.unit, text: text, failure: report)
            }
        }
    }

    /// Findings about the reasons why draining generations are still there.
    private func drainFindings(_ view: GroupView) -> [Finding] {
        let look = StatusBudget(loop)
        return generationStatus(view, look).filter { $0.role == .draining || $0.role == .stopping }.flatMap {
            generation in
            generation.services.filter { [.draining, .stopping].contains($0.state) }.map { service in
                let count = service.connections ?? 0
                var text = "\(service.state == .draining ? "drains" : "is being stopped")"
                if let age = service.age { text += " for \(Wording.age(.seconds(age)))" }
                text += count == 0 ? ", no connections on its sockets: its processes have not ended by themselves" : ""
                if count > 0 { text += ", \(count) connection\(count == 1 ? "" : "s") left" }
                if count > 0, let peer = generation.oldestPeer {
                    text += ", the oldest from \(peer)"
                    if let idle = generation.oldestPeerIdle { text += ", idle for \(Wording.age(.seconds(idle)))" }
                }
                if let deadline = generation.deadline { text += "; killed in \(Wording.age(.seconds(deadline)))" }
                return Finding(unit: service.unit, text: text, hint: drainHint(view, generation))
            }
        }
    }

    /// The command that ends a draining generation, and no other one if its name can say that.
    private func drainHint(_ view: GroupView, _ generation: GenerationStatus) -> String {
        let isOnly = view.drains.count <= 1
        return "holdfastctl drain --now \(isOnly ? view.id.name : view.id.unit(release: generation.release))"
    }

    private func failureFindings(_ group: GroupID, _ view: GroupView?) -> [Finding] {
        guard let view, view.serving == nil, view.operation == nil, let failure = view.lastFailure else { return [] }
        let report = explanations.failureReport(failure, group, nil)
        // A start would fail like the last one.
        var hint = "holdfastctl logs \(failure.unit)"
        if case .startLimit = failure.cause {
            // Until the start limit is reset a start would be refused, too.
            hint =
                "after fixing the cause: holdfastctl reset-failed \(group.name); holdfastctl start \(group.name)"
        }
        return [Finding(unit: failure.unit, text: sentence(failure), hint: hint, failure: report)]
    }

    private func quiet(_ group: GroupID, _ view: GroupView?, isClean: Bool) -> String {
        guard let view else { return "it has not been started since the start of the supervisor" }
        let since = Wording.age(now - view.since)
        guard let serving = view.serving else {
            guard let condition = view.skippedBy else { return "it was stopped \(since) ago" }
            return "its start was skipped \(since) ago: \(Wording.skip(condition))"
        }
        return "it runs: generation \(serving) serves, for \(since)" + (isClean ? ", and nothing is wrong" : "")
    }

    /// Finding about the last operation, if it failed or explains why the unit does not run.
    private func historyFindings(_ group: GroupID, _ view: GroupView?) -> [Finding] {
        guard let last = explanations.historyEntries(of: group.name, limit: 1).first else { return [] }
        let who = last.who.map { $0.user ?? "uid \($0.uid)" }.map { " by \($0)" } ?? ""
        var text = "the last \(last.kind.rawValue), at \(last.at)\(who): "
        switch last.outcome {
        case .rolledBack, .aborted, .failed, .lost:
            text += last.outcome.rawValue.map { $0 == "_" ? " " : $0 }.map(String.init).joined()
            if let reason = last.reason { text += ": \(reason)" }
            return [Finding(text: text)]
        case .stopped where view?.serving == nil:
            return [Finding(text: text + "stopped" + (last.reason.map { ", \($0)" } ?? ""))]
        case .completed, .started, .done, .stopped, .unchanged, .skipped: return []
        }
    }

    private func fileFindings(_ group: GroupID, _ view: GroupView?) -> [Finding] {
        var findings: [Finding] = []
        if let view, planning.isOutdated(view) {
            findings.append(
                Finding(
                    text: "its unit files have changed since it was started",
                    hint: engine.isSwapUnit(group)
                        ? "holdfastctl swap \(group.name)" : "holdfastctl restart \(group.name)"))
        }
        guard let name = try? UnitName(group.name), !name.isTemplate else { return findings }
        switch planning.resolver.resolve(name) {
        case .unusable(let unit):
            findings += unit.diagnostics.filter { $0.severity == .error }.prefix(8).map {
                Finding(text: UnitDiagnostic($0).sentence, hint: "holdfastctl verify \(name)")
            }
            if case .masked(let path) = unit.outcome { findings.append(Finding(text: "it is masked by \(path)")) }
            if unit.isMissing { findings.append(Finding(text: "its unit file no longer exists")) }
        case .swapUnit(let whole), .plain(let whole):
            guard !whole.isUsable else { break }
            findings += whole.diagnostics.filter { $0.severity == .error }.prefix(8).map {
                Finding(text: UnitDiagnostic($0).sentence, hint: "holdfastctl verify \(name)")
            }
        case .list, .socket, .needsRelease: break
        }
        return findings
    }

    /// Findings that name the unaccounted processes with their ages, the cause, and the commands that help.
    func leftFindings(_ group: GroupID) -> [Finding] {
        let found = unaccounted.processes.trees(of: group)
        guard !found.isEmpty, let cause = unaccounted.processes.cause else { return [] }
        var findings = found.map { tree in
            let processes = tree.members.prefix(8).map { pid in
                let age = machine.processes.facts(of: pid)?.age.map { ", for \(Wording.age(.seconds($0)))" } ?? ""
                return "\(pid) (\(machine.processes.commandName(of: pid) ?? "?")\(age))"
            }
            let generation = tree.name.generation.map { " as generation \($0)" } ?? ""
            let more = tree.members.count > 8 ? ", …" : ""
            return Finding(
                unit: tree.name.unit,
                text:
                    "runs\(generation) without a record of the supervisor: \(processes.joined(separator: ", "))\(more)")
        }
        let at = Timestamp.string(unixSeconds: cause.foundAt)
        findings.append(
            Finding(
                text: "found at \(at): \(cause.reason)",
                hint: "holdfastctl adopt \(group) to take them over, or holdfastctl stop \(group) to end them"))
        return findings
    }
}
