// Parameters and replies of `Logs`.

/// The parameters of `Logs`: the selection of captured lines.
public struct LogQuery: Codable, Equatable, Sendable {
    /// Units, groups, `GROUP:*` and patterns; all services if nil or empty.
    public var names: [String]?
    /// Continues with new lines as they arrive.
    public var follow: Bool?
    /// The number of newest lines to return; all if nil.
    public var lines: Int?
    /// RFC 3339, whole seconds.
    public var since: String?
    public var until: String?
    public var generation: Int?
    /// `out` or `err`.
    public var stream: String?
    /// An extended regular expression that the text must match.
    public var grep: String?
    public var ignoreCase: Bool?

    public init(
        names: [String]? = nil, follow: Bool? = nil, lines: Int? = nil, since: String? = nil, until: String? = nil,
        generation: Int? = nil, stream: String? = nil, grep: String? = nil, ignoreCase: Bool? = nil
    ) {
        self.names = names
        self.follow = follow
        self.lines = lines
        self.since = since
        self.until = until
        self.generation = generation
        self.stream = stream
        self.grep = grep
        self.ignoreCase = ignoreCase
    }

    /// The most lines of one query: the program that searches keeps them in memory.
    public static let mostLines = 100_000

    /// The name of the first parameter that has an invalid value; nil if all are valid.
    var wrongParameter: String? {
        if let lines, !(0...Self.mostLines).contains(lines) { return "lines" }
        if let since, Timestamp.unixSeconds(since) == nil { return "since" }
        if let until, Timestamp.unixSeconds(until) == nil { return "until" }
        if let stream, !["out", "err"].contains(stream) { return "stream" }
        // A NUL would end the argument of the program that searches.
        if grep?.utf8.contains(0) == true { return "grep" }
        if names?.contains(where: { $0.utf8.contains(0) }) == true { return "names" }
        return nil
    }
}

/// One line that a service printed.
public struct LoggedLine: Codable, Equatable, Sendable {
    /// RFC 3339 in UTC with microseconds.
    public var time: String
    public var unit: String
    /// Nil in a log without generations: holdfastd's own.
    public var generation: Int?
    /// `out` or `err`; `log` for Holdfast's own remarks about the log; in holdfastd's own log the level.
    public var stream: String
    public var text: String

    public init(time: String, unit: String, generation: Int? = nil, stream: String, text: String) {
        self.time = time
        self.unit = unit
        self.generation = generation
        self.stream = stream
        self.text = text
    }
}

/// A reply of `Logs`.
public struct LogsReply: Codable, Equatable, Sendable {
    /// The lines; empty in the last reply of a call.
    public var lines: [LoggedLine]

    public init(lines: [LoggedLine]) {
        self.lines = lines
    }
}
