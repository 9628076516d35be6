/// The event a service waits for, with the refused or incomplete answer so far, if any. For display only: no decision
/// depends on it.
public enum Awaited: Sendable, Equatable, Codable {
    /// Units that the service starts after and that are not ready.
    case units([String])
    case conditions
    /// A command of the service has not ended yet.
    case command(ServiceCommand)
    /// The program has not been executed yet.
    case execution
    /// `READY=1`; `refused` is the last process that sent it although `NotifyAccess=` does not allow it to.
    case readyMessage(refused: String?)
    case mainProcess(SearchNote?)
    /// The probe's last answer.
    case probe(String?)
    /// `RELOADING=1`, the answer to `ReloadSignal=`.
    case reloadingMessage
    /// `READY=1` after `RELOADING=1`.
    case reloadedMessage
    /// The main process was asked to finish and has not ended yet.
    case mainExit
    /// The processes have been signalled and some have not ended yet.
    case lastProcess
    /// The service sent `STOPPING=1` and has not ended yet.
    case announcedEnd
}

/// The last finding of a search for a main process that has not succeeded yet.
public struct SearchNote: Sendable, Equatable, Codable {
    public var pidFile: String
    /// The finding in words: `does not exist`, `names 1, which is no process of this service`.
    public var finding: String

    public init(pidFile: String, finding: String) {
        self.pidFile = pidFile
        self.finding = finding
    }
}

extension Instance {
    /// The event the current state waits for; nil where the state waits for nothing.
    var awaited: Awaited? {
        switch state {
        case .waiting: .units([])
        case .checking: .conditions
        case .condition(let index, _): .command(.condition(index))
        case .startPre(let index, _): .command(.startPre(index))
        case .starting: spec.type == .simple ? .execution : .readyMessage(refused: refusedReady)
        case .oneshot(let index, _): .command(.start(index))
        case .forking: .command(.start(0))
        case .awaitingMain: .mainProcess(searchNote)
        case .probing: .probe(lastProbeAnswer)
        case .startPost(let index, _, _): .command(.startPost(index))
        case .reloading(let index, _, _): .command(.reload(index))
        case .reloadSignalled: .reloadingMessage
        case .reloadAnnounced: .reloadedMessage
        case .draining: .mainExit
        case .stopping(let index, _, _): .command(.stop(index))
        case .terminating: isStoppingByItself ? .announcedEnd : .lastProcess
        case .killing, .sweeping: .lastProcess
        case .stopPost(let index, _, _): .command(.stopPost(index))
        case .running, .exited, .restartWait, .inactive: nil
        }
    }

    /// A failure because an expected event did not arrive; records the event that was awaited.
    func missed(_ step: Failure.Step, _ cause: Failure.Cause) -> Failure {
        var failure = failed(step, cause)
        failure.awaited = awaited
        return failure
    }
}

extension Engine {
    /// The event a service waits for, including the units that keep it from being started.
    func awaited(by instance: Instance) -> Awaited? {
        guard case .units = instance.awaited else { return instance.awaited }
        let generation = groups[instance.group]?.generations.values.first { $0.instances.values.contains(instance.id) }
        let others = (generation?.instances.values.sorted() ?? []).compactMap { instances[$0] }
        return .units(others.filter { instance.uses($0) && !$0.isReady }.map(\.spec.unit))
    }
}
