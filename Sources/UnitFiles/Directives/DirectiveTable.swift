// The known directives. The enums list those that Holdfast honours, the texts below the others that systemd has.
//
// Source of the texts: `systemd --dump-configuration-items` of systemd 252, and directives added by later manual pages,
// so that a unit written for a newer systemd gets "not supported yet" rather than "unknown".

/// Honoured directives of `[Unit]`.
enum UnitDirective: String, CaseIterable {
    case description = "Description"
    case documentation = "Documentation"
    case after = "After"
    case before = "Before"
    case wants = "Wants"
    case requires = "Requires"
    case startLimitIntervalSec = "StartLimitIntervalSec"
    case startLimitInterval = "StartLimitInterval"
    case startLimitBurst = "StartLimitBurst"
}

/// Honoured directives of `[Service]`.
enum ServiceDirective: String, CaseIterable {
    case type = "Type"
    case execCondition = "ExecCondition"
    case execStartPre = "ExecStartPre"
    case execStart = "ExecStart"
    case execStartPost = "ExecStartPost"
    case execReload = "ExecReload"
    case execStop = "ExecStop"
    case execStopPost = "ExecStopPost"
    case restart = "Restart"
    case restartSec = "RestartSec"
    case timeoutStartSec = "TimeoutStartSec"
    case timeoutStopSec = "TimeoutStopSec"
    case timeoutSec = "TimeoutSec"
    case killSignal = "KillSignal"
    case killMode = "KillMode"
    case sendSIGKILL = "SendSIGKILL"
    case finalKillSignal = "FinalKillSignal"
    case sockets = "Sockets"
    case notifyAccess = "NotifyAccess"
    case successExitStatus = "SuccessExitStatus"
    case restartPreventExitStatus = "RestartPreventExitStatus"
    case restartForceExitStatus = "RestartForceExitStatus"
    // Their old section, kept "for backwards compatibility" (systemd.unit(5) has them in [Unit]).
    case startLimitIntervalSec = "StartLimitIntervalSec"
    case startLimitInterval = "StartLimitInterval"
    case startLimitBurst = "StartLimitBurst"
    case upstreams = "X-Upstreams"
    case handoff = "X-Handoff"
    case template = "X-Template"
    case permissionsStartOnly = "PermissionsStartOnly"
    case rootDirectoryStartOnly = "RootDirectoryStartOnly"
    case nonBlocking = "NonBlocking"
    case openFile = "OpenFile"
    case fileDescriptorStoreMax = "FileDescriptorStoreMax"
    case fileDescriptorStorePreserve = "FileDescriptorStorePreserve"
    case allowUnsupported = "X-AllowUnsupported"
}

/// Honoured directives of `[Service]` on captured output.
enum LogDirective: String, CaseIterable {
    case standardOutput = "StandardOutput"
    case standardError = "StandardError"
    case syslogIdentifier = "SyslogIdentifier"
    case syslogLevel = "SyslogLevel"
    case syslogFacility = "SyslogFacility"
    case syslogLevelPrefix = "SyslogLevelPrefix"
    case logLevelMax = "LogLevelMax"
    case logRateLimitIntervalSec = "LogRateLimitIntervalSec"
    case logRateLimitBurst = "LogRateLimitBurst"
    case logMaxBytes = "X-LogMaxBytes"
    case logKeep = "X-LogKeep"
    case logMaxAgeSec = "X-LogMaxAgeSec"
}

