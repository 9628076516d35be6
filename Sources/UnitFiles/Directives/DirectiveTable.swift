// All directives. Those that Holdfast honours lie in the files that parse them; the others are listed here.
//
// Source of the others: `systemd --dump-configuration-items` of systemd 252, and directives added by later manual pages,
// so that a unit written for a newer systemd gets "not supported yet" rather than "unknown".

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
}

/// The table of all directives.
enum DirectiveTable {
    /// Sections of systemd's other kinds of units.
    static let foreignSections: Set<String> = [
        "Mount", "Automount", "Swap", "Timer", "Path", "Slice", "Scope", "Device", "BusName",
    ]

    static let rows: [Directive] =
        UnitBuilder.unitDirectives + UnitBuilder.dependencyDirectives + UnitBuilder.conditionDirectives
        + UnitBuilder.serviceDirectives + UnitBuilder.executionDirectives + UnitBuilder.limitDirectives
        + UnitBuilder.schedulingDirectives + UnitBuilder.logDirectives + UnitBuilder.lifecycleDirectives
        + UnitBuilder.credentialDirectives + UnitBuilder.terminalDirectives + UnitBuilder.socketDirectives
        + UnitBuilder.socketOptionDirectives + UnitBuilder.activationDirectives + UnitBuilder.installDirectives
        + UnitBuilder.swapDirectives + unsupported + protections

    /// The row of a directive in a section; nil if it is unknown there.
    static func row(_ name: String, in section: UnitSectionName) -> Directive? {
        switch section {
        case .unit: unit[name]
        case .service: service[name]
        case .socket: socket[name]
        case .install: install[name]
        case .swap: swap[name]
        }
    }

    private static let unit = index(.unit)
    private static let service = index(.service)
    private static let socket = index(.socket)
    private static let install = index(.install)
    private static let swap = index(.swap)

