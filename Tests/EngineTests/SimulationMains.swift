@testable import Engine

/// Main processes and who speaks for a service.
extension FakeKernel {
    /// A living main process that a search has found, with the answer still under way.
    func undeliveredMain(of id: InstanceID) -> Token? {
        for case .mainSought(let search, .found(let main)) in pending where seekers[search] == id {
            if processes[main]?.isAlive == true { return main }
        }
        return nil
    }

    /// `NotifyAccess=all`: also a former main process that lives.
    func isHeardOfAll(_ sender: Event.Sender, _ id: InstanceID, _ tree: Tree) -> Bool {
        guard tree.spec.notifyAccess == .all else { return false }
        switch sender {
        case .other: return true
        case .process(let token): return processes[token]?.instance == id && openTokens.contains(token)
        }
    }
}

extension Simulation {
    /// A service without a shared socket that has ended cleanly and waits for `RestartSec=`.
    func isWorkerBetweenRuns(_ tree: FakeKernel.Tree) -> Bool {
        guard !tree.spec.acceptsShared, let instance = engine.instances[tree.id] else { return false }
        if case .restartWait = instance.state { return instance.failure == nil }
        return false
    }
}