/// Honoured directives of `[Socket]`.
enum SocketDirective: String, CaseIterable {
    case listenStream = "ListenStream"
    case listenDatagram = "ListenDatagram"
    case listenSequentialPacket = "ListenSequentialPacket"
    case listenFIFO = "ListenFIFO"
    case listenSpecial = "ListenSpecial"
    case listenNetlink = "ListenNetlink"
    case listenMessageQueue = "ListenMessageQueue"
    case backlog = "Backlog"
    case fileDescriptorName = "FileDescriptorName"
    case socketMode = "SocketMode"
    case socketUser = "SocketUser"
    case socketGroup = "SocketGroup"
    case removeOnStop = "RemoveOnStop"
    case scope = "X-Scope"
    case pass = "X-Pass"
    // Opening the socket.
    case socketProtocol = "SocketProtocol"
    case bindIPv6Only = "BindIPv6Only"
    case bindToDevice = "BindToDevice"
    case freeBind = "FreeBind"
    case transparent = "Transparent"
    case broadcast = "Broadcast"
    case reusePort = "ReusePort"
    case keepAlive = "KeepAlive"
    case keepAliveTimeSec = "KeepAliveTimeSec"
    case keepAliveIntervalSec = "KeepAliveIntervalSec"
    case keepAliveProbes = "KeepAliveProbes"
    case noDelay = "NoDelay"
    case deferAcceptSec = "DeferAcceptSec"
    case receiveBuffer = "ReceiveBuffer"
    case sendBuffer = "SendBuffer"
    case ipTOS = "IPTOS"
    case ipTTL = "IPTTL"
    case mark = "Mark"
    case priority = "Priority"
    case passCredentials = "PassCredentials"
    case passSecurity = "PassSecurity"
    case passPacketInfo = "PassPacketInfo"
    case timestamping = "Timestamping"
    case tcpCongestion = "TCPCongestion"
    case pipeSize = "PipeSize"
    case messageQueueMaxMessages = "MessageQueueMaxMessages"
    case messageQueueMessageSize = "MessageQueueMessageSize"
    case symlinks = "Symlinks"
    case directoryMode = "DirectoryMode"
    case writable = "Writable"
    // Activation by traffic.
    case service = "Service"
    case accept = "Accept"
    case maxConnections = "MaxConnections"
    case maxConnectionsPerSource = "MaxConnectionsPerSource"
    case flushPending = "FlushPending"
    case triggerLimitIntervalSec = "TriggerLimitIntervalSec"
    case triggerLimitBurst = "TriggerLimitBurst"
    case pollLimitIntervalSec = "PollLimitIntervalSec"
    case pollLimitBurst = "PollLimitBurst"
    case idleStopSec = "X-IdleStopSec"
    // Commands before and after opening and closing.
    case execStartPre = "ExecStartPre"
    case execStartPost = "ExecStartPost"
    case execStopPre = "ExecStopPre"
    case execStopPost = "ExecStopPost"
    case timeoutSec = "TimeoutSec"
}

/// Honoured directives of `[Install]`.
enum InstallDirective: String, CaseIterable {
    case wantedBy = "WantedBy"
    case requiredBy = "RequiredBy"
    case alias = "Alias"
    case also = "Also"
    case defaultInstance = "DefaultInstance"
    case upheldBy = "UpheldBy"
}

/// Directives of `[X-Swap]`.
enum SwapDirective: String, CaseIterable {
    case readyTimeoutSec = "ReadyTimeoutSec"
    case soakSec = "SoakSec"
    case drainTimeoutSec = "DrainTimeoutSec"
    case strategy = "Strategy"
    case readyProbe = "ReadyProbe"
    case readyProbeIntervalSec = "ReadyProbeIntervalSec"
    case readyProbeTimeoutSec = "ReadyProbeTimeoutSec"
    case drainSignal = "DrainSignal"
    case generationNetwork = "X-GenerationNetwork"
}

/// The sections that Holdfast's units may have.
enum UnitSectionName: String, CaseIterable {
    case unit = "Unit"
    case service = "Service"
    case socket = "Socket"
    case install = "Install"
    case swap = "X-Swap"

    /// Whether a unit of the kind may have the section.
    func belongs(to kind: UnitKind) -> Bool {
        switch self {
        case .unit, .install: true
        case .service: kind == .service
        case .socket: kind == .socket
        // A socket is never swapped, but [X-Swap] is accepted in every unit.
        case .swap: true
        }
    }

    /// The honoured directives, by name.
    var honoured: [String] {
        switch self {
        case .unit:
            UnitDirective.allCases.map(\.rawValue) + DependencyDirective.allCases.map(\.rawValue)
                + ConditionSection.directives.keys.sorted()
        case .service:
            ServiceDirective.allCases.map(\.rawValue) + ExecutionDirective.allCases.map(\.rawValue)
                + LogDirective.allCases.map(\.rawValue) + LifecycleDirective.allCases.map(\.rawValue)
                + CredentialDirective.allCases.map(\.rawValue) + TerminalDirective.allCases.map(\.rawValue)
        case .socket: SocketDirective.allCases.map(\.rawValue) + ExecutionDirective.allCases.map(\.rawValue)
        case .install: InstallDirective.allCases.map(\.rawValue)
        case .swap: SwapDirective.allCases.map(\.rawValue)
        }
    }
}