    private static func index(_ section: UnitSectionName) -> [String: Directive] {
        Dictionary(
            rows.filter { $0.sections.contains(section) }.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first }
        )
    }

    /// All names of directives in a section, for suggestions.
    static func names(in section: UnitSectionName) -> [String] {
        rows.filter { $0.sections.contains(section) }.map(\.name)
    }

    /// Names of the directives that a unit may use in a section.
    static func acceptedNames(in section: UnitSectionName) -> [String] {
        rows.filter { $0.sections.contains(section) && $0.isAccepted }.map(\.name)
    }

    private static func list(
        _ page: ManualPage, in sections: [UnitSectionName], _ status: Directive.Status, _ names: String
    ) -> [Directive] {
        names.utf8.split(whereSeparator: Ascii.isSpace).compactMap { String($0) }
            .map { Directive($0, page, in: sections, status) }
    }

    private static let unsupported: [Directive] = [
        list(
            .unit, in: .unit, .unsupported,
            """
            AssertFirmware AssertVersion ConditionFirmware ConditionVersion FailureActionExitStatus JobRunningTimeoutSec
            JobTimeoutAction JobTimeoutRebootArgument JobTimeoutSec JoinsNamespaceOf RebootArgument
            SuccessActionExitStatus SurviveFinalKillSignal UpheldBy
            """),
        list(
            .exec, in: .commands, .unsupported,
            """
            CacheDirectoryQuota CoredumpReceive ExtensionImagePolicy ImagePolicy ImportCredential
            LoadCredentialEncrypted LogExtraFields LogFilterPatterns LogNamespace LogsDirectoryQuota MemoryKSM
            MountImagePolicy NUMAMask NUMAPolicy PAMName RootImagePolicy SetCredentialEncrypted StateDirectoryQuota
            TimeoutCleanSec UtmpIdentifier UtmpMode
            """),
        list(
            .resourceControl, in: .commands, .unsupported,
            """
            BlockIOAccounting CPUAccounting IOAccounting IPAccounting MemoryAccounting MemoryPressureThresholdSec
            MemoryPressureWatch MemoryZSwapWriteback TasksAccounting
            """),
        [Directive("RebootArgument", .unit, in: .service, .unsupported)],
        list(
            .service, in: .service, .unsupported,
            """
            RefreshOnReload USBFunctionDescriptors USBFunctionStrings
            """),
        list(
            .exec, in: .socket, .unsupported,
            """
            LoadCredential LogLevelMax LogRateLimitBurst LogRateLimitIntervalSec SetCredential StandardError
            StandardOutput SyslogFacility SyslogIdentifier SyslogLevel SyslogLevelPrefix TTYColumns TTYPath TTYReset
            TTYRows TTYVHangup TTYVTDisallocate
            """),
        list(
            .kill, in: .socket, .unsupported,
            """
            FinalKillSignal KillMode KillSignal RestartKillSignal SendSIGHUP SendSIGKILL WatchdogSignal
            """),
        list(
            .socket, in: .socket, .unsupported,
            """
            AcceptFileDescriptors DeferTrigger DeferTriggerMaxSec ListenUSBFunction PassFileDescriptorsToExec PassPIDFD
            SELinuxContextFromNet SmackLabel SmackLabelIPIn SmackLabelIPOut
            """),
    ].flatMap(\.self)

    /// The directives of systemd.exec(5), "Sandboxing" and related sections, and of systemd.resource-control(5) except
    /// accounting.
    private static let protections: [Directive] = [
        list(
            .exec, in: .commands, .protection(.flag),
            """
            AppArmorProfile BindPaths BindReadOnlyPaths DynamicUser ExecPaths ExtensionDirectories ExtensionImages
            IPCNamespacePath InaccessibleDirectories InaccessiblePaths LockPersonality MemoryDenyWriteExecute
            MountAPIVFS MountImages NetworkNamespacePath NoExecPaths PrivateBPF PrivateDevices PrivateIPC PrivateMounts
            PrivateNetwork PrivatePIDs PrivateTmp PrivateUsers ProtectClock ProtectControlGroups ProtectHome
            ProtectHostname ProtectKernelLogs ProtectKernelModules ProtectKernelTunables ProtectSystem
            ReadOnlyDirectories ReadOnlyPaths ReadWriteDirectories ReadWritePaths RemoveIPC RestrictAddressFamilies
            RestrictFileSystems RestrictNamespaces RestrictRealtime RestrictSUIDSGID RootEphemeral RootHash
            RootHashSignature RootImage RootImageOptions RootVerity SELinuxContext SmackProcessLabel
            SystemCallArchitectures SystemCallErrorNumber SystemCallFilter SystemCallLog TemporaryFileSystem
            UserNamespacePath
            """),
        list(
            .resourceControl, in: .commands, .protection(.flag),
            """
            AllowedCPUs AllowedMemoryNodes BPFProgram BindNetworkInterface BlockIOReadBandwidth BlockIOWriteBandwidth
            CPUQuota CPUQuotaPeriodSec CPUShares Delegate DelegateSubgroup DeviceAllow DisableControllers
            IODeviceLatencyTargetSec IPAddressAllow IPAddressDeny IPEgressFilterPath IPIngressFilterPath
            ManagedOOMMemoryPressureDurationSec ManagedOOMMemoryPressureLimit MemoryLimit NFTSet
            RestrictNetworkInterfaces SocketBindAllow SocketBindDeny StartupAllowedCPUs StartupAllowedMemoryNodes
            StartupCPUShares
            """),
        list(
            .resourceControl, in: .commands, .protection(.quantity),
            """
            BlockIODeviceWeight BlockIOWeight CPUWeight DefaultMemoryLow DefaultMemoryMin IODeviceWeight
            IOReadBandwidthMax IOReadIOPSMax IOWeight IOWriteBandwidthMax IOWriteIOPSMax MemoryHigh MemoryLow MemoryMax
            MemoryMin MemorySwapMax MemoryZSwapMax StartupBlockIOWeight StartupCPUWeight StartupIOWeight
            StartupMemoryHigh StartupMemoryLow StartupMemoryMax StartupMemorySwapMax StartupMemoryZSwapMax TasksMax
            """),
        [Directive("ProtectProc", .exec, in: .commands, .protection(.mode(neutral: "default")))],
        [Directive("ProcSubset", .exec, in: .commands, .protection(.mode(neutral: "all")))],
        [Directive("DevicePolicy", .resourceControl, in: .commands, .protection(.mode(neutral: "auto")))],
        [Directive("MountFlags", .exec, in: .commands, .protection(.mode(neutral: "shared")))],
        [Directive("Slice", .resourceControl, in: .commands, .protection(.mode(neutral: "system.slice")))],
        [Directive("ManagedOOMSwap", .resourceControl, in: .commands, .protection(.mode(neutral: "auto")))],
        [Directive("ManagedOOMMemoryPressure", .resourceControl, in: .commands, .protection(.mode(neutral: "auto")))],
        [Directive("ManagedOOMPreference", .resourceControl, in: .commands, .protection(.mode(neutral: "none")))],
    ].flatMap(\.self)
}
