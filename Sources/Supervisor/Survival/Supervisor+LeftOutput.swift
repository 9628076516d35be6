import Glibc
import Linux

/// Output of services that still run without an instance here, because an earlier supervisor process has left no usable
/// state.
///
/// Only their FIFOs need attention: a service that writes into a full FIFO without a reader blocks forever. So the
/// FIFOs are moved to a directory where this process's numbers cannot collide with theirs, and are read into the logs
/// until no process has them open.
extension Supervisor {
    private var leftDirectory: String { configuration.runtimeDirectory + "/output.left" }

    /// Moves all FIFOs that no instance uses to the other directory.
    func leaveOutput() {
        let output = configuration.runtimeDirectory + "/output"
        let used = Set(instances.values.flatMap { [$0.output?.path, $0.errorOutput?.path].compactMap(\.self) })
        for name in (try? UnitDirectory.list(output)) ?? []
        where LeftName(name) != nil && !used.contains("\(output)/\(name)") {
            do throws(SystemError) {
                try FileTree.makeDirectory(leftDirectory)
                var target = "\(leftDirectory)/\(name)"
                // A FIFO of an earlier process may have the same number.
                while access(target, F_OK) == 0 { target = "\(leftDirectory)/x\(FileTree.name(of: target))" }
                try FileTree.move("\(output)/\(name)", to: target)
            } catch {
                logger.error("\(error)")
            }
        }
    }

    /// Starts to read the FIFOs. A FIFO that no process has open ends at once.
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

/// Parsed name of a service's FIFO: `7-app@v2.service#3.out` (`Supervisor.logPath`).
struct LeftName: Equatable {
    var unit: String
    var generation: Int?
    var stream: LogOrigin.Stream
    /// Number of the instance.
    var instance: UInt64?

    /// nil for the names of other files.
    init?(_ name: String) {
        guard let dot = name.lastIndex(of: "."),
            let stream = LogOrigin.Stream(rawValue: String(name[dot...].dropFirst())),
            let dash = name.firstIndex(of: "-"), dash < dot
        else { return nil }
        self.stream = stream
        instance = UInt64(name[..<dash].drop { $0 == "x" })
        let label = name[name.index(after: dash)..<dot]
        guard let hash = label.lastIndex(of: "#"), let generation = Int(label[hash...].dropFirst()) else {
            // A long name was cut off before its generation.
            unit = String(label)
            return
        }
        unit = String(label[..<hash])
        self.generation = generation
    }
}
