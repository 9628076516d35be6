import Engine
import Linux
import UnitFiles

/// Interface of the supervisor to the desks of the room Processes.
extension Supervisor: ProcessesHost, MainProcessesHost, StreamsHost, ServiceDirectoriesHost, DescriptorStoresHost,
    LaunchHost, ProbesHost, NotificationsHost
{
    // MARK: - Decisions

    func mainToken(of instance: InstanceID) -> Token? { engine.mainProcess(of: instance) }
    func controlToken(of instance: InstanceID) -> Token? { engine.controlProcess(of: instance) }
    func newToken(for instance: InstanceID) -> Token { engine.newToken(for: instance) }
    func end(of instance: InstanceID) -> ServiceEnd? { engine.serviceEnd(of: instance) }
    func isSwapUnit(_ group: GroupID) -> Bool { engine.isSwapUnit(group) }
    func mayPostpone(_ command: ServiceCommand, of instance: InstanceID) -> Bool {
        engine.mayPostpone(command, of: instance)
    }
    func accepts(messagesFrom sender: Event.Sender, of instance: InstanceID) -> Bool {
        engine.accepts(messagesFrom: sender, of: instance)
    }
    func hasOperation(_ group: GroupID) -> Bool { engine.view(of: group)?.operation != nil }

    // MARK: - Runs

    func willBeginRun(of instance: RunningInstance) { logDesk.startRemarks(of: instance.definition.unit.name) }

    func didBeginRun(of instance: RunningInstance) {
        generations.addSharer(instance)
        journal.record(instance)
    }

    func didEndTree(of instance: RunningInstance) {
        generations.removeSharer(instance)
        streams.prepareTerminal(of: instance.definition.unit)
        journal.put(.running(instance.id), SavedInstance(instance))
    }

    func willReportEnd() { notifications.receiveWaiting() }

    func didEndMain(of instance: RunningInstance) {
        keepEvidence(of: instance)
        generations.examineSockets(of: instance)
    }

    /// Keeps the last log lines of a service for the report on its group.
    func keepEvidence(of instance: RunningInstance) {
        reports.keepEvidence(instance.definition.group, instance.name, instance.lastLines())
    }

    func giveUpStart(of instance: InstanceID) { launches.giveUpStart(of: instance) }

    // MARK: - Resources

    func resources(of generation: GenerationID) -> GenerationResources? { generations[generation] }

    func user(of execution: ExecutionSettings) -> UInt32 { (try? launcher.credentials(of: execution))??.uid ?? 0 }

    func throwAway(_ path: String) { directories.throwAway(path) }

    func throwAway(_ path: String, keeping held: [String]) throws(SystemError) {
        try directories.throwAway(path, keeping: held)
    }

    func record(_ process: RunningProcess) { journal.record(process) }

    /// The group that may read captured output.
    var readers: UInt32? { logs.readers }
}
