/// Bounds on log lines that others can cause: unprivileged users whose requests are denied, peers of sockets, services
/// that restart or send invalid notifications in a tight loop. A log full of such lines hides all others and fills the
/// disk.
///
/// A value: suppressed lines are counted, and the counts are logged once the minute is over.
struct LineBounds {
    /// Subject of a line.
    struct Subject: Hashable, Comparable {
        enum Kind: Int, Comparable {
            /// A user whose requests are denied: a few lines suffice.
            case deniedUser
            /// A unit. A swap takes about ten lines.
            case unit

            static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
        }

        var kind: Kind
        var name: String

        static func < (left: Self, right: Self) -> Bool { (left.kind, left.name) < (right.kind, right.name) }
    }

    struct Suppressed: Equatable {
        var subject: String
        var count: Int
    }

    static let interval: Int64 = 60_000_000_000
    static func burst(_ kind: Subject.Kind) -> Int {
        switch kind {
        case .deniedUser: 5
        case .unit: 100
        }
    }

    /// Lines about all denied users together: with user namespaces one person has thousands of uids.
    static let deniedUsersBurst = 50
    /// Lines about all subjects together.
    static let totalBurst = 2000
    /// Subjects that are counted separately; further ones are counted together, because names may be invented, such as
    /// those of connections.
    static let subjectLimit = 1000

    private struct Window {
        var logged = 0
        var suppressed = 0
    }

    private var windows: [Subject: Window] = [:]
    private var logged = 0
    private var linesAboutDenied = 0
    private var suppressed = 0
    /// End of the present minute; nil if none has begun.
    private(set) var end: Int64?

    /// Whether a line about the subject may be logged.
    mutating func admits(_ subject: Subject, at now: Int64) -> Bool {
        if end == nil { end = now.addingReportingOverflow(Self.interval).partialValue }
        guard windows[subject] != nil || windows.count < Self.subjectLimit, logged < Self.totalBurst,
            subject.kind != .deniedUser || linesAboutDenied < Self.deniedUsersBurst || windows[subject] != nil
        else {
            suppressed += 1
            return false
        }
        guard windows[subject, default: Window()].logged < Self.burst(subject.kind) else {
            windows[subject]?.suppressed += 1
            return false
        }
        windows[subject, default: Window()].logged += 1
        logged += 1
        if subject.kind == .deniedUser { linesAboutDenied += 1 }
        return true
    }

    /// Whether lines were suppressed; `takeSuppressed` returns them once the minute is over.
    var hasSuppressed: Bool { suppressed > 0 || windows.values.contains { $0.suppressed > 0 } }

    /// Whether the minute is over; the next line then begins another.
    func isOver(at now: Int64) -> Bool { end.map { now >= $0 } ?? false }

    /// Ends the minute and returns the counts of suppressed lines.
    mutating func takeSuppressed() -> [Suppressed] {
        var list = windows.filter { $0.value.suppressed > 0 }.sorted { $0.key < $1.key }
            .map { Suppressed(subject: $0.key.name, count: $0.value.suppressed) }
        if suppressed > 0 { list.append(Suppressed(subject: "others", count: suppressed)) }
        self = LineBounds()
        return list
    }
}
