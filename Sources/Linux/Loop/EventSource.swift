import CSpawn
import CSystemd
import Glibc
import SystemPackage

/// The order in which things that are ready at the same moment are dispatched. The one place that says it. Each case is a class
/// with a quota of its own: what is always ready delays what stands below it by no more than that (`DispatchRounds`).
public enum DispatchPriority: Int64, CaseIterable, Sendable {
    /// First: `READY=1` or `MAINPID=` sent just before an exit still counts.
    case notifyMessages = -50
    /// Before signals and timers: a start timeout that fires together with the exit is an exit.
    case childExits = -40
    /// SIGTERM before new work.
    case signals = -30
    /// SIGCHLD of adopted orphans, after our own children, which must be told first. A class of its own, because sd-event reads
    /// the signals of a class one by one, and this one may always be there.
    case orphans = -25
    /// After what happened, so that a deadline loses against the event that it waits for.
    case timers = -20
    /// Answers of probes; they may not delay the above.
    case probes = -10
    /// Jobs of the daemon's actor: continuations of what the cases above began.
    case jobs = -5
    /// What operators ask sees everything that has happened before.
    case controlRequests = 0
    /// What other users ask, who may be many, after what operators ask.
    case otherRequests = 10
    /// Connections and datagrams that start services: whoever is flooded by them wants to say "stop" first.
    case traffic = 20
    /// Captured output: a service that prints without end is always ready.
    case logs = 30
    /// Cleaning up, when nothing else is ready.
    case idle = 100
}

/// What a descriptor is waited for; values of epoll_ctl(2).
public struct IOEvents: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let readable = IOEvents(rawValue: EPOLLIN.rawValue)
    public static let writable = IOEvents(rawValue: EPOLLOUT.rawValue)
    /// Exceptional state; cgroup.events says "changed" with it.
    public static let priority = IOEvents(rawValue: EPOLLPRI.rawValue)
    /// Always reported, also when not asked for.
    public static let error = IOEvents(rawValue: EPOLLERR.rawValue)
    /// Always reported, also when not asked for.
    public static let hangUp = IOEvents(rawValue: EPOLLHUP.rawValue)
    public static let peerClosed = IOEvents(rawValue: EPOLLRDHUP.rawValue)
    /// Reported once for each time that it becomes so, not as long as it is so; for descriptors that are not read empty.
    /// `setEvents` asks anew.
    public static let edge = IOEvents(rawValue: EPOLLET.rawValue)
}

/// Something the loop waits for. Ends with `cancel()` or with its last reference; cancelling inside its own handler is safe.
public class EventSource {
    fileprivate(set) var pointer: OpaquePointer?
    let priority: DispatchPriority
    private let rounds: DispatchRounds
    /// The round in which it ran last, or was made.
    var lastRound: UInt64

    fileprivate init(_ rounds: DispatchRounds, _ priority: DispatchPriority) {
        self.rounds = rounds
        self.priority = priority
        lastRound = rounds.number
    }

    deinit { dropPointer() }

    /// Ends the wait; the handler never runs again. Doing it twice is harmless.
    public func cancel() {
        dropPointer()
        forgetHandler()
    }

    /// Whether it can still fire.
    public var isActive: Bool { pointer != nil }

    /// Drops the closure, and with it a cycle through what the closure captured.
    fileprivate func forgetHandler() {}

    private func dropPointer() {
        guard let source = pointer else { return }
        pointer = nil
        // Order matters: first off, so that it cannot fire again should sd-event hold a reference while it dispatches.
        sd_event_source_set_enabled(source, Int32(SD_EVENT_OFF))
        sd_event_source_unref(source)
    }

