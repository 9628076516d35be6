import ControlProtocol
import Glibc
import Linux
import Vocabulary

/// Helper call: holdfastctl, run for a client of the control socket to read files: captured output, unit files.
///
/// It is a separate program because the daemon has one thread, which must not wait for a disk: a log may be gigabytes,
/// compressed, and on a file system that does not answer. Small reads once per round would still wait there, and a
/// descriptor is more than a client in another language can receive, and less than it needs (rotation, compression, the
/// filter). So holdfastctl reads, as it does for an operator, and prints into a pipe: a client that does not read stops
/// it by a full pipe, and costs the daemon a bounded amount of unread bytes.
///
/// It runs with the rights of the caller and with bounded resources: the caller's input (a regular expression) is as
/// good as a foreign program.
final class Errand {
    /// Printed lines, without their ends.
    typealias Lines = [ArraySlice<UInt8>]

    private let longestLine: Int
    private var process: ProcessHandle?
    private var output: OwnedDescriptor?
    private var complaints: OwnedDescriptor?
    private var exit: ChildExitSource?
    private var source: IOSource?
    /// The beginning of a line whose rest has not arrived.
    private var partial: [UInt8] = []
    private var status: ExitStatus?
    private let took: (Lines) -> Void
    /// Called once, after the last output: nil, or the problem.
    private let done: (String?) -> Void

    /// - Parameter longestLine: in bytes; a longer line is an error.
    init(longestLine: Int, took: @escaping (Lines) -> Void, done: @escaping (String?) -> Void) {
        self.longestLine = longestLine
        self.took = took
        self.done = done
    }

    /// Starts the program with its three standard streams. On failure no callback is called.
    func begin(_ plan: SpawnPlan, _ children: Children, _ loop: EventLoop) throws {
        let null = try OwnedDescriptor.null()
        let printed = try Pipe(nonBlockingReader: true)
        let complained = try Pipe(nonBlockingReader: true)
        var plan = plan
        plan.standardInput = null.raw
        plan.standardOutput = printed.writing.raw
        plan.standardError = complained.writing.raw
        let child = try children.spawn(plan)
        let handle = child.takeHandle()
        let reading = printed.keepReading()
        do {
            exit = try children.watch(handle) { [unowned self] status in
                withExtendedLifetime(self) { ended(status) }
            }
            source = try loop.addIO(reading.raw, .readable, priority: .controlRequests) { [unowned self] _ in
                withExtendedLifetime(self) { read() }
            }
        } catch {
            exit?.cancel()
            try? handle.send(.kill)
            children.abandon(pid: handle.pid)
            throw error
        }
        process = consume handle
        output = consume reading
        complaints = complained.keepReading()
    }

    /// Pauses or continues reading the output; while it is paused the program blocks on a full pipe.
    func setReading(_ on: Bool) { source?.setEnabled(on) }

    /// Ends the program, whose output is no longer needed. Its exit is still awaited, and reported.
    func end() {
        source?.cancel()
        source = nil
        partial = []
        switch process {
        case .some(let process): try? process.send(.kill)
        case .none: break
        }
        finishIfOver()
    }

    private func ended(_ status: ExitStatus) {
        self.status = status
        finishIfOver()
    }

    private func read() {
        withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 16) { buffer in
            let count = Glibc.read(rawOutput, buffer.baseAddress, buffer.count)
            if count > 0 { return take(UnsafeRawBufferPointer(rebasing: buffer[..<count])) }
            guard count == 0 || (errno != EAGAIN && errno != EINTR) else { return }
            source?.cancel()
            source = nil
            finishIfOver()
        }
    }

    private var rawOutput: Int32 {
        switch output {
        case .some(let output): output.raw
        case .none: -1
        }
    }

    private func take(_ bytes: UnsafeRawBufferPointer) {
        partial += bytes
        guard let last = partial.lastIndex(of: UInt8(ascii: "\n")) else {
            if partial.count > longestLine { end() }
            return
        }
        let whole = partial[..<last]
        partial = Array(partial[(last + 1)...])
        took(whole.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false))
    }

    /// Reports the end once both the output and the process have ended, in either order.
    private func finishIfOver() {
        guard let status, source == nil else { return }
        done(status.isSuccess ? nil : complaint ?? "it \(status)")
    }

    /// The first line of its standard error.
    private var complaint: String? {
        switch complaints {
        case .some(let complaints): complaints.firstLine()
        case .none: nil
        }
    }
}
