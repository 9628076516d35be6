import CSpawn
import CSystemd
import Glibc
import SystemPackage
import Vocabulary

/// The order in which sources that are ready at the same moment are dispatched, defined only here. Each case is a class
/// with a quota of its own: a source that is always ready delays the classes below it by no more than that
/// (`DispatchRounds`).
public enum DispatchPriority: Int64, CaseIterable, Sendable {
    /// First: `READY=1` or `MAINPID=` sent just before an exit still counts.
    case notifyMessages = -50
    /// Before signals and timers: a start timeout that fires together with the exit counts as an exit.
    case childExits = -40
    /// SIGTERM precedes new work.
    case signals = -30
    /// SIGCHLD of adopted orphans, after the exits of our own children, which must be reported first. A class of its
    /// own, because sd-event reads the signals of a class one by one, and this one may always be pending.
    case orphans = -25
    /// After exits and signals, so that a deadline loses against the event that it limits.
    case timers = -20
    /// Answers of probes, which must not delay the classes above.
    case probes = -10
    /// Jobs of the daemon's actor: continuations of the work that the classes above began.
    case jobs = -5
    /// Requests of operators, which see all earlier events.
    case controlRequests = 0
    /// Requests of other users, who may be many, after those of operators.
    case otherRequests = 10
    /// Connections and datagrams that start services: an operator must be able to say "stop" during a flood.
    case traffic = 20
    /// Captured output: a service that prints without end is always ready.
    case logs = 30
    /// Cleaning up, when no other source is ready.
    case idle = 100
}

/// The conditions for which a descriptor is polled; values of epoll_ctl(2).
public struct IOEvents: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let readable = IOEvents(rawValue: EPOLLIN.rawValue)
    public static let writable = IOEvents(rawValue: EPOLLOUT.rawValue)
    /// An exceptional condition; cgroup.events reports a change with it.
    public static let priority = IOEvents(rawValue: EPOLLPRI.rawValue)
    /// Always reported, even if it is not requested.
    public static let error = IOEvents(rawValue: EPOLLERR.rawValue)
    /// Always reported, even if it is not requested.
    public static let hangUp = IOEvents(rawValue: EPOLLHUP.rawValue)
    public static let peerClosed = IOEvents(rawValue: EPOLLRDHUP.rawValue)
    /// Reported once for each change to ready, not as long as it is ready; for descriptors that are not read empty.
    /// `setEvents` requests it again.
    public static let edge = IOEvents(rawValue: EPOLLET.rawValue)
}

/// A source of events for the loop. Ends with `cancel()` or with its last reference; its own handler may cancel it.
public class EventSource {
    fileprivate(set) var pointer: OpaquePointer?
    let priority: DispatchPriority
    private let rounds: DispatchRounds
    /// The round in which the source last ran, or was made.
    var lastRound: UInt64

    fileprivate init(_ rounds: DispatchRounds, _ priority: DispatchPriority) {
        self.rounds = rounds
        self.priority = priority
        lastRound = rounds.number
    }

    deinit { dropPointer() }

    /// Ends the wait; the handler never runs again. May be called twice.
    public func cancel() {
        dropPointer()
        forgetHandler()
    }

    /// Whether the source can still fire.
    public var isActive: Bool { pointer != nil }

    /// Drops the closure, and with it a cycle through the closure's captures.
    fileprivate func forgetHandler() {}

    private func dropPointer() {
        guard let source = pointer else { return }
        pointer = nil
        // Switched off first, so that it cannot fire again if sd-event holds a reference while it dispatches.
        sd_event_source_set_enabled(source, Int32(SD_EVENT_OFF))
        sd_event_source_unref(source)
    }

