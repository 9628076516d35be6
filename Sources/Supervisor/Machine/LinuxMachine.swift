import Glibc
import Linux

/// The machine that this process runs on.
final class LinuxMachine: Machine {
    let loop: any Loop

    init(loop: EventLoop) { self.loop = loop }
}

extension EventSource: LoopSource {}
extension TimerSource: LoopTimer {}

extension EventLoop: Loop {
    var wallClock: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec)
    }

    func timer(
        accuracy: UInt64, priority: DispatchPriority, _ handler: @escaping () -> Void
    ) throws(SystemError) -> any LoopTimer {
        try addTimer(accuracy: accuracy, priority: priority, handler)
    }

    func retry(after nanoseconds: Int64, _ handler: @escaping () -> Void) -> (any LoopTimer)? {
        addRetry(after: nanoseconds, handler)
    }

    func watchSignal(_ signal: Signal, _ handler: @escaping () -> Void) throws(SystemError) -> any AnyObject {
        try addSignal(signal, handler)
    }

    func watchDescriptor(
        _ descriptor: Int32, _ events: IOEvents, priority: DispatchPriority, _ handler: @escaping (IOEvents) -> Void
    ) throws(SystemError) -> any LoopSource {
        try addIO(descriptor, events, priority: priority, handler)
    }

    func deferred(
        priority: DispatchPriority, _ handler: @escaping () -> Void
    ) throws(SystemError) -> any LoopSource {
        try addDeferred(priority: priority, handler)
    }
}
