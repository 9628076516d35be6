import Linux
import Logging

/// Interface of the supervisor to the desk of unaccounted output.
protocol UnaccountedOutputHost: AnyObject {
    /// Paths of the FIFOs of instances.
    var outputsInUse: Set<String> { get }

    /// Reads a FIFO into the log of its unit until no process has it open.
    func readUnaccountedOutput(
        _ path: String, _ name: UnaccountedOutputName, _ onEnd: @escaping () -> Void
    ) throws(SystemError) -> any MachineLogPipe
}

/// Output of services that still run without an instance here, because an earlier supervisor process has left no usable
/// state.
///
/// Only their FIFOs need attention: a service that writes into a full FIFO without a reader blocks forever. So the
/// FIFOs are moved to a directory where this process's numbers cannot collide with theirs, and are read into the logs
/// until no process has them open.
final class UnaccountedOutput {
    private unowned let host: any UnaccountedOutputHost
    private let files: any FilesPort
    private let directories: Directories
    private let logger: Logger
    /// Readers by FIFO path.
    private var readers: [String: any MachineLogPipe] = [:]

    init(_ host: any UnaccountedOutputHost, _ files: any FilesPort, _ directories: Directories, logger: Logger) {
        self.host = host
        self.files = files
        self.directories = directories
        self.logger = logger
    }

    /// Moves all FIFOs that no instance uses to the other directory.
    func move() {
        let (output, target) = (directories.output, directories.unaccountedOutput)
        let used = host.outputsInUse
        for name in (try? files.names(in: output)) ?? []
        where UnaccountedOutputName(name) != nil && !used.contains("\(output)/\(name)") {
            do throws(SystemError) {
                try files.makeDirectory(target)
                var place = "\(target)/\(name)"
                // A FIFO of an earlier process may have the same number.
                while try files.exists(place) { place = "\(target)/x\(FileTree.name(of: place))" }
                try files.move("\(output)/\(name)", to: place)
            } catch {
                logger.error("\(error)")
            }
        }
    }

    /// Starts to read the FIFOs. A FIFO that no process has open ends at once.
    func read() {
        for name in (try? files.names(in: directories.unaccountedOutput)) ?? [] {
            let path = "\(directories.unaccountedOutput)/\(name)"
            guard let parsed = UnaccountedOutputName(name), readers[path] == nil else { continue }
            do throws(SystemError) {
                readers[path] = try host.readUnaccountedOutput(path, parsed, didEnd(path))
            } catch {
                logger.error("\(parsed.unit): its output: \(error)")
            }
        }
    }

    private func didEnd(_ path: String) -> () -> Void {
        { [unowned self] in
            readers.removeValue(forKey: path)?.close()
            if readers.isEmpty { files.removeEmptyDirectory(directories.unaccountedOutput) }
        }
    }

    func close() { for pipe in readers.values { pipe.close() } }
}

/// Parsed name of a service's FIFO: `7-app@v2.service#3.out` (`OutputDesk.path`).
struct UnaccountedOutputName: Equatable {
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
