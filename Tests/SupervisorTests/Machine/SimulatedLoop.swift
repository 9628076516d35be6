import Linux
import Vocabulary

@testable import Supervisor

/// The event loop on virtual time: dispatches one source at a time, by priority, then by the order in which they became
/// ready.
final class SimulatedLoop: Loop {
    private unowned let machine: SimulatedMachine
    private var world: World { machine.world }
    private var ready: [Ready] = []
    // A source ends with its last reference, as those of the real loop do.
    private var weakTimers: [Weak<SimulatedTimer>] = []
    private var weakWatches: [Weak<SimulatedWatch>] = []
    private var weakSignals: [Weak<SimulatedSignalWatch>] = []
    private var timers: [SimulatedTimer] { weakTimers.compactMap(\.object) }
    private var watches: [SimulatedWatch] { weakWatches.compactMap(\.object) }
    private var lastNumber = 0
    private(set) var exitCode: Int32?

    fileprivate struct Ready {
        var priority: Int64
        var number: Int
        var source: SimulatedSource
    }

    init(machine: SimulatedMachine) { self.machine = machine }

    // MARK: - The supervisor's side

    var now: Int64 { world.readClock() }

    var wallClock: Int64 { world.wallClockOffset + world.now / 1_000_000_000 }

    func timer(
        accuracy: UInt64, priority: DispatchPriority, _ handler: @escaping () -> Void
    ) throws(SystemError) -> any LoopTimer {
        let timer = SimulatedTimer(self, priority, handler)
        weakTimers.removeAll { $0.object == nil }
        weakTimers.append(Weak(timer))
        return timer
    }

    func retry(after nanoseconds: Int64, _ handler: @escaping () -> Void) -> (any LoopTimer)? {
        let timer = try? makeTimer(handler)
        timer?.arm(after: nanoseconds)
        return timer
    }

    func watchSignal(_ signal: Signal, _ handler: @escaping () -> Void) throws(SystemError) -> any AnyObject {
        try world.step(machine, "watch signal", "\(signal)")
        let watch = SimulatedSignalWatch(signal, handler)
        weakSignals.append(Weak(watch))
        return watch
    }

    func watchDescriptor(
        _ descriptor: Int32, _ events: IOEvents, priority: DispatchPriority, _ handler: @escaping (IOEvents) -> Void
    ) throws(SystemError) -> any LoopSource {
        try world.step(machine, "watch descriptor")
        let watch = SimulatedWatch(descriptor, priority, handler)
        weakWatches.removeAll { $0.object == nil }
        weakWatches.append(Weak(watch))
        return watch
    }

    func deferred(
        priority: DispatchPriority, _ handler: @escaping () -> Void
    ) throws(SystemError) -> any LoopSource {
        // No step: sd-event needs only memory for it.
        post(priority, handler)
    }

    func exit(_ code: Int32) {
        if world.permits(machine, "exit") { exitCode = code }
    }

    // MARK: - The world's side

    /// Makes a source ready: `handler` is called once, in its turn.
    @discardableResult
    func post(_ priority: DispatchPriority, _ handler: @escaping () -> Void) -> SimulatedSource {
        let source = SimulatedSource(handler)
        lastNumber += 1
        ready.append(Ready(priority: priority.rawValue, number: lastNumber, source: source))
        return source
    }

    /// Sends a signal to the supervisor.
    func raise(_ signal: Signal) {
        for watch in weakSignals.compactMap(\.object) where watch.signal == signal {
            post(.signals) { [weak watch] in watch?.handler() }
        }
    }

    /// Reports events of a descriptor that the supervisor watches.
    func report(_ events: IOEvents, of descriptor: Int32) {
        for watch in watches where watch.descriptor == descriptor && !watch.isCancelled {
            post(watch.priority) { [weak watch] in if let watch, !watch.isCancelled { watch.handler(events) } }
        }
    }

    /// When the next timer fires; nil if none is armed.
    var nextDeadline: Int64? { timers.compactMap { $0.isGone ? nil : $0.deadline }.min() }

    /// Dispatches one source; false if none is ready.
    func runOnce() -> Bool {
        for timer in timers.filter({ $0.deadline.map { $0 <= world.now } ?? false }).sorted(by: { $0.order < $1.order })
        {
            timer.disarm()
            post(timer.priority) { [weak timer] in timer?.fire() }
        }
        guard
            let index = ready.indices.min(by: {
                (ready[$0].priority, ready[$0].number) < (ready[$1].priority, ready[$1].number)
            })
        else { return false }
        let next = ready.remove(at: index)
        next.source.dispatch()
        return true
    }

    /// Forgets everything at the end of the supervisor's process.
    func clear() { (ready, weakTimers, weakWatches, weakSignals) = ([], [], [], []) }

    fileprivate func nextOrder() -> Int {
        lastNumber += 1
        return lastNumber
    }

    fileprivate func add(_ nanoseconds: Int64) -> Int64 {
        let (sum, overflow) = world.now.addingReportingOverflow(nanoseconds)
        return overflow ? .max : sum
    }
}

private struct Weak<Object: AnyObject> {
    weak var object: Object?
    init(_ object: Object) { self.object = object }
}

/// A call that is due in its turn.
final class SimulatedSource: LoopSource {
    private var handler: (() -> Void)?
    init(_ handler: @escaping () -> Void) { self.handler = handler }
    func cancel() { handler = nil }

    fileprivate func dispatch() {
        let handler = handler
        cancel()
        handler?()
    }
}

private final class SimulatedTimer: LoopTimer {
    private weak var loop: SimulatedLoop?
    let priority: DispatchPriority
    private var handler: (() -> Void)?
    private(set) var deadline: Int64?
    private(set) var order = 0
    var isGone: Bool { handler == nil }

    init(_ loop: SimulatedLoop, _ priority: DispatchPriority, _ handler: @escaping () -> Void) {
        (self.loop, self.priority, self.handler) = (loop, priority, handler)
    }

    func arm(after nanoseconds: Int64) { loop.map { arm(at: $0.add(nanoseconds)) } }

    func arm(at nanoseconds: Int64) {
        (deadline, order) = (nanoseconds, loop?.nextOrder() ?? 0)
    }

    func disarm() { deadline = nil }
    func cancel() { (handler, deadline) = (nil, nil) }
    func fire() { handler?() }
}

private final class SimulatedWatch: LoopSource {
    let descriptor: Int32
    let priority: DispatchPriority
    let handler: (IOEvents) -> Void
    private(set) var isCancelled = false

    init(_ descriptor: Int32, _ priority: DispatchPriority, _ handler: @escaping (IOEvents) -> Void) {
        (self.descriptor, self.priority, self.handler) = (descriptor, priority, handler)
    }

    func cancel() { isCancelled = true }
}

private final class SimulatedSignalWatch {
    let signal: Signal
    let handler: () -> Void
    init(_ signal: Signal, _ handler: @escaping () -> Void) { (self.signal, self.handler) = (signal, handler) }
}
