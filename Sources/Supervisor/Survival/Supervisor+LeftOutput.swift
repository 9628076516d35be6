import Glibc
import Linux

/// What services print that go on unwatched, because an earlier supervisor process has left nothing that could be gone on from.
///
/// Their FIFOs are the only thing of them that must not be let alone: a service that prints into one that nobody reads waits, as
/// soon as it is full, for ever. So they are put where the numbers of this process cannot meet theirs, and read into the logs
/// until nobody has them open.
extension Supervisor {
    private var leftDirectory: String { configuration.runtimeDirectory + "/output.left" }

    /// Puts aside all FIFOs of services that no instance has.
    func leaveOutput() {
        let output = configuration.runtimeDirectory + "/output"
        let used = Set(instances.values.flatMap { [$0.output?.path, $0.errorOutput?.path].compactMap(\.self) })
        for name in (try? UnitDirectory.list(output)) ?? []
        where LeftName(name) != nil && !used.contains("\(output)/\(name)") {
            do throws(SystemError) {
                try FileTree.makeDirectory(leftDirectory)
                var target = "\(leftDirectory)/\(name)"
                // One with the same number, of a process before.
                while access(target, F_OK) == 0 { target = "\(leftDirectory)/x\(FileTree.name(of: target))" }
                try FileTree.move("\(output)/\(name)", to: target)
            } catch {
                logger.error("\(error)")
            }
        }
    }

    /// Reads them from now on. One that nobody has open is over at once.
    func takeLeftOutput() {
        guard let logs else { return }
        for name in (try? UnitDirectory.list(leftDirectory)) ?? [] {
            guard let left = LeftName(name) else { continue }
            let path = "\(leftDirectory)/\(name)"
            if leftOutput[path] != nil { continue }
            let log =
                logs.existing(left.unit) ?? logs.log(of: left.unit, policy: LogPolicy(), told: troubleTeller(left.unit))
            do throws(SystemError) {
                let origin = LogOrigin(unit: left.unit, generation: left.generation, stream: left.stream)
                leftOutput[path] = try LogPipe(
                    left: path, origin: origin, log: log, capture: logs, ended: leftEnded(path))
            } catch {
                logger.error("\(left.unit): its output: \(error)")
            }
        }
    }

    private func leftEnded(_ path: String) -> () -> Void {
        { [unowned self] in
            leftOutput.removeValue(forKey: path)?.close()
            if leftOutput.isEmpty { rmdir(leftDirectory) }
        }
    }
}

/// What the name of a service's FIFO says: `7-app@v2.service#3.out` (`Supervisor.logPath`).
struct LeftName: Equatable {
    var unit: String
    var generation: Int?
    var stream: LogOrigin.Stream
    /// Of the instance.
    var instance: UInt64?

    /// nil for other files.
    init?(_ name: String) {
        guard let dot = name.lastIndex(of: "."),
            let stream = LogOrigin.Stream(rawValue: String(name[dot...].dropFirst())),
            let dash = name.firstIndex(of: "-"), dash < dot
        else { return nil }
        self.stream = stream
        instance = UInt64(name[..<dash].drop { $0 == "x" })
        let label = name[name.index(after: dash)..<dot]
        guard let hash = label.lastIndex(of: "#"), let generation = Int(label[hash...].dropFirst()) else {
            // The end of a long name is not there.
            unit = String(label)
            return
        }
        unit = String(label[..<hash])
        self.generation = generation
    }
}