    /// The value that sd-event passes back to a handler. Unretained: a deallocated source is out of the loop.
    fileprivate var userData: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }

    fileprivate func configure(_ name: String) throws(SystemError) {
        try check(sd_event_source_set_priority(pointer, priority.rawValue), "event priority", name)
    }

    /// Makes the source wait until the end of the round; false if it waits already. It stays ready, after all others.
    func park() -> Bool {
        guard let pointer else { return false }
        sd_event_source_set_priority(pointer, DispatchRounds.parkedPriority)
        return true
    }

    /// Restores the priority at the end of the round.
    func unpark() {
        guard let pointer else { return }
        sd_event_source_set_priority(pointer, priority.rawValue)
    }

    /// Runs a callback of sd-event in its round. Keeps the source alive: its handler may drop the last reference.
    fileprivate static func dispatch<Source: EventSource>(
        _ userData: UnsafeMutableRawPointer?, as: Source.Type, _ body: (Source) -> Void
    ) -> Int32 {
        guard let userData else { return 0 }
        let source = Unmanaged<Source>.fromOpaque(userData).takeUnretainedValue()
        withExtendedLifetime(source) { source.rounds.dispatch(source) { body(source) } }
        return 0
    }
}

/// Readiness of a descriptor (sd_event_add_io(3)); level-triggered unless `.edge` is requested.
///
/// A handler that cannot handle a ready source (no descriptors left, a dead child that another process still traces)
/// calls `postpone()`: a level-triggered source would otherwise be dispatched again at once, endlessly.
public final class IOSource: EventSource {
    private var handler: ((IOEvents) -> Void)?
    private unowned let loop: EventLoop
    private var events: IOEvents
    /// The pause of `postpone()`, from its first call until `noteProgress()`.
    private var pause: (timer: TimerSource, nanoseconds: Int64)?
    /// The last value passed to `setEnabled`, whether or not a pause is on.
    private var isWanted = true

    private static let shortestPause: Int64 = 10_000_000
    private static let longestPause: Int64 = 1_000_000_000

    init(
        _ loop: EventLoop, _ descriptor: Int32, _ events: IOEvents, _ priority: DispatchPriority,
        _ handler: @escaping (IOEvents) -> Void
    ) throws(SystemError) {
        self.handler = handler
        self.loop = loop
        self.events = events
        super.init(loop.rounds, priority)
        let result = sd_event_add_io(
            loop.event, &pointer, descriptor, events.rawValue,
            { _, _, ready, userData in
                EventSource.dispatch(userData, as: IOSource.self) { $0.handler?(IOEvents(rawValue: ready)) }
            }, userData)
        try check(result, "watch descriptor", "\(descriptor)")
        try configure("descriptor")
    }

    /// Changes the requested events; the empty set still reports errors and hang-ups.
    public func setEvents(_ events: IOEvents) throws(SystemError) {
        guard let pointer else { return }
        self.events = events
        try check(sd_event_source_set_io_events(pointer, events.rawValue), "watch descriptor")
    }

    /// Pauses and resumes the source without ending it.
    public func setEnabled(_ on: Bool) {
        isWanted = on
        enable(on)
    }

    private func enable(_ on: Bool) {
        guard let pointer else { return }
        sd_event_source_set_enabled(pointer, on ? Int32(SD_EVENT_ON) : Int32(SD_EVENT_OFF))
    }

    /// Takes the source out of the loop for a while: 10 ms at first, then twice as long each time, at most a second.
    public func postpone() {
        guard pointer != nil else { return }
        let timer: TimerSource
        let nanoseconds: Int64
        if let pause {
            timer = pause.timer
            nanoseconds = min(pause.nanoseconds * 2, Self.longestPause)
        } else {
            // Without memory for a timer the source stays in the loop, whose rounds still serve the others.
            guard
                let made = try? TimerSource(loop, 1000, .timers, { [unowned self] in if isWanted { enable(true) } })
            else { return }
            timer = made
            nanoseconds = Self.shortestPause
        }
        pause = (timer, nanoseconds)
        enable(false)
        timer.arm(after: nanoseconds)
    }

    /// Ends a pause after the handler has made progress: the next pause is short again.
    public func noteProgress() {
        guard pause != nil else { return }
        pause = nil
        if isWanted { enable(true) }
    }

    override func unpark() {
        super.unpark()
        // An edge has been reported already; the kernel reports it again after a new request.
        if events.contains(.edge) { try? setEvents(events) }
    }

    fileprivate override func forgetHandler() {
        handler = nil
        pause = nil
    }
}

