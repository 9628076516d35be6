import CSpawn
import Glibc
import SystemPackage
import Testing
import Vocabulary

@testable import Linux

/// All suites of this target run one after another: they use process-wide things (subreaper, waitid on any child, umask).
@Suite(.serialized) enum LinuxTests {}

/// A directory that is removed with its owner.
final class Scratch {
    let path: String

    /// - Parameter directory: /dev/shm for what is slow on a disk.
    init(in directory: String = "/tmp") throws {
        var template = Array("\(directory)/holdfast-linux-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        chmod(path, 0o755)
    }

    deinit { try? FileTree.remove(path) }

    func callAsFunction(_ name: String) -> String { path + "/" + name }

    func write(_ name: String, _ text: String, mode: mode_t = 0o644) throws -> String {
        let path = self(name)
        let file = try OwnedDescriptor.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode: mode)
        try file.writeAll(text.utf8, subject: path)
        fchmod(file.raw, mode)
        return path
    }

    func read(_ name: String) -> String? {
        ProcFile.read(self(name), limit: 1 << 24).map { String(decoding: $0, as: UTF8.self) }
    }
}

extension EventLoop {
    /// Dispatches until `condition` holds. The bound is a safety net for a broken promise, not a measurement.
    func run(
        until condition: () -> Bool, _ what: Comment = "the awaited event", location: SourceLocation = #_sourceLocation
    )
        throws
    {
        let deadline = now + 20_000_000_000
        while !condition() {
            guard now < deadline else {
                Issue.record("waited in vain for \(what)", sourceLocation: location)
                throw Errno.timedOut
            }
            try runOnce(timeout: 100_000)
        }
    }
}

/// Runs a program to its end with its output collected.
func output(
    of arguments: [String], environment: [String: String] = ["PATH": ProgramSearch.path], useClone3: Bool = true,
    _ adjust: (inout SpawnPlan) -> Void = { _ in }
) throws -> (text: String, status: Vocabulary.ExitStatus) {
    let pipe = try Pipe()
    let null = try OwnedDescriptor.null()
    var plan = SpawnPlan(
        program: arguments[0], arguments: arguments, environment: environment, standardInput: null.raw,
        standardOutput: pipe.writing.raw, standardError: 2)
    adjust(&plan)
    let child = try ProcessSpawner.spawn(plan, useClone3: useClone3)
    let reading = pipe.closeWriting()
    let bytes = try reading.readAll(limit: 1 << 20, subject: "child")
    return (String(decoding: bytes, as: UTF8.self), waitBlocking(child.pid))
}

extension Pipe {
    /// Keeps only the reading end, so that the child's death is the end of the file.
    consuming func closeWriting() -> OwnedDescriptor {
        let end = reading
        return end
    }
}

func waitBlocking(_ pid: Int32) -> Vocabulary.ExitStatus {
    var status: Int32 = 0
    waitpid(pid, &status, 0)
    let signal = status & 0x7f
    return signal == 0
        ? .exited((status >> 8) & 0xff)
        : .signalled(Signal(rawValue: signal), coreDumped: status & 0x80 != 0)
}

/// Starts `sh -c script` without output, tracked by `children`.
func shell(
    _ script: String, children: Children, environment: [String: String] = [:],
    _ adjust: (inout SpawnPlan) -> Void = { _ in }
) throws -> Child {
    let null = try OwnedDescriptor.null()
    var environment = environment
    environment["PATH"] = ProgramSearch.path
    var plan = SpawnPlan(
        program: "/bin/sh", arguments: ["sh", "-c", script], environment: environment, standardInput: null.raw,
        standardOutput: null.raw, standardError: 2)
    adjust(&plan)
    return try children.spawn(plan)
}

func openDescriptors() -> Set<Int32> {
    var found: Set<Int32> = []
    for number in 0..<1024 where fcntl(Int32(number), F_GETFD) >= 0 { found.insert(Int32(number)) }
    return found
}

let isRoot = geteuid() == 0
