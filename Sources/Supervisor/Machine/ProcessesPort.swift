import Linux
import Vocabulary

/// Processes of the machine: starts them, watches their ends, reads their facts.
protocol ProcessesPort: AnyObject {
    /// The supervisor's own pid.
    var ownPid: Int32 { get }
    /// The supervisor's effective uid.
    var ownUser: UInt32 { get }
    /// The supervisor's effective gid.
    var ownGroup: UInt32 { get }
    /// The supervisor's own adjustment for the OOM killer, which children inherit; nil if it is unknown.
    var oomScoreAdjust: Int? { get }

    /// Makes the supervisor the parent of orphaned descendants, and reaps them from now on.
    func adoptOrphans() throws(SystemError)

    /// Starts a program. The caller must call `watch` or `abandon` of the process.
    func spawn(_ plan: SpawnPlan) throws(SpawnError) -> any MachineProcess

    /// Opens a process that runs now; ESRCH if there is none.
    func open(_ pid: Int32) throws(SystemError) -> any MachineProcess

    /// Opens a process only if it is the one that started at `startTime`; ESRCH otherwise.
    func open(_ pid: Int32, startTime: UInt64) throws(SystemError) -> any MachineProcess

    /// Continues with a process whose pidfd an earlier program of this process has left open.
    func inherit(_ pid: Int32, descriptor: Int32) throws(SystemError) -> any MachineProcess

    /// Makes a pipe for the output of a child.
    func makePipe() throws(SystemError) -> any MachinePipe

    /// Facts about a process at this moment; nil if there is no such process.
    func facts(of pid: Int32) -> ProcessFacts?
    /// Seconds since the start of a process, to a hundredth; nil if the clock is missing.
    func age(of process: ProcessFacts) -> Double?
    func commandName(of pid: Int32) -> String?
    /// The real uid of a process.
    func user(of pid: Int32) -> UInt32?
    /// A variable of the environment with which the process was executed.
    func environmentVariable(_ name: String, of pid: Int32) -> String?
    /// Path of the process's control group; nil if it is unknown.
    func controlGroup(of pid: Int32) -> String?
    /// The ancestors of a process, nearest first, up to the supervisor or the first that is gone.
    func ancestors(of pid: Int32) -> [Int32]
    /// Resident memory of a process in bytes.
    func residentMemory(of pid: Int32) -> Int?

    /// Path of a program that is installed beside the supervisor's; nil if it is not installed.
    func companion(_ name: String) -> String?

    /// Runs `body` with descriptors limited to the bound of the share; beyond it, calls fail with EMFILE.
    func bounded<Result, Failure: Error>(
        by share: FileLimit.DescriptorClass, _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result

    /// Throws the error that another service would get now for its descriptors: EMFILE, ENFILE, ENOMEM.
    func requireRoom() throws(SystemError)
    /// The limit on descriptors in words.
    var fileLimitText: String { get }
}

extension ProcessesPort {
    func age(of process: ProcessFacts) -> Double? { process.age }
}

/// A process by pidfd: signals reach this process or none, also if its pid has been reused.
protocol MachineProcess: AnyObject {
    var pid: Int32 { get }
    /// Start time; with the pid it identifies the process also to another supervisor process. 0 if it is unknown.
    var startTime: UInt64 { get }
    /// The pidfd.
    var descriptor: Int32 { get }
    /// Directives of which the kernel granted less, because a privilege is missing: `LimitNOFILE=65536`.
    var eased: [String] { get }
    /// Inode number of the pidfd, which identifies the process for ever from kernel 6.9 on.
    var inode: UInt64 { get }
    /// Whether the process has not been reaped, so that no other process can have its pid.
    var isThere: Bool { get }

    /// Sends a signal; ESRCH if the process is gone and reaped.
    func send(_ signal: Signal) throws(SystemError)

    /// Calls `exited` once, from the loop, after the process has ended. The status of a process that is not our child
    /// is `.unknown`. A child is reaped after `exited` has returned. The wait ends with this object.
    func watch(_ exited: @escaping (ExitStatus) -> Void) throws(SystemError)

    /// Leaves a child to the reaper of orphans, without a report of its exit.
    func abandon()
}

/// A pipe for the output of a child.
protocol MachinePipe: AnyObject {
    /// Descriptor of the writing end, for a plan.
    var writingEnd: Int32 { get }
    /// Closes the supervisor's writing end after the spawn: the pipe ends with the last process that has another.
    func closeWritingEnd()
    /// Calls `received` with the bytes present whenever there are some, and once with none after the last.
    func read(_ received: @escaping (UnsafeRawBufferPointer) -> Void) throws(SystemError)
    /// Pauses or continues reading; while it is paused the child blocks on a full pipe.
    func setReading(_ isOn: Bool)
    /// Stops reading; `received` is not called any more.
    func stopReading()
    /// The first line that can be read now; for the output of a program that has ended.
    func firstLine() -> String?
}
