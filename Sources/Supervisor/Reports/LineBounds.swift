/// Bounds on log lines that others can cause: strangers who ask for what they may not, peers of sockets, services that end and
/// start, or say nonsense, as fast as they can. A log that is full of them hides everything else, and fills the disk.
///
/// A value: what was left out is counted, and told when the minute is over.
struct LineBounds {
    /// What a line is about.
    struct Subject: Hashable, Comparable {
        enum Kind: Int, Comparable {
            /// A user who may not ask: a few lines say it all.
            case stranger
            /// A unit. A swap is about ten lines.
            case unit

            static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
        }

        var kind: Kind
        var name: String

        static func < (left: Self, right: Self) -> Bool { (left.kind, left.name) < (right.kind, right.name) }
    }

    struct LeftOut: Equatable {
        var subject: String
        var count: Int
    }

    static let interval: Int64 = 60_000_000_000
    static func burst(_ kind: Subject.Kind) -> Int {
        switch kind {
        case .stranger: 5
        case .unit: 100
        }
    }

    /// Lines about all strangers together: with user namespaces one person has thousands of uids.
    static let strangersBurst = 50
    /// Lines about all subjects together.
    static let totalBurst = 2000
    /// More subjects than this are counted together: names may be made up, such as those of connections.
    static let subjectLimit = 1000

    private struct Window {
        var said = 0
        var leftOut = 0
    }

    private var windows: [Subject: Window] = [:]
    private var said = 0
    private var saidOfStrangers = 0
    private var leftOut = 0
    /// When the minute is over; nil: none runs.
    private(set) var end: Int64?

    /// Whether a line about the subject may be said.
    mutating func admits(_ subject: Subject, at now: Int64) -> Bool {
        if end == nil { end = now.addingReportingOverflow(Self.interval).partialValue }
        guard windows[subject] != nil || windows.count < Self.subjectLimit, said < Self.totalBurst,
            subject.kind != .stranger || saidOfStrangers < Self.strangersBurst || windows[subject] != nil
        else {
            leftOut += 1
            return false
        }
        guard windows[subject, default: Window()].said < Self.burst(subject.kind) else {
            windows[subject]?.leftOut += 1
            return false
        }
        windows[subject, default: Window()].said += 1
        said += 1
        if subject.kind == .stranger { saidOfStrangers += 1 }
        return true
    }

    /// Something was left out, which `takeLeftOut` tells when the minute is over.
    var hasLeftOut: Bool { leftOut > 0 || windows.values.contains { $0.leftOut > 0 } }

    /// Whether the minute is over; then the next line begins another.
    func isOver(at now: Int64) -> Bool { end.map { now >= $0 } ?? false }

    /// Ends the minute.
    mutating func takeLeftOut() -> [LeftOut] {
        var list = windows.filter { $0.value.leftOut > 0 }.sorted { $0.key < $1.key }
            .map { LeftOut(subject: $0.key.name, count: $0.value.leftOut) }
        if leftOut > 0 { list.append(LeftOut(subject: "others", count: leftOut)) }
        self = LineBounds()
        return list
    }
}
