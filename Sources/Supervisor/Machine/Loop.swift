import Linux
import Vocabulary

/// The event loop and the clocks.
protocol Loop: AnyObject {
    /// CLOCK_MONOTONIC now, in nanoseconds.
    var now: Int64 { get }

    /// Seconds since 1970 (CLOCK_REALTIME), for display only; no decision depends on it.
    var wallClock: Int64 { get }

    /// Makes a disarmed timer. `accuracy` in microseconds: the delay that it may have to share a wake-up with others.
    func timer(
        accuracy: UInt64, priority: DispatchPriority, _ handler: @escaping () -> Void
    ) throws(SystemError) -> any LoopTimer

    /// Calls `handler` once, after `nanoseconds`. It repeats work that failed for lack of descriptors, memory or
    /// watches, because the kernel does not report when they are available again.
    func retry(after nanoseconds: Int64, _ handler: @escaping () -> Void) -> (any LoopTimer)?

    /// Calls `handler` for each signal to this process. The signal counts as long as the result exists.
    func watchSignal(_ signal: Signal, _ handler: @escaping () -> Void) throws(SystemError) -> any AnyObject

    /// Waits for a descriptor, which must outlive the source.
    func watchDescriptor(
        _ descriptor: Int32, _ events: IOEvents, priority: DispatchPriority, _ handler: @escaping (IOEvents) -> Void
    ) throws(SystemError) -> any LoopSource

    /// Calls `handler` once, in a later round, after all sources that are ready now and have a higher priority.
    func deferred(
        priority: DispatchPriority, _ handler: @escaping () -> Void
    ) throws(SystemError) -> any LoopSource

    /// Ends the program with `code` after this round.
    func exit(_ code: Int32)
}

/// An event that the loop waits for, or work that it does later.
protocol LoopSource: AnyObject {
    /// Ends the wait: the handler is not called any more.
    func cancel()
}

/// A timer on CLOCK_MONOTONIC that fires once for each time it is armed.
protocol LoopTimer: LoopSource {
    /// Fires once, `nanoseconds` from now; replaces an earlier arming.
    func arm(after nanoseconds: Int64)

    /// Fires once when the clock reaches `nanoseconds`, never earlier; replaces an earlier arming.
    func arm(at nanoseconds: Int64)

    /// Stops the timer until it is armed again.
    func disarm()
}

extension Loop {
    func makeTimer(
        accuracy: UInt64 = 1000, priority: DispatchPriority = .timers, _ handler: @escaping () -> Void
    ) throws(SystemError) -> any LoopTimer {
        try timer(accuracy: accuracy, priority: priority, handler)
    }

    func callLater(
        priority: DispatchPriority = .jobs, _ handler: @escaping () -> Void
    ) throws(SystemError) -> any LoopSource {
        try deferred(priority: priority, handler)
    }

    func retry(_ handler: @escaping () -> Void) -> (any LoopTimer)? { retry(after: 1_000_000_000, handler) }
}
