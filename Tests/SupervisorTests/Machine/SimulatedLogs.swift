@testable import Linux
@testable import Supervisor

/// The logs of the world, by unit.
final class WorldLogs {
    struct Line: Equatable {
        var text: String
        var generation: Int?
        var stream: LogOrigin.Stream
    }

    var linesByUnit: [String: [Line]] = [:]
    /// Lines that a log has lost and suppressed.
    var losses: [String: (lost: Int, suppressed: Int)] = [:]

    func texts(of unit: String) -> [String] { (linesByUnit[unit] ?? []).map(\.text) }
}

/// One supervisor's logs.
final class SimulatedLogs: LogsPort {
    private unowned let machine: SimulatedMachine

    init(machine: SimulatedMachine) { self.machine = machine }

    func makeDirectory(_ path: String, group: UInt32?) throws(SystemError) {
        try machine.files.makeDirectory(path)
    }

    func open(_ directory: String, group: UInt32?, _ reports: LogReports) throws(SystemError) -> any MachineLogs {
        try machine.world.step(machine, "open logs", directory)
        return SimulatedUnitLogs(machine, reports)
    }
}

private final class SimulatedUnitLogs: MachineLogs {
    private unowned let machine: SimulatedMachine
    private let reports: LogReports
    private var world: World { machine.world }

    init(_ machine: SimulatedMachine, _ reports: LogReports) { (self.machine, self.reports) = (machine, reports) }

    func openPipe(
        _ path: String, owner: (uid: UInt32, gid: UInt32)?, from origin: LogOrigin, to unit: String, _ policy: LogPolicy
    ) throws(SystemError) -> any MachineLogPipe {
        try world.step(machine, "make FIFO", path)
        if world.disk.node(path) == nil { try world.disk.make(path, .fifo, mode: 0o600) }
        return SimulatedLogPipe(path, try world.pipes.fifo(path), origin, unit, machine, nil)
    }

    func openLeftPipe(
        _ path: String, from origin: LogOrigin, ended: @escaping () -> Void
    ) throws(SystemError) -> any MachineLogPipe {
        try world.step(machine, "open FIFO", path)
        return SimulatedLogPipe(path, try world.pipes.fifo(path), origin, origin.unit, machine, ended)
    }

    func losses(of unit: String) -> (lost: Int, suppressed: Int)? { world.logs.losses[unit] }
    func forget(_ unit: String) {}
    func reopen() { _ = world.permits(machine, "reopen logs") }
    func hasFiles(_ unit: String) -> Bool { world.logs.linesByUnit[unit] != nil }

    func clear(_ unit: String) throws(SystemError) {
        try world.step(machine, "clear log", unit)
        world.logs.linesByUnit[unit] = []
    }
}

/// The supervisor's end of a FIFO.
private final class SimulatedLogPipe: MachineLogPipe {
    let path: String
    private let channel: WorldPipes.Channel
    private let origin: LogOrigin
    private let unit: String
    private unowned let machine: SimulatedMachine
    private var ended: (() -> Void)?
    private var isOpen = true
    private(set) var lastLines: [LogPipe.LastLine] = []

    init(
        _ path: String, _ channel: WorldPipes.Channel, _ origin: LogOrigin, _ unit: String,
        _ machine: SimulatedMachine, _ ended: (() -> Void)?
    ) {
        (self.path, self.channel, self.origin, self.unit) = (path, channel, origin, unit)
        (self.machine, self.ended) = (machine, ended)
        channel.onChange = { [weak self] in self?.post() }
        post()
    }

    var descriptor: Int32 { channel.token.raw }
    var fileID: FileID? { nil }

    func openForService() throws(SystemError) -> OwnedDescriptor {
        try machine.world.step(machine, "open", path)
        return try WorldHandover.duplicate(channel.token.raw)
    }

    private func post() {
        machine.simulatedLoop.post(.logs) { [weak self] in
            guard let self, isOpen else { return }
            drain()
            guard let ended, !machine.world.pipes.hasWriters(channel) else { return }
            self.ended = nil
            ended()
        }
    }

    func drain() {
        guard machine.world.permits(machine, "read FIFO", path) else { return }
        for line in channel.takeAll().split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).dropLast()
        {
            let text = String(decoding: line, as: UTF8.self)
            let order = UInt64(machine.world.logs.linesByUnit.values.reduce(0) { $0 + $1.count })
            machine.world.logs.linesByUnit[unit, default: []].append(
                WorldLogs.Line(text: text, generation: origin.generation, stream: origin.stream))
            lastLines.append(LogPipe.LastLine(order: order, text: text))
            if lastLines.count > LogPipe.ringLines { lastLines.removeFirst() }
        }
    }

    func close() {
        guard isOpen, machine.world.permits(machine, "close FIFO", path) else { return }
        drain()
        isOpen = false
        machine.world.disk.remove(path)
        machine.world.pipes.removeFIFO(path)
    }
}
