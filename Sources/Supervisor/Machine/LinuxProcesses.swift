import Glibc
import Linux
import Vocabulary

/// Processes of this host.
final class LinuxProcesses: ProcessesPort {
    let children: Children
    private let loop: EventLoop

    init(loop: EventLoop) {
        self.loop = loop
        children = Children(loop: loop)
    }

    var ownPid: Int32 { getpid() }
    var ownUser: UInt32 { geteuid() }
    var ownGroup: UInt32 { getegid() }
    var oomScoreAdjust: Int? { ProcessFacts.oomScoreAdjust }

    func adoptOrphans() throws(SystemError) { try children.adoptOrphans() }

    func spawn(_ plan: SpawnPlan) throws(SpawnError) -> any MachineProcess {
        let child = try children.spawn(plan)
        let eased = child.eased
        return LinuxProcess(child.takeHandle(), children, eased: eased)
    }

    func open(_ pid: Int32) throws(SystemError) -> any MachineProcess {
        LinuxProcess(try ProcessHandle(pid: pid), children)
    }

    func open(_ pid: Int32, startTime: UInt64) throws(SystemError) -> any MachineProcess {
        LinuxProcess(try ProcessHandle(pid: pid, startTime: startTime), children)
    }

    func inherit(_ pid: Int32, descriptor: Int32) throws(SystemError) -> any MachineProcess {
        LinuxProcess(ProcessHandle(pid: pid, inherited: try OwnedDescriptor.inherited(descriptor)), children)
    }

    func makePipe() throws(SystemError) -> any MachinePipe { try LinuxPipe(loop) }

    func facts(of pid: Int32) -> ProcessFacts? { ProcessFacts.read(pid) }
    func commandName(of pid: Int32) -> String? { ProcessFacts.commandName(of: pid) }
    func user(of pid: Int32) -> UInt32? { ProcessFacts.user(of: pid) }
    func environmentVariable(_ name: String, of pid: Int32) -> String? {
        ProcessFacts.environmentVariable(name, of: pid)
    }
    func controlGroup(of pid: Int32) -> String? { ProcessFacts.cgroup(of: pid) }
    func ancestors(of pid: Int32) -> [Int32] { ProcessFacts.ancestors(of: pid) }
    func residentMemory(of pid: Int32) -> Int? { MemoryFacts.read(pid)?.resident }
    func companion(_ name: String) -> String? { ProgramFile.companion(name) }

    func bounded<Result, Failure: Error>(
        by share: FileLimit.DescriptorClass, _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try FileLimit.bounded(by: share, body)
    }

    func requireRoom() throws(SystemError) { try FileLimit.requireRoom() }
    var fileLimitText: String { FileLimit.description }
}

/// A process of this host, with the wait for its end.
private final class LinuxProcess: MachineProcess {
    private let handle: ProcessHandle
    private let children: Children
    private var source: ChildExitSource?
    let eased: [String]
    private(set) lazy var startTime = ProcessFacts.startTime(of: pid) ?? 0

    init(_ handle: consuming ProcessHandle, _ children: Children, eased: [String] = []) {
        self.handle = handle
        self.children = children
        self.eased = eased
    }

    var pid: Int32 { handle.pid }
    var descriptor: Int32 { handle.descriptor.raw }
    var inode: UInt64 { handle.inode() }
    var isThere: Bool { handle.isThere }

    func send(_ signal: Signal) throws(SystemError) { try handle.send(signal) }

    func watch(_ exited: @escaping (ExitStatus) -> Void) throws(SystemError) {
        source = try children.watch(handle, exited)
    }

    func abandon() {
        source?.cancel()
        source = nil
        children.abandon(pid: pid)
    }
}

/// A pipe of this host.
private final class LinuxPipe: MachinePipe {
    private let reading: OwnedDescriptor
    private var writing: OwnedDescriptor?
    private let loop: EventLoop
    private var source: IOSource?

    init(_ loop: EventLoop) throws(SystemError) {
        self.loop = loop
        let pipe = try Pipe(nonBlockingReader: true)
        writingEnd = pipe.writing.raw
        reading = pipe.reading
        writing = .some(pipe.writing)
    }

    let writingEnd: Int32

    func closeWritingEnd() { writing = nil }

    func read(_ received: @escaping (UnsafeRawBufferPointer) -> Void) throws(SystemError) {
        source = try loop.addIO(reading.raw, .readable, priority: .controlRequests) { [unowned self] _ in
            withExtendedLifetime(self) { receive(received) }
        }
    }

    private func receive(_ received: (UnsafeRawBufferPointer) -> Void) {
        withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 16) { buffer in
            let count = Glibc.read(reading.raw, buffer.baseAddress, buffer.count)
            guard count <= 0 else { return received(UnsafeRawBufferPointer(rebasing: buffer[..<count])) }
            guard count == 0 || (errno != EAGAIN && errno != EINTR) else { return }
            stopReading()
            received(UnsafeRawBufferPointer(start: nil, count: 0))
        }
    }

    func setReading(_ isOn: Bool) { source?.setEnabled(isOn) }

    func stopReading() {
        source?.cancel()
        source = nil
    }

    func firstLine() -> String? { reading.firstLine() }
}
