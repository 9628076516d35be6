import CSpawn
import CSystemd
import Glibc
import Synchronization
import SystemPackage
import Vocabulary

/// The one event loop of the daemon, over sd-event(3), and the executor of its actor. It wakes up only for events.
///
/// Sendable without the compiler's check, because `SerialExecutor` requires it. The proof: `enqueue` touches only
/// `jobs` (a mutex) and the eventfd (a `let`, and write(2) is thread-safe); `thread` is a `let`; every other member
/// begins with `assumeOnThread()`, so only the thread that made the loop touches sd-event.
public final class EventLoop: SerialExecutor, @unchecked Sendable {
    let event: OpaquePointer
    let rounds: DispatchRounds
    private let thread = pthread_self()
    private let jobs = Mutex<[UnownedJob]>([])
    private let wakeUp: OwnedDescriptor
    private var jobSource: IOSource?
    /// Keeps sd-event's timerfd, which the first timer opens. Later timers then need no descriptor, and nothing else
    /// that can run out except memory of this process, whose lack ends it anyway.
    private var firstTimer: TimerSource?

    /// Makes a loop for the calling thread. Throws if the kernel has no descriptors left.
    public init() throws(SystemError) {
        var pointer: OpaquePointer?
        try check(sd_event_new(&pointer), "create event loop")
        guard let pointer else { throw SystemError("create event loop", nil, .noMemory) }
        event = pointer
        do throws(SystemError) {
            let number = try checkErrno(eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)), "eventfd")
            wakeUp = OwnedDescriptor(owning: number)
            rounds = try DispatchRounds(pointer)
        } catch {
            sd_event_unref(pointer)
            throw error
        }
        // Unowned, because the loop owns the source.
        jobSource = try IOSource(self, wakeUp.raw, .readable, .jobs) { [unowned self] _ in runJobs() }
        firstTimer = try TimerSource(self, 1, .idle) {}
    }

    deinit {
        jobSource?.cancel()
        firstTimer?.cancel()
        sd_event_unref(event)
    }

    private func assumeOnThread() {
        precondition(pthread_equal(thread, pthread_self()) != 0, "the event loop was used from another thread")
    }

    // MARK: Time

    /// CLOCK_MONOTONIC now, in nanoseconds.
    public var now: Int64 { Self.now }

    /// CLOCK_MONOTONIC now, in nanoseconds.
    public static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    // MARK: Sources

    /// Waits for a descriptor, which must outlive the source.
    public func addIO(
        _ descriptor: Int32, _ events: IOEvents, priority: DispatchPriority,
        _ handler: @escaping (IOEvents) -> Void
    ) throws(SystemError) -> IOSource {
        assumeOnThread()
        return try IOSource(self, descriptor, events, priority, handler)
    }

    /// Makes a disarmed timer. `accuracy` in microseconds: the delay that it may have to share a wake-up with others.
    public func addTimer(
        accuracy: UInt64 = 1000, priority: DispatchPriority = .timers, _ handler: @escaping () -> Void
    ) throws(SystemError) -> TimerSource {
        assumeOnThread()
        return try TimerSource(self, max(1, accuracy), priority, handler)
    }

    /// Adds a timer that fires once, by default after a second. It repeats work that failed for lack of descriptors,
    /// memory or watches, because the kernel does not report when they are available again.
    public func addRetry(
        after nanoseconds: Int64 = 1_000_000_000, _ handler: @escaping () -> Void
    ) -> TimerSource? {
        // This cannot fail: see `firstTimer`.
        let timer = try? addTimer(handler)
        timer?.arm(after: nanoseconds)
        return timer
    }

    /// Waits for a signal to this process. `blockSignals` must have blocked it before the second thread started.
    public func addSignal(
        _ signal: Signal, priority: DispatchPriority = .signals, _ handler: @escaping () -> Void
    ) throws(SystemError) -> SignalSource {
        assumeOnThread()
        return try SignalSource(self, signal, priority, handler)
    }

    /// Runs `handler` once, in a later round, after all sources that are ready now and have a higher priority.
    public func addDeferred(
        priority: DispatchPriority = .jobs, _ handler: @escaping () -> Void
    ) throws(SystemError) -> DeferredSource {
        assumeOnThread()
        return try DeferredSource(self, priority, handler)
    }

    /// Blocks signals for this thread and those that it starts, so that they wait for `addSignal` instead of killing
    /// us. Must be the first call of the program.
    public static func blockSignals(_ signals: [Signal]) {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in signals { sigaddset(&set, signal.rawValue) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    // MARK: Running

    /// Dispatches until `exit`; returns the exit code.
    public func run() throws(SystemError) -> Int32 {
        assumeOnThread()
        // The same as sd_event_loop(3).
        while sd_event_get_state(event) != Int32(SD_EVENT_FINISHED) { try runOnce() }
        var code: Int32 = 0
        try check(sd_event_get_exit_code(event, &code), "run event loop")
        return code
    }

    /// Waits until a source is ready, and dispatches it. False when `timeout` (microseconds; nil: no limit) elapsed
    /// before. The same as sd_event_run(3), except that it detects an idle loop.
    @discardableResult
    public func runOnce(timeout: UInt64? = nil) throws(SystemError) -> Bool {
        assumeOnThread()
        var ready = try check(sd_event_prepare(event), "run event loop")
        if ready == 0 { ready = try check(sd_event_wait(event, 0), "run event loop") }
        if ready == 0, timeout != 0 {
            // No source is ready, so a new round delays none.
            rounds.beginRound()
            ready = try check(sd_event_prepare(event), "run event loop")
            if ready == 0 { ready = try check(sd_event_wait(event, timeout ?? UInt64.max), "run event loop") }
        }
        guard ready > 0 else { return false }
        try check(sd_event_dispatch(event), "run event loop")
        return true
    }

    /// Makes `run` return `code` after this round.
    public func exit(_ code: Int32) {
        assumeOnThread()
        sd_event_exit(event, code)
    }

    /// Notifies the watchdog of our own parent (WATCHDOG_USEC), if it set one. The only periodic work of the loop.
    @discardableResult
    public func enableWatchdog() -> Bool {
        assumeOnThread()
        return sd_event_set_watchdog(event, 1) > 0
    }

    // MARK: Executor

    /// Queues a job of the actor; from any thread.
    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let wasEmpty = jobs.withLock { queue in
            queue.append(job)
            return queue.count == 1
        }
        // One write wakes the loop for all queued jobs. It cannot fail: a counter at its limit is readable anyway.
        if wasEmpty {
            var one: UInt64 = 1
            _ = write(wakeUp.raw, &one, 8)
        }
    }

    private func runJobs() {
        // The counter is read before the queue: a job queued in between writes again. In reverse it would be lost.
        var count: UInt64 = 0
        _ = read(wakeUp.raw, &count, 8)
        let batch = jobs.withLock { queue in
            let batch = queue
            queue.removeAll(keepingCapacity: true)
            return batch
        }
        for job in batch { job.runSynchronously(on: asUnownedSerialExecutor()) }
    }

    public func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

    public func checkIsolated() { assumeOnThread() }

    public func isIsolatingCurrentContext() -> Bool? { pthread_equal(thread, pthread_self()) != 0 }
}
