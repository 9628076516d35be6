import Engine
import Linux
import Logging
import UnitFiles

/// Instances of services and their processes, as they are taken over from another process. What cannot be taken over is
/// logged and left out.
struct RestoredInstances {
    let machine: any Machine
    let instances: Instances
    let processes: ProcessDesk
    let streams: StreamDesk
    let outputs: OutputDesk
    let stores: DescriptorStores
    let logger: Logger

    func restore(_ record: SavedInstance, _ definition: Definition, _ connection: AcceptedConnection?)
        throws(SystemError)
    {
        let instance = RunningInstance(
            id: record.id, generation: record.generation, definition: definition, connection: connection)
        instance.invocation = record.invocation
        instance.triggeredBy = record.triggeredBy ?? [:]
        instance.remarks = record.remarks ?? []
        instance.ownTreeName = record.treeName
        if let entries = record.store {
            let unit = definition.unit
            instance.store = stores.restored(
                entries, limit: unit.descriptorStoreLimit, unit.descriptorStorePreserve, instance.name)
        }
        instances.add(instance)
        do throws(SystemError) {
            if record.hasTree {
                let tree = try machine.trees.adopt(
                    name: instance.treeName, cookie: record.invocation, session: record.session)
                instances.begin(RunningTree(tree, machine.loop), of: instance)
            }
            try restoreOutput(of: instance, record.output, 1)
            try restoreOutput(of: instance, record.errorOutput, 2)
        } catch {
            if error.isTransient { throw error }
            logger.error("\(instance.name): \(error)")
        }
    }

    private func restoreOutput(of instance: RunningInstance, _ raw: Int32?, _ stream: Int32) throws(SystemError) {
        if let raw {
            // The kept descriptor is closed only here: until then the FIFO keeps its contents.
            let kept = try machine.handover.inherit(raw)
            _ = try streams.openPipe(of: instance, stream)
            _ = consume kept
        } else if try machine.files.exists(outputs.path(of: instance, stream)) {
            _ = try streams.openPipe(of: instance, stream)
        }
    }

    /// A process that is gone is not an error: `Restoration.resume` reports its end.
    func restore(_ record: SavedProcess) throws(SystemError) {
        do throws(SystemError) {
            try processes.take(try process(record), as: record.token, of: record.instance)
        } catch {
            if error.isTransient { throw error }
            if error.errno != .noSuchProcess { logger.error("process \(record.pid): \(error)") }
        }
    }

    private func process(_ record: SavedProcess) throws(SystemError) -> any MachineProcess {
        if let raw = record.descriptor { return try machine.processes.inherit(record.pid, descriptor: raw) }
        return try machine.processes.open(record.pid, startTime: record.startTime ?? 0)
    }
}
