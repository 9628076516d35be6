import Glibc
import Linux

/// Supervisor processes in a row that died by their own fault while they went on from the journal.
///
/// What a journal says may bring down its reader: a fault in reading, in taking over, in what follows first. A supervisor
/// that systemd starts again and again would then die for ever, and with it every way to help. So such a death leaves a
/// note, and after `limit` of them the journal is put aside.
///
/// Only the process's own fault counts (`FaultWatch`). SIGKILL at whatever moment, and however often, says nothing about the
/// journal: the kernel sends it for want of memory, operators send it, and systemd does after a time-out.
struct JournalFaults {
    static let limit = 3

    /// What the process was doing.
    enum Stage: Int32, CaseIterable {
        case reading = 1
        case takingOver, goingOn

        var text: String {
            switch self {
            case .reading: "while it read the journal"
            case .takingOver: "while it took over what the journal names"
            case .goingOn: "while it went on from there"
            }
        }
    }

    /// CPU seconds: thousands of services are taken over in less than one.
    private static let longest: UInt32 = 60

    private let path: String

    init(journal: String) { path = journal + ".fault-" }

    /// Watches this process from now on.
    /// - Returns: the earlier faults, the oldest first.
    func begin() -> [FaultWatch.Note] {
        let earlier = (1...Self.limit).prefix { access($0) }.compactMap { FaultWatch.read(path + "\($0)") }
        // Without a watch nothing is counted.
        try? FaultWatch.begin(note: path + "\(min(earlier.count + 1, Self.limit))", cpuTime: Self.longest)
        enter(.reading)
        return earlier
    }

    private func access(_ number: Int) -> Bool { FaultWatch.read(path + "\(number)") != nil }

    func enter(_ stage: Stage) { FaultWatch.enter(stage: stage.rawValue) }

    /// This process has come through.
    func succeed() {
        FaultWatch.end()
        for number in 1...Self.limit { unlink(path + "\(number)") }
    }

    /// `SIGSEGV while it read the journal`
    static func text(_ note: FaultWatch.Note) -> String {
        let stage = Stage(rawValue: note.stage)?.text ?? "in stage \(note.stage)"
        return "\(note.signal.name) \(stage)"
    }
}
