import Linux
import Vocabulary

/// A helper program of the supervisor, run for work that may wait for a disk or take long: the daemon has one thread,
/// which must not wait.
///
/// The lines that it prints are delivered as they arrive, if the caller takes them. The first line of its standard error
/// is the reason of a failure.
final class HelperProgram {
    /// Printed lines, without their ends.
    typealias Lines = [ArraySlice<UInt8>]

    enum Outcome {
        case succeeded
        case timedOut
        /// - Parameter complaint: the first line of standard error.
        case failed(ExitStatus, complaint: String?)

        /// The problem in words; nil if there is none. A program that has timed out was killed.
        var problem: String? {
            switch self {
            case .succeeded: nil
            case .timedOut: "it \(ExitStatus.signalled(.kill, coreDumped: false))"
            case .failed(let status, let complaint): complaint ?? "it \(status)"
            }
        }
    }

    /// Takes printed lines. A line longer than the limit in bytes ends the program.
    struct LineReader {
        var longestLine: Int
        var read: (Lines) -> Void
    }

    private let machine: any Machine
    private var child: ChildProcess?
    private var output: (any MachinePipe)?
    private var complaints: (any MachinePipe)?
    private var lines: LineReader?
    /// The beginning of a line whose rest has not arrived.
    private var partialLine: [UInt8] = []
    private var end: ChildProcess.End?
    private var ended: ((Outcome) -> Void)?

    init(on machine: any Machine) { self.machine = machine }

    /// Starts the program. Calls `ended` once, after its last output and its exit, in either order; not at all if it
    /// cannot be started.
    /// - Parameters:
    ///   - plan: its standard input may be given; the other streams are set here.
    ///   - lines: nil: standard output is /dev/null.
    func start(
        _ plan: SpawnPlan, within nanoseconds: Int64? = nil, lines: LineReader? = nil,
        ended: @escaping (Outcome) -> Void
    ) throws(SystemError) {
        let null = try OwnedDescriptor.null()
        let printed = try lines.map { _ throws(SystemError) in try machine.processes.makePipe() }
        let complained = try machine.processes.makePipe()
        var plan = plan
        if plan.standardInput < 0 { plan.standardInput = null.raw }
        plan.standardOutput = printed?.writingEnd ?? null.raw
        plan.standardError = complained.writingEnd
        // Read before the program is started: it would fill the pipe of a supervisor that cannot.
        try printed?.read { [unowned self] bytes in withExtendedLifetime(self) { receive(bytes) } }
        do throws(StartError) {
            child = try ChildProcess.start(plan, within: nanoseconds, on: machine) { [unowned self] end in
                withExtendedLifetime(self) { didExit(end) }
            }
        } catch {
            printed?.stopReading()
            throw error.cause
        }
        printed?.closeWritingEnd()
        complained.closeWritingEnd()
        (output, complaints, self.lines, self.ended) = (printed, complained, lines, ended)
    }

    /// Pauses or continues reading the output; while it is paused the program blocks on a full pipe.
    func setReading(_ isOn: Bool) { output?.setReading(isOn) }

    /// Kills the program, whose output is no longer needed. Its exit is still awaited, and reported.
    func kill() {
        stopReading()
        partialLine = []
        child?.kill()
        reportIfOver()
    }

    private func stopReading() {
        output?.stopReading()
        output = nil
    }

    private func didExit(_ end: ChildProcess.End) {
        self.end = end
        reportIfOver()
    }

    private func receive(_ bytes: UnsafeRawBufferPointer) {
        if bytes.isEmpty {
            stopReading()
            return reportIfOver()
        }
        partialLine += bytes
        guard let last = partialLine.lastIndex(of: UInt8(ascii: "\n")) else {
            if partialLine.count > lines?.longestLine ?? 0 { kill() }
            return
        }
        let whole = partialLine[..<last]
        partialLine = Array(partialLine[(last + 1)...])
        lines?.read(whole.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false))
    }

    /// Reports the end once both the output and the process have ended.
    private func reportIfOver() {
        guard let end, output == nil, let ended else { return }
        self.ended = nil
        ended(outcome(end))
    }

    private func outcome(_ end: ChildProcess.End) -> Outcome {
        if end.status.isSuccess { return .succeeded }
        if end.isTimedOut { return .timedOut }
        return .failed(end.status, complaint: complaints?.firstLine())
    }
}
