import Vocabulary

/// The settings of `[Socket]` on how a socket is opened (systemd.socket(5)). nil stands for the kernel's default.
public struct SocketSettings: Sendable, Hashable {
    /// `BindIPv6Only=`
    public enum IPv6Only: String, Keyword {
        /// The value of /proc/sys/net/ipv6/bindv6only.
        case systemDefault = "default"
        case both
        case only = "ipv6-only"
    }
    /// `Timestamping=`
    public enum Timestamping: Sendable, Hashable { case off, microseconds, nanoseconds }
    /// `SocketProtocol=`
    public enum SocketProtocol: String, Keyword { case udplite, sctp }

    public var ipv6Only = IPv6Only.systemDefault
    public var bindToDevice: String?
    public var freeBind = false
    public var transparent = false
    public var broadcast = false
    public var reusePort = false
    public var keepAlive = false
    public var keepAliveTime: Duration?
    public var keepAliveInterval: Duration?
    public var keepAliveProbes: UInt32?
    public var noDelay = false
    public var deferAccept: Duration?
    /// Buffer sizes in bytes.
    public var receiveBuffer: UInt64?
    public var sendBuffer: UInt64?
    public var typeOfService: Int32?
    public var timeToLive: Int32?
    public var mark: UInt32?
    public var priority: Int32?
    public var passCredentials = false
    public var passSecurity = false
    public var passPacketInfo = false
    public var timestamping = Timestamping.off
    public var tcpCongestion: String?
    /// Size in bytes.
    public var pipeSize: UInt64?
    public var messageQueueMaxMessages: Int?
    public var messageQueueMessageSize: Int?
    public var socketProtocol: SocketProtocol?
    public var symlinks: [String] = []
    public var directoryMode: UInt16 = 0o755
    /// `Writable=`: `ListenSpecial=` is opened for writing, too.
    public var writable = false

    public init() {}

    /// Names of ip(7) for `IPTOS=`.
    static let typesOfService: [String: Int32] = [
        "low-delay": 0x10, "throughput": 0x08, "reliability": 0x04, "low-cost": 0x02,
    ]
}

/// The settings of `[Socket]` on activation by traffic.
public struct SocketActivationSettings: Sendable, Hashable {
    /// `Accept=yes`: one service instance for each connection.
    public var accept = false
    /// Most instances that run at the same time (`Accept=yes`).
    public var maxConnections: UInt32 = 64
    /// Most instances per source address; zero: no limit.
    public var maxConnectionsPerSource: UInt32 = 0
    public var flushPending = false
    var triggerInterval: TimeLimit?
    var triggerBurst: UInt32?
    var pollInterval: TimeLimit?
    var pollBurst: UInt32?
    /// `X-IdleStopSec=`: the service is stopped after this time without a connection.
    public var idleStop: Duration?

    public var execStartPre: [ExecCommand] = []
    public var execStartPost: [ExecCommand] = []
    public var execStopPre: [ExecCommand] = []
    public var execStopPost: [ExecCommand] = []
    /// Time limit of each of these commands. 90 s as in systemd-system.conf(5).
    public var timeout = TimeLimit.after(.seconds(90))

    public init() {}

    /// `TriggerLimitIntervalSec=`, `TriggerLimitBurst=`: the socket fails if the limit is exceeded. Defaults: 2 s; 200
    /// with `Accept=yes`, else 20.
    public var triggerLimit: RateLimit {
        RateLimit(
            interval: Self.interval(triggerInterval), burst: triggerBurst.map(Int.init) ?? (accept ? 200 : 20))
    }

    /// `PollLimitIntervalSec=`, `PollLimitBurst=`: the socket pauses if the limit is exceeded. Defaults: 2 s; 150 with
    /// `Accept=yes`, else 15 (as in systemd 255; 252 has no such limit).
    public var pollLimit: RateLimit {
        RateLimit(interval: Self.interval(pollInterval), burst: pollBurst.map(Int.init) ?? (accept ? 150 : 15))
    }

    private static func interval(_ limit: TimeLimit?) -> Duration {
        switch limit {
        case .after(let duration): duration
        // A limit over infinite time hardly limits anything, and no timer could wait for its end.
        case .infinite: .zero
        case nil: .seconds(2)
        }
    }
}
