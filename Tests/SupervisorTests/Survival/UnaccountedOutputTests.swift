import Linux
import SystemPackage
import Testing
import UnitStore

@testable import Supervisor

@Suite("Output of services that run without an instance")
struct UnaccountedOutputTests {
    private let world = World()
    private let log = LogLines()
    private let host = OutputBench()
    private let output: UnaccountedOutput
    private let machine: SimulatedMachine

    init() throws {
        machine = world.boot()
        let configuration = Configuration(
            unitDirectories: [], runtimeDirectory: "/run/holdfast", stateDirectory: "/var/lib/holdfast",
            logDirectory: "/var/log/holdfast", isUser: false)
        output = UnaccountedOutput(
            host, machine.files, Directories(machine, configuration, logger: log.logger), logger: log.logger)
        try world.disk.makeDirectory("/run/holdfast/output")
        for name in ["1-app.service#1.out", "2-db.service#4.err", "notes.txt"] {
            try world.disk.make("/run/holdfast/output/" + name, .fifo)
        }
    }

    private func moved() -> [String]? { world.disk.names(in: "/run/holdfast/output.left") }

    @Test("FIFOs that no instance uses are moved out of the way of new ones, once more with each supervisor")
    func move() throws {
        host.outputsInUse = ["/run/holdfast/output/2-db.service#4.err"]
        output.move()
        #expect(moved() == ["1-app.service#1.out"])
        #expect(world.disk.names(in: "/run/holdfast/output") == ["2-db.service#4.err", "notes.txt"])
        // The next supervisor has given the same number again.
        try world.disk.make("/run/holdfast/output/1-app.service#1.out", .fifo)
        output.move()
        #expect(moved() == ["1-app.service#1.out", "x1-app.service#1.out"])
    }

    @Test("Each is read once, into the log of its unit; the directory goes with the last of them")
    func read() {
        output.move()
        output.read()
        output.read()
        #expect(host.readers.map(\.name.unit).sorted() == ["app.service", "db.service"])
        for reader in host.readers { reader.onEnd() }
        #expect(host.readers.map(\.pipe.isClosed) == [true, true])
        // The FIFOs' own files are removed by their pipes.
        for name in moved() ?? [] { world.disk.remove("/run/holdfast/output.left/" + name) }
        output.read()
        #expect(host.readers.count == 2)
    }

    @Test("One that cannot be read costs no other", arguments: [Errno.tooManyOpenFiles, .permissionDenied])
    func unreadable(errno: Errno) {
        output.move()
        host.failure = errno
        output.read()
        #expect(host.readers.count == 1)
        #expect(log.lines.count == 1)
        // The next attempt reads the rest.
        output.read()
        #expect(host.readers.count == 2)
    }

    @Test("A crash at any call loses no FIFO")
    func crash() {
        for crash in 1...12 {
            let before = world.calls
            world.verdict = { _, number in number == before + crash ? .crash : .succeed }
            UnaccountedOutput(
                host, world.boot().files,
                Directories(
                    machine,
                    Configuration(
                        unitDirectories: [], runtimeDirectory: "/run/holdfast", stateDirectory: "/s",
                        logDirectory: "/l",
                        isUser: false), logger: log.logger), logger: log.logger
            ).move()
            let all = (world.disk.names(in: "/run/holdfast/output") ?? []) + (moved() ?? [])
            #expect(Set(all).isSuperset(of: ["1-app.service#1.out", "2-db.service#4.err", "notes.txt"]))
        }
    }
}

private final class OutputBench: UnaccountedOutputHost {
    struct Reader {
        let name: UnaccountedOutputName
        let pipe: FakePipe
        let onEnd: () -> Void
    }

    var outputsInUse: Set<String> = []
    /// Error of the next call.
    var failure: Errno?
    private(set) var readers: [Reader] = []

    func readUnaccountedOutput(
        _ path: String, _ name: UnaccountedOutputName, _ onEnd: @escaping () -> Void
    ) throws(SystemError) -> any MachineLogPipe {
        if let errno = failure {
            failure = nil
            throw SystemError("open", path, errno)
        }
        let reader = Reader(name: name, pipe: FakePipe(path), onEnd: onEnd)
        readers.append(reader)
        return reader.pipe
    }
}

private final class FakePipe: MachineLogPipe {
    let path: String
    private(set) var isClosed = false

    init(_ path: String) { self.path = path }

    var descriptor: Int32 { -1 }
    var fileID: FileID? { nil }
    var lastLines: [LogPipe.LastLine] { [] }
    func openForService() throws(SystemError) -> OwnedDescriptor { throw SystemError("open", path, .notSupported) }
    func drain() {}
    func close() { isClosed = true }
}
