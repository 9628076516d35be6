import ControlProtocol
import Engine
import Linux
import Vocabulary

@testable import Supervisor

/// What must hold at every instant, and at the end of a life.
extension WholeSimulation {
    /// Checks what can be seen from outside, between two rounds of the loop.
    func checkInstant() {
        guard let supervisor = host.supervisor else { return }
        for group in supervisor.engine.groupIDs {
            guard let view = supervisor.engine.view(of: group) else { continue }
            // I2: at most two generations serve, of which one is the new one of a swap.
            let live = view.generations.filter { $0.role == .serving || $0.role == .starting || $0.role == .held }
            if live.count > 2 { violate("\(group): \(live.count) generations at once") }
        }
        checkRunning(supervisor)
        checkAddress(supervisor)
    }

    /// I1: once the site has served, its public address stays bound, whatever happens to supervisors and generations.
    private func checkAddress(_ supervisor: Supervisor) {
        guard let site = supervisor.engine.view(of: GroupID("site@.target")) else { return }
        let isBound = host.world.sockets.isBound(Self.address)
        if site.serving != nil, isBound { isPublic = true }
        if isPublic, !isBound { violate("nobody holds \(Self.address) any more") }
    }

    /// I5: what is reported as running is running. An end that the loop has not dispatched yet does not count.
    private func checkRunning(_ supervisor: Supervisor) {
        for unit in host.supervisor.map({ _ in host.status() }) ?? [] {
            for service in unit.generations.flatMap(\.services) where service.state == .running {
                guard let pid = service.mainPid else { continue }
                if host.world.processes[Int32(pid)] == nil {
                    violate("\(service.unit) is reported as running as \(pid), which is no process")
                }
            }
        }
    }

    /// Lets everything come to an end, and checks that it does: each request is answered, and a shutdown leaves nothing.
    func settle() {
        guard violations.isEmpty else { return }
        host.world.verdict = { _, _ in .succeed }
        if host.run(600) == .endless { return violate("no end: \(host.world.recentCalls.suffix(20))") }
        checkInstant()
        checkAnswers()
        checkTrees()
        guard violations.isEmpty else { return }
        _ = host.call(.shutdown)
        host.run(600) { false }
        if !host.isShutDown { return violate("the shutdown does not end: \(host.log.lines.suffix(5))") }
        // What no record accounts for is kept, and said.
        let left = host.world.processes.running.filter { process in
            !host.log.lines.contains {
                $0.contains("process \(process.pid) of an earlier") && $0.contains("left running")
            }
        }
        if !left.isEmpty {
            violate("left after the shutdown: \(left.map { "\($0.program) \($0.pid) in \($0.tree ?? "-")" })")
        }
        if left.isEmpty, host.world.processes.running.isEmpty, !host.world.processes.trees.isEmpty {
            violate("trees left: \(host.world.processes.trees.sorted())")
        }
    }

    /// Nothing waits for ever: after all that time, each request has an answer, or its client knows that the supervisor
    /// is gone, and then the outcome can be asked for.
    private func checkAnswers() {
        for one in asked where one.client.isConnected {
            guard one.client.replies.contains(where: { !$0.continues }) || isHeld(one.request) else {
                violate("no answer to \(one.request) of \(Double(one.time) / 1e9) s")
                continue
            }
        }
    }

    /// Whether a swap may wait for `promote`, as it was asked to, or for another swap that does.
    private func isHeld(_ request: Request) -> Bool {
        guard let supervisor = host.supervisor else { return false }
        return supervisor.engine.groupIDs.contains { supervisor.engine.view(of: $0)?.operation != nil }
    }

    /// I3, I5: each process belongs to a tree of an instance that is alive for the engine, or is reported as unknown.
    private func checkTrees() {
        guard let supervisor = host.supervisor else { return }
        let known = Set(supervisor.instances.values.compactMap { $0.tree?.cgroupName })
        for process in host.world.processes.running {
            guard let tree = process.tree else { continue }
            if !known.contains("/holdfast/\(tree)"), supervisor.unaccounted.processes.trees.isEmpty {
                violate("\(process.program) \(process.pid) in \(tree) belongs to nothing")
            }
        }
    }
}
