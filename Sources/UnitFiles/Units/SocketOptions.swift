/// Everything of `[Socket]` that says how a socket is opened (systemd.socket(5)). nil: as the kernel has it.
public struct SocketOptions: Sendable, Hashable {
    /// `BindIPv6Only=`
    public enum IPv6Only: String, Sendable, CaseIterable {
        /// What /proc/sys/net/ipv6/bindv6only says.
        case systemDefault = "default"
        case both
        case only = "ipv6-only"
    }
    /// `Timestamping=`
    public enum Timestamping: Sendable, Hashable { case off, microseconds, nanoseconds }
    /// `SocketProtocol=`
    public enum SocketProtocol: String, Sendable, CaseIterable { case udplite, sctp }

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
    /// Bytes.
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
    /// Bytes.
    public var pipeSize: UInt64?
    public var messageQueueMaxMessages: Int?
    public var messageQueueMessageSize: Int?
    public var socketProtocol: SocketProtocol?
    public var symlinks: [String] = []
    public var directoryMode: UInt16 = 0o755
    /// Of `ListenSpecial=`: opened for writing, too.
    public var writable = false

    public init() {}

    /// The names of ip(7) for `IPTOS=`.
    static let typesOfService: [String: Int32] = [
        "low-delay": 0x10, "throughput": 0x08, "reliability": 0x04, "low-cost": 0x02,
    ]
}

/// Everything of `[Socket]` that says what its traffic starts.
public struct SocketActivationSettings: Sendable, Hashable {
    /// At most `burst` times in `interval`; either zero: no limit.
    public struct Limit: Sendable, Hashable {
        public var interval: Duration
        public var burst: UInt32
        public init(interval: Duration, burst: UInt32) {
            self.interval = interval
            self.burst = burst
        }
    }

    /// `Accept=yes`: one service instance for each connection.
    public var accept = false
    /// Instances that run at once (`Accept=yes`).
    public var maxConnections: UInt32 = 64
    /// Zero: no limit.
    public var maxConnectionsPerSource: UInt32 = 0
    public var flushPending = false
    var triggerInterval: TimeLimit?
    var triggerBurst: UInt32?
    var pollInterval: TimeLimit?
    var pollBurst: UInt32?
    /// `X-IdleStopSec=`: the service is stopped after having had no connection for so long.
    public var idleStop: Duration?

    public var execStartPre: [ExecCommand] = []
    public var execStartPost: [ExecCommand] = []
    public var execStopPre: [ExecCommand] = []
    public var execStopPost: [ExecCommand] = []
    /// For each of these commands. 90 s as in systemd-system.conf(5).
    public var timeout = TimeLimit.after(.seconds(90))

    public init() {}

    /// `TriggerLimitIntervalSec=`, `TriggerLimitBurst=`: what exceeds it makes the socket fail. 2 s; 200 with `Accept=yes`, else 20.
    public var triggerLimit: Limit {
        Limit(interval: Self.interval(triggerInterval), burst: triggerBurst ?? (accept ? 200 : 20))
    }

    /// `PollLimitIntervalSec=`, `PollLimitBurst=`: what exceeds it makes the socket wait. 2 s; 150 with `Accept=yes`, else 15
    /// (as of systemd 255; 252 knows no such limit).
    public var pollLimit: Limit {
        Limit(interval: Self.interval(pollInterval), burst: pollBurst ?? (accept ? 150 : 15))
    }

    private static func interval(_ limit: TimeLimit?) -> Duration {
        switch limit {
        case .after(let duration): duration
        // A burst in all eternity: as good as none, and nothing that a timer could wait for.
        case .infinite: .zero
        case nil: .seconds(2)
        }
    }
}
