import Linux

/// Supervisor processes in a row that crashed while they continued from the journal.
///
/// A journal may crash its reader: in reading it, in taking over, or in the first events that follow. A supervisor that
/// systemd restarts would then crash forever, and no command could help. So such a crash leaves a note, and after
/// `limit` notes the journal is put aside.
///
/// Only the process's own faults count (`FaultWatch`). SIGKILL, at whatever moment and however often, is no evidence
/// against the journal: the kernel sends it when memory is short, operators send it, and systemd sends it after a
/// timeout.
struct JournalFaults {
    static let limit = 3

    /// Activity of the process when it crashed.
    enum Stage: Int32, CaseIterable {
        case reading = 1
        case takingOver, resuming

        var text: String {
            switch self {
            case .reading: "while it read the journal"
            case .takingOver: "while it took over what the journal names"
            case .resuming: "while it resumed from the journal"
            }
        }
    }

    /// CPU seconds: thousands of services are taken over in less than one second.
    private static let longest: UInt32 = 60

    private let path: String
    private let records: any RecordsPort

    init(journal: String, records: any RecordsPort) {
        path = journal + ".fault-"
        self.records = records
    }

    /// Watches this process for faults from now on.
    /// - Returns: the notes of earlier faults, the oldest first.
    func startWatch() -> [FaultWatch.Note] {
        let earlier = (1...Self.limit).map { records.faultNote(path + "\($0)") }.prefix { $0 != nil }.compactMap(\.self)
        // Without a watch no fault is counted.
        try? records.watchFaults(note: path + "\(min(earlier.count + 1, Self.limit))", cpuTime: Self.longest)
        enter(.reading)
        return earlier
    }

    func enter(_ stage: Stage) { records.enterStage(stage.rawValue) }

    /// Ends the watch and removes all notes: this process has continued from the journal without a fault.
    func succeed() {
        records.endFaultWatch()
        for number in 1...Self.limit { records.removeFaultNote(path + "\(number)") }
    }

    /// `SIGSEGV while it read the journal`
    static func text(_ note: FaultWatch.Note) -> String {
        let stage = Stage(rawValue: note.stage)?.text ?? "in stage \(note.stage)"
        return "\(note.signal) \(stage)"
    }
}