    /// The value that sd-event hands back to a handler. Unretained: a source that is gone has been taken out of the loop.
    fileprivate var userData: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }

    fileprivate func configure(_ name: String) throws(SystemError) {
        try check(sd_event_source_set_priority(pointer, priority.rawValue), "event priority", name)
    }

    /// Lets it wait until the round is over; false if it waits already. It stays ready, and after everything else.
    func park() -> Bool {
        guard let pointer else { return false }
        sd_event_source_set_priority(pointer, DispatchRounds.parkedPriority)
        return true
    }

    /// The round is over.
    func unpark() {
        guard let pointer else { return }
        sd_event_source_set_priority(pointer, priority.rawValue)
    }

    /// Runs what sd-event calls, in its round. Keeps the source alive meanwhile: the handler may drop the last reference.
    fileprivate static func dispatch<Source: EventSource>(
        _ userData: UnsafeMutableRawPointer?, as: Source.Type, _ body: (Source) -> Void
    ) -> Int32 {
        guard let userData else { return 0 }
        let source = Unmanaged<Source>.fromOpaque(userData).takeUnretainedValue()
        withExtendedLifetime(source) { source.rounds.dispatch(source) { body(source) } }
        return 0
    }
}

/// Readiness of a descriptor (sd_event_add_io(3)); level-triggered unless `.edge` is asked for.
///
/// A handler that can do nothing about what is ready (no descriptors left, a dead child that another process still traces)
/// calls `postpone()`: a level-triggered source would otherwise be dispatched again at once, without end.
public final class IOSource: EventSource {
    private var handler: ((IOEvents) -> Void)?
    private unowned let loop: EventLoop
    private var events: IOEvents
    /// The pause that `postpone()` makes, from its first call to `noteProgress()`.
    private var pause: (timer: TimerSource, nanoseconds: Int64)?
    /// What `setEnabled` said last, whether or not a pause is on.
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

    /// Changes what is waited for; the empty set still reports errors and hang-ups.
    public func setEvents(_ events: IOEvents) throws(SystemError) {
        guard let pointer else { return }
        self.events = events
        try check(sd_event_source_set_io_events(pointer, events.rawValue), "watch descriptor")
    }

    /// Pauses and resumes without giving up the source.
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
            // Without memory for a timer the source stays where it is: the loop keeps the others served.
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

    /// The handler could do something: the next pause is short again.
    public func noteProgress() {
        guard pause != nil else { return }
        pause = nil
        if isWanted { enable(true) }
    }

    override func unpark() {
        super.unpark()
        // What is told once has been told; the kernel tells it again when asked again.
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

    /// Fires once, `nanoseconds` from now. A span near infinity means "never", not a trap.
    public func arm(after nanoseconds: Int64) { arm(at: EventLoop.now.addingSaturated(nanoseconds)) }

    /// Fires once when CLOCK_MONOTONIC reaches `nanoseconds`, never earlier; replaces an earlier arming. A time in the
    /// past fires in the loop's next round.
    public func arm(at nanoseconds: Int64) {
        guard let pointer else { return }
        // sd-event counts microseconds; rounding up, so that whoever looks at the clock finds the deadline passed.
        let microseconds = UInt64(max(0, nanoseconds)) / 1000 + (nanoseconds % 1000 > 0 ? 1 : 0)
        sd_event_source_set_time(pointer, microseconds)
        sd_event_source_set_enabled(pointer, Int32(SD_EVENT_ONESHOT))
    }

    override func park() -> Bool {
        guard super.park(), let pointer else { return false }
        // sd-event has switched it off; its time is over, so it is ready as soon as it is on.
        sd_event_source_set_enabled(pointer, Int32(SD_EVENT_ONESHOT))
        return true
    }

    /// Does not fire until armed again.
    public func disarm() {
        guard let pointer else { return }
        sd_event_source_set_enabled(pointer, Int32(SD_EVENT_OFF))
    }

    fileprivate override func forgetHandler() { handler = nil }
}

/// A signal sent to this process, read through a signalfd(2) of its own; it must be blocked (`EventLoop.blockSignals`). sd-event's
/// signal sources share one descriptor for each priority, where one signal that comes without end hides the others.
public final class SignalSource {
    private let descriptor: OwnedDescriptor
    private var source: IOSource?

    init(
        _ loop: EventLoop, _ signal: Signal, _ priority: DispatchPriority, _ handler: @escaping () -> Void
    ) throws(SystemError) {
        descriptor = OwnedDescriptor(
            owning: try check(holdfast_signal_descriptor(signal.rawValue), "watch signal", signal.name))
        source = try loop.addIO(descriptor.raw, .readable, priority: priority) { [unowned self] _ in
            // One that waited several times is one (signal(7)); a real-time signal comes again in a later turn.
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
