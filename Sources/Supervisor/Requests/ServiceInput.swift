import ControlProtocol
import Engine
import Linux
import UnitFiles

/// `holdfastctl fg`: writes an operator's input to the standard input of a service, where that is a FIFO.
///
/// It is a held FIFO (`ListenFIFO=` with `StandardInput=fd:NAME`) or one with a path (`StandardInput=file:PATH`). The
/// unit's settings decide, not the process's descriptor 0: the process chooses that itself, and the supervisor may
/// write to more files than the process may.
extension Supervisor {
    func writeInput(_ name: String, _ text: String) throws(ControlError) -> InputReply {
        let instance = try inputTarget(name)
        let path = try inputPath(of: instance)
        do throws(SystemError) {
            return InputReply(
                unit: instance.name, accepted: try machine.sockets.writeToFIFO(Array(text.utf8), at: path))
        } catch {
            guard error.errno != .noSuchAddressOrDevice else {
                throw .noInput(unit: instance.name, reason: "nothing has \(path) open for reading")
            }
            throw .failed(message: "cannot write to the standard input of \(instance.name): \(error)")
        }
    }

    /// The serving service of that name; among several in one generation the one that takes input.
    private func inputTarget(_ name: String) throws(ControlError) -> RunningInstance {
        let group = try names.group(name)
        let generations = engine.view(of: group)?.generations ?? []
        let serving = engine.view(of: group)?.serving
        let services = (generations.first { $0.number == serving } ?? generations.last)?.services ?? []
        let running = services.compactMap { instances[$0.instance] }.filter { processes.main(of: $0.id) != nil }
        let named = [name, name + ".service"]
        if let member = running.first(where: { named.contains($0.name) }) { return member }
        guard running.count > 1 else {
            guard let only = running.first else { throw .notRunning(unit: group.name) }
            return only
        }
        var takers: [RunningInstance] = []
        for instance in running {
            do throws(ControlError) {
                _ = try inputPath(of: instance)
                takers.append(instance)
            } catch { continue }
        }
        guard let only = takers.first, takers.count == 1 else {
            throw .ambiguousName(name: name, candidates: running.map(\.name))
        }
        return only
    }

    /// Path at which its standard input can be opened for writing.
    private func inputPath(of instance: RunningInstance) throws(ControlError) -> String {
        let unit = instance.definition.unit
        func refusal(_ reason: String) -> ControlError { .noInput(unit: instance.name, reason: reason) }
        guard !unit.handoff.conventions.contains(.standardInput) else {
            throw refusal("with X-Handoff=stdin its standard input is its socket")
        }
        switch unit.execution.standardInput {
        case .null: throw refusal("its StandardInput= is null")
        case .terminal: throw refusal("its StandardInput= is the terminal \(unit.terminal.path): type there")
        case .data: throw refusal("its StandardInput= is data, which the unit file has")
        case .file(let path):
            guard machine.sockets.isFIFO(path) else {
                throw refusal("its StandardInput= is file:\(path), which is no FIFO")
            }
            return path
        case .socket, .descriptor:
            // Opening this path makes a new description: O_NONBLOCK on it leaves the service's description as it is.
            if let held = streams.inputFIFO(of: instance) { return "/proc/self/fd/\(held.endpoint.raw)" }
            throw refusal("its StandardInput= is a socket, where its clients write")
        }
    }
}
