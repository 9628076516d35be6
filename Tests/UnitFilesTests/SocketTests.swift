import Testing
import UnitFiles

/// A socket whose `[Socket]` has these lines.
private func socket(_ lines: String) throws -> LoadedUnit { try load("a.socket", "[Socket]\n" + lines) }

private func usable(_ lines: String) throws -> SocketUnit {
    let loaded = try socket(lines)
    #expect(loaded.diagnostics == [])
    return try #require(loaded.socket)
}

@Suite struct SocketTests {
    @Test("all kinds are listened on in the order in which they are written; an empty one of any kind resets all")
    func kinds() throws {
        let unit = try usable(
            """
            ListenStream=1
            ListenDatagram=
            ListenStream=vsock::7
            ListenFIFO=/run/fifo
            ListenDatagram=[fe80::1]:53%%eth0
            ListenSequentialPacket=@seq
            ListenSpecial=/dev/x
            ListenNetlink=kobject-uevent 1
            ListenNetlink=route
            ListenMessageQueue=/queue
            ListenStream=/run/s
            """)
        let netlink = unit.listen.compactMap { entry -> String? in
            if case .netlink(let target) = entry.target { "\(target.number) \(target.groups)" } else { nil }
        }
        #expect(netlink == ["15 1", "0 0"])
        #expect(
            unit.listen.map(\.target.description) == [
                "vsock::7", "/run/fifo", "[fe80::1]:53%eth0", "@seq", "/dev/x", "kobject-uevent 1", "route", "/queue",
                "/run/s",
            ])
        #expect(
            unit.listen.map(\.target.isConnected) == [true, false, false, true, false, false, false, false, true])
    }

    @Test("every option is read")
    func options() throws {
        let unit = try usable(
            """
            ListenStream=/run/s
            SocketProtocol=udplite
            BindIPv6Only=ipv6-only
            BindToDevice=eth0
            FreeBind=yes
            Transparent=yes
            Broadcast=yes
            ReusePort=yes
            KeepAlive=yes
            KeepAliveTimeSec=1h
            KeepAliveIntervalSec=7
            KeepAliveProbes=3
            NoDelay=yes
            DeferAcceptSec=5
            ReceiveBuffer=8M
            SendBuffer=64K
            IPTOS=low-delay
            IPTTL=9
            Mark=4660
            Priority=5
            PassCredentials=yes
            PassSecurity=yes
            PassPacketInfo=yes
            Timestamping=usec
            TCPCongestion=reno
            PipeSize=128K
            MessageQueueMaxMessages=3
            MessageQueueMessageSize=100
            Symlinks=/run/a "/run/b c"
            DirectoryMode=0750
            Writable=yes
            """)
        var expected = SocketSettings()
        expected.socketProtocol = .udplite
        expected.ipv6Only = .only
        expected.bindToDevice = "eth0"
        (expected.freeBind, expected.transparent, expected.broadcast, expected.reusePort) = (true, true, true, true)
        (expected.keepAlive, expected.noDelay, expected.writable) = (true, true, true)
        (expected.keepAliveTime, expected.keepAliveInterval) = (.seconds(3600), .seconds(7))
        (expected.keepAliveProbes, expected.deferAccept) = (3, .seconds(5))
        (expected.receiveBuffer, expected.sendBuffer, expected.pipeSize) = (8 << 20, 64 << 10, 128 << 10)
        (expected.typeOfService, expected.timeToLive, expected.mark, expected.priority) = (0x10, 9, 4660, 5)
        (expected.passCredentials, expected.passSecurity, expected.passPacketInfo) = (true, true, true)
        (expected.timestamping, expected.tcpCongestion) = (.microseconds, "reno")
        (expected.messageQueueMaxMessages, expected.messageQueueMessageSize) = (3, 100)
        (expected.symlinks, expected.directoryMode) = (["/run/a", "/run/b c"], 0o750)
        #expect(unit.options == expected)
    }

    @Test("activation: limits by kind of socket, and an instance per connection")
    func activation() throws {
        let plain = try usable("ListenStream=80").activation
        #expect(plain.triggerLimit == .init(interval: .seconds(2), burst: 20))
        #expect(plain.pollLimit == .init(interval: .seconds(2), burst: 15))
        #expect(
            plain.maxConnections == 64 && plain.maxConnectionsPerSource == 0 && plain.timeout == .after(.seconds(90)))
        let unit = try usable(
            """
            ListenStream=80
            Accept=yes
            MaxConnections=7
            MaxConnectionsPerSource=2
            PollLimitBurst=9
            TriggerLimitIntervalSec=500ms
            X-IdleStopSec=5min
            FlushPending=yes
            ExecStartPre=-/bin/a ; /bin/b
            ExecStartPost=/bin/c
            ExecStopPre=/bin/d
            ExecStopPost=/bin/e
            ExecStopPost=
            TimeoutSec=0
            """)
        #expect(unit.acceptsItself && unit.serviceName?.description == "a@.service")
        #expect(unit.activation.triggerLimit == .init(interval: .milliseconds(500), burst: 200))
        #expect(unit.activation.pollLimit == .init(interval: .seconds(2), burst: 9))
        #expect(unit.activation.maxConnections == 7 && unit.activation.maxConnectionsPerSource == 2)
        #expect(unit.activation.idleStop == .seconds(300) && unit.activation.flushPending)
        #expect(unit.activation.execStartPre.map(\.path) == ["/bin/a", "/bin/b"])
        #expect(unit.activation.execStopPre.count == 1 && unit.activation.execStopPost.isEmpty)
        #expect(unit.activation.timeout == .infinite)
        // "This value is ignored for datagram sockets and FIFOs."
        let datagram = try usable("ListenDatagram=53\nAccept=yes")
        #expect(!datagram.acceptsItself && datagram.serviceName?.description == "a.service")
    }

    @Test(
        "what contradicts itself is refused, and says why",
        arguments: [
            ("ListenStream=80\nSymlinks=/run/a", "Symlinks= needs exactly one Unix socket or FIFO with a path"),
            ("ListenFIFO=/a\nListenFIFO=/b\nSymlinks=/c", "Symlinks= needs exactly one"),
            ("ListenMessageQueue=/q\nMessageQueueMaxMessages=3", "must both be set"),
            ("ListenStream=80\nListenDatagram=80\nAccept=yes", "stream and datagram addresses in one unit"),
            ("ListenStream=80\nAccept=yes\nService=b.service", "each connection gets an instance of a@.service"),
            ("ListenDatagram=80\nX-IdleStopSec=1", "X-IdleStopSec= requires a ListenStream="),
            ("ListenSequentialPacket=80", "only Unix sockets support sequential packets"),
            ("ListenNetlink=rout", "\"rout\" is not a netlink family"),
            ("ListenMessageQueue=q", "the name of a message queue"),
            ("ListenMessageQueue=/a/b", "the name of a message queue"), ("ListenFIFO=fifo", "an absolute path"),
        ])
    func contradictions(_ lines: String, _ message: String) throws {
        let loaded = try socket(lines)
        #expect(loaded.unit == nil)
        #expect(loaded.diagnostics.count == 1 && loaded.diagnostics.first?.message.contains(message) == true)
    }

    @Test("a socket with Accept=yes is not passed to a service of its name")
    func notPassed() throws {
        let files = [
            "a.socket": "[Socket]\nListenStream=80\nAccept=yes", "a.service": "[Service]\nExecStart=/bin/a",
        ]
        let definition = SwapUnitResolver(loader: loader(files)).resolve(try name("a.service")).definition
        #expect(definition?.sockets.isEmpty == true)
    }
}
