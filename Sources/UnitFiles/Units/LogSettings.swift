/// How the captured output of a service is kept (systemd.exec(5), "Logging and Standard Input/Output"; holdfast.unit(5)).
public struct LogSettings: Sendable, Hashable {
    /// nil: the name of the program.
    public var syslogIdentifier: String?
    /// Levels and facilities by their numbers in syslog(3).
    public var syslogLevel = 6
    public var syslogFacility = 3
    public var syslogLevelPrefix = true
    public var levelMax = 7
    /// nil: not set. Lines are limited as soon as one of the two is.
    public var rateLimitInterval: Duration?
    public var rateLimitBurst: Int?
    /// `X-LogMaxBytes=`; nil: without bound.
    public var maxBytes: UInt64? = 50 << 20
    /// `X-LogKeep=`
    public var keep = 10
    /// `X-LogMaxAgeSec=`; nil: without bound.
    public var maxAge: Duration?

    public init() {}

    /// At most so many lines in so much time; nil: as many as come. One that is not set is as in journald.conf(5).
    public var rateLimit: (interval: Duration, burst: Int)? {
        guard rateLimitInterval != nil || rateLimitBurst != nil else { return nil }
        let interval = rateLimitInterval ?? .seconds(30)
        let burst = rateLimitBurst ?? 10_000
        return interval > .zero && burst > 0 ? (interval, burst) : nil
    }

    static let levels = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"]
    static let facilities = [
        "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", nil, nil,
        nil, nil, "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
    ]
}