/// A timer on CLOCK_MONOTONIC that fires once per `arm`.
public final class TimerSource: EventSource {
    private var handler: (() -> Void)?

    init(
        _ loop: EventLoop, _ accuracy: UInt64, _ priority: DispatchPriority, _ handler: @escaping () -> Void
    ) throws(SystemError) {
        self.handler = handler
        super.init(loop.rounds, priority)
        let result = sd_event_add_time(
            loop.event, &pointer, CLOCK_MONOTONIC, UInt64.max, accuracy,
            { _, _, userData in EventSource.dispatch(userData, as: TimerSource.self) { $0.handler?() } }, userData)
        try check(result, "add timer")
        sd_event_source_set_enabled(pointer, Int32(SD_EVENT_OFF))
        try configure("timer")
    }

    /// Fires once, `nanoseconds` from now. A span near infinity means "never", without a trap.
    public func arm(after nanoseconds: Int64) { arm(at: EventLoop.now.addingSaturated(nanoseconds)) }

    /// Fires once when CLOCK_MONOTONIC reaches `nanoseconds`, never earlier; replaces an earlier arming. A time in the
    /// past fires in the loop's next round.
    public func arm(at nanoseconds: Int64) {
        guard let pointer else { return }
        // sd-event counts microseconds; rounded up, so that the handler finds the deadline passed on the clock.
        let microseconds = UInt64(max(0, nanoseconds)) / 1000 + (nanoseconds % 1000 > 0 ? 1 : 0)
        sd_event_source_set_time(pointer, microseconds)
        sd_event_source_set_enabled(pointer, Int32(SD_EVENT_ONESHOT))
    }

    override func park() -> Bool {
        guard super.park(), let pointer else { return false }
        // sd-event has switched it off; its time has passed, so it is ready as soon as it is switched on.
        sd_event_source_set_enabled(pointer, Int32(SD_EVENT_ONESHOT))
        return true
    }

    /// Stops the timer until it is armed again.
    public func disarm() {
        guard let pointer else { return }
        sd_event_source_set_enabled(pointer, Int32(SD_EVENT_OFF))
    }

    fileprivate override func forgetHandler() { handler = nil }
}

/// A signal to this process, read through a signalfd(2) of its own; it must be blocked (`EventLoop.blockSignals`).
/// sd-event's signal sources share one descriptor for each priority, where one endless signal hides the others.
public final class SignalSource {
    private let descriptor: OwnedDescriptor
    private var source: IOSource?

    init(
        _ loop: EventLoop, _ signal: Signal, _ priority: DispatchPriority, _ handler: @escaping () -> Void
    ) throws(SystemError) {
        descriptor = OwnedDescriptor(
            owning: try check(holdfast_signal_descriptor(signal.rawValue), "watch signal", "\(signal)"))
        source = try loop.addIO(descriptor.raw, .readable, priority: priority) { [unowned self] _ in
            // Several pending instances count as one (signal(7)); a real-time signal is read again in a later turn.
            if holdfast_take_signal(descriptor.raw) > 0 { handler() }
        }
    }

    deinit { source?.cancel() }
}

/// A closure that runs once, in a later round of the loop (sd_event_add_defer(3)); the loop keeps it alive until then.
public final class DeferredSource: EventSource {
    private var handler: (() -> Void)?

    init(_ loop: EventLoop, _ priority: DispatchPriority, _ handler: @escaping () -> Void) throws(SystemError) {
        self.handler = handler
        super.init(loop.rounds, priority)
        let result = sd_event_add_defer(
            loop.event, &pointer,
            { _, userData in
                EventSource.dispatch(userData, as: DeferredSource.self) { source in
                    let handler = source.handler
                    source.cancel()
                    handler?()
                }
            }, userData)
        try check(result, "add deferred work")
        try configure("deferred work")
    }

    override func park() -> Bool {
        guard super.park(), let pointer else { return false }
        // sd-event has switched it off, as after its only turn.
        sd_event_source_set_enabled(pointer, Int32(SD_EVENT_ONESHOT))
        return true
    }

    fileprivate override func forgetHandler() { handler = nil }
}