/// Directives that systemd has and Holdfast does not honour yet.
enum DirectiveTable {
    /// Sections of systemd's other kinds of units.
    static let foreignSections: Set<String> = [
        "Mount", "Automount", "Swap", "Timer", "Path", "Slice", "Scope", "Device", "BusName",
    ]

    /// Whether systemd documents the directive in this section.
    static func isSystemd(_ key: String, in section: UnitSectionName) -> Bool {
        switch section {
        case .unit: unit.contains(key)
        case .service: serviceOnly.contains(key) || execution.contains(key)
        case .socket: socketOnly.contains(key) || execution.contains(key)
        case .install: install.contains(key)
        case .swap: false
        }
    }

    /// All names of directives in a section, for suggestions.
    static func names(in section: UnitSectionName) -> [String] {
        switch section {
        case .unit: section.honoured + unit
        case .service: section.honoured + serviceOnly + execution
        case .socket: section.honoured + socketOnly + execution
        case .install: section.honoured + install
        case .swap: section.honoured
        }
    }

    private static func names(_ text: String) -> Set<String> {
        Set(text.utf8.split(whereSeparator: Ascii.isSpace).compactMap { String($0) })
    }

    /// [Unit]: systemd.unit(5).
    static let unit = names(
        """
        AssertFirmware AssertVersion ConditionFirmware ConditionVersion
        FailureActionExitStatus JobRunningTimeoutSec JobTimeoutAction JobTimeoutRebootArgument JobTimeoutSec
        JoinsNamespaceOf RebootArgument SuccessActionExitStatus SurviveFinalKillSignal UpheldBy
        """)

    /// [Service] only: systemd.service(5).
    static let serviceOnly = names(
        """
        BusName ExitType FailureAction FileDescriptorStoreMax FileDescriptorStorePreserve GuessMainPID NonBlocking
        OOMPolicy OpenFile PIDFile PermissionsStartOnly RebootArgument RefreshOnReload ReloadSignal RemainAfterExit
        RestartMaxDelaySec RestartMode RestartSteps RootDirectoryStartOnly RuntimeMaxSec RuntimeRandomizedExtraSec
        StartLimitAction TimeoutAbortSec TimeoutStartFailureMode TimeoutStopFailureMode USBFunctionDescriptors
        USBFunctionStrings WatchdogSec
        """)

    /// [Socket] only: systemd.socket(5).
    static let socketOnly = names(
        """
        AcceptFileDescriptors DeferTrigger DeferTriggerMaxSec ListenUSBFunction PassFileDescriptorsToExec PassPIDFD
        SELinuxContextFromNet SmackLabel SmackLabelIPIn SmackLabelIPOut
        """)

