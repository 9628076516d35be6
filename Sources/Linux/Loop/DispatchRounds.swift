import CSystemd
import Glibc
import SystemPackage

/// Fairness among the sources of one loop.
///
/// sd-event dispatches one source at a time, the most urgent of those that are ready. A class that is always ready
/// (services that end and start again without a pause) would keep all classes below it waiting for ever. So dispatching
/// is divided into rounds. In a round every source that existed when the round began runs once, the most urgent first:
/// sources that became ready at the same moment keep their order. A source that is ready again, or was made in this
/// round, runs within a quota of its class. Beyond the quota it is parked until all others have had their turn, which
/// ends the round. A loop with nothing to do begins a round, too.
final class DispatchRounds {
    /// The quota of a class: runs in a round beyond the first turn of each source, and their time in nanoseconds.
    static let repeats = 64
    static let repeatTime: Int64 = 5_000_000

    /// The priority of the end of a round: after every source that is not parked, and before parked ones.
    private static let endPriority: Int64 = 1000
    static let parkedPriority: Int64 = 2000

    private(set) var number: UInt64 = 1
    private var uses: [DispatchPriority: Use] = [:]
    private var parked: [Parked] = []
    private var end: OpaquePointer?

    private struct Use {
        var count = 0
        var nanoseconds: Int64 = 0
        var isExhausted: Bool { count >= DispatchRounds.repeats || nanoseconds >= DispatchRounds.repeatTime }
    }

    private struct Parked { weak var source: EventSource? }

    init(_ event: OpaquePointer) throws(SystemError) {
        let result = sd_event_add_defer(
            event, &end,
            { _, userData in
                guard let userData else { return 0 }
                Unmanaged<DispatchRounds>.fromOpaque(userData).takeUnretainedValue().beginRound()
                return 0
            }, Unmanaged.passUnretained(self).toOpaque())
        try check(result, "add deferred work")
        sd_event_source_set_enabled(end, Int32(SD_EVENT_OFF))
        try check(sd_event_source_set_priority(end, Self.endPriority), "event priority", "rounds")
    }

    deinit {
        sd_event_source_set_enabled(end, Int32(SD_EVENT_OFF))
        sd_event_source_unref(end)
    }

    /// Begins a round: makes the parked sources ready again.
    func beginRound() {
        number += 1
        if !uses.isEmpty { uses.removeAll(keepingCapacity: true) }
        guard !parked.isEmpty else { return }
        let waiting = parked
        parked = []
        for entry in waiting { entry.source?.unpark() }
    }

    /// Runs `body` for a ready source, or parks the source.
    func dispatch(_ source: EventSource, _ body: () -> Void) {
        guard source.lastRound == number else {
            source.lastRound = number
            return body()
        }
        let priority = source.priority
        guard uses[priority]?.isExhausted != true else { return park(source) }
        let start = EventLoop.now
        body()
        uses[priority, default: Use()].count += 1
        uses[priority, default: Use()].nanoseconds += EventLoop.now - start
    }

    private func park(_ source: EventSource) {
        guard source.park() else { return }
        parked.append(Parked(source: source))
        sd_event_source_set_enabled(end, Int32(SD_EVENT_ONESHOT))
    }
}