    /// Both [Service] and [Socket]: systemd.exec(5), systemd.kill(5), systemd.resource-control(5).
    static let execution = names(
        """
        AllowedCPUs AllowedMemoryNodes AmbientCapabilities AppArmorProfile BPFProgram BindNetworkInterface BindPaths
        BindReadOnlyPaths BlockIOAccounting BlockIODeviceWeight BlockIOReadBandwidth BlockIOWeight
        BlockIOWriteBandwidth CPUAccounting CPUAffinity CPUQuota CPUQuotaPeriodSec CPUSchedulingPolicy
        CPUSchedulingPriority CPUSchedulingResetOnFork CPUShares CPUWeight CacheDirectory CacheDirectoryMode
        CacheDirectoryQuota CapabilityBoundingSet ConfigurationDirectory ConfigurationDirectoryMode CoredumpFilter
        CoredumpReceive DefaultMemoryLow DefaultMemoryMin Delegate DelegateSubgroup DeviceAllow DevicePolicy
        DisableControllers DynamicUser Environment EnvironmentFile ExecPaths ExecSearchPath ExtensionDirectories
        ExtensionImagePolicy ExtensionImages FinalKillSignal Group IOAccounting IODeviceLatencyTargetSec
        IODeviceWeight IOReadBandwidthMax IOReadIOPSMax IOSchedulingClass IOSchedulingPriority IOWeight
        IOWriteBandwidthMax IOWriteIOPSMax IPAccounting IPAddressAllow IPAddressDeny IPCNamespacePath
        IPEgressFilterPath IPIngressFilterPath IgnoreSIGPIPE ImagePolicy ImportCredential InaccessibleDirectories
        InaccessiblePaths KeyringMode KillMode KillSignal LimitAS LimitCORE LimitCPU LimitDATA LimitFSIZE LimitLOCKS
        LimitMEMLOCK LimitMSGQUEUE LimitNICE LimitNOFILE LimitNPROC LimitRSS LimitRTPRIO LimitRTTIME LimitSIGPENDING
        LimitSTACK LoadCredential LoadCredentialEncrypted LockPersonality LogExtraFields LogFilterPatterns
        LogLevelMax LogNamespace LogRateLimitBurst LogRateLimitIntervalSec LogsDirectory LogsDirectoryMode
        LogsDirectoryQuota ManagedOOMMemoryPressure ManagedOOMMemoryPressureDurationSec
        ManagedOOMMemoryPressureLimit ManagedOOMPreference ManagedOOMSwap MemoryAccounting MemoryDenyWriteExecute
        MemoryHigh MemoryKSM MemoryLimit MemoryLow MemoryMax MemoryMin MemoryPressureThresholdSec
        MemoryPressureWatch MemorySwapMax MemoryZSwapMax MemoryZSwapWriteback MountAPIVFS MountFlags
        MountImagePolicy MountImages NFTSet NUMAMask NUMAPolicy NetworkNamespacePath Nice NoExecPaths
        NoNewPrivileges OOMScoreAdjust PAMName PassEnvironment Personality PrivateBPF PrivateDevices PrivateIPC
        PrivateMounts PrivateNetwork PrivatePIDs PrivateTmp PrivateUsers ProcSubset ProtectClock
        ProtectControlGroups ProtectHome ProtectHostname ProtectKernelLogs ProtectKernelModules
        ProtectKernelTunables ProtectProc ProtectSystem ReadOnlyDirectories ReadOnlyPaths ReadWriteDirectories
        ReadWritePaths RemoveIPC RestartKillSignal RestrictAddressFamilies RestrictFileSystems RestrictNamespaces
        RestrictNetworkInterfaces RestrictRealtime RestrictSUIDSGID RootDirectory RootEphemeral RootHash
        RootHashSignature RootImage RootImageOptions RootImagePolicy RootVerity RuntimeDirectory
        RuntimeDirectoryMode RuntimeDirectoryPreserve SELinuxContext SecureBits SendSIGHUP SendSIGKILL SetCredential
        SetCredentialEncrypted SetLoginEnvironment Slice SmackProcessLabel SocketBindAllow SocketBindDeny
        StandardError StandardInput StandardInputData StandardInputText StandardOutput StartupAllowedCPUs
        StartupAllowedMemoryNodes StartupBlockIOWeight StartupCPUShares StartupCPUWeight StartupIOWeight
        StartupMemoryHigh StartupMemoryLow StartupMemoryMax StartupMemorySwapMax StartupMemoryZSwapMax
        StateDirectory StateDirectoryMode StateDirectoryQuota SupplementaryGroups SyslogFacility SyslogIdentifier
        SyslogLevel SyslogLevelPrefix SystemCallArchitectures SystemCallErrorNumber SystemCallFilter SystemCallLog
        TTYColumns TTYPath TTYReset TTYRows TTYVHangup TTYVTDisallocate TasksAccounting TasksMax TemporaryFileSystem
        TimeoutCleanSec TimerSlackNSec UMask UnsetEnvironment User UserNamespacePath UtmpIdentifier UtmpMode
        WatchdogSignal WorkingDirectory
        """)

    /// [Install]: systemd.unit(5). All of its directives are honoured.
    static let install: Set<String> = []
}
