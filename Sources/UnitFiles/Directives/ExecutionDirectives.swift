/// Honoured directives of systemd.exec(5), common to services and the commands of sockets.
enum ExecutionDirective: String, CaseIterable {
    case user = "User"
    case group = "Group"
    case supplementaryGroups = "SupplementaryGroups"
    case setLoginEnvironment = "SetLoginEnvironment"
    case capabilityBoundingSet = "CapabilityBoundingSet"
    case ambientCapabilities = "AmbientCapabilities"
    case secureBits = "SecureBits"
    case noNewPrivileges = "NoNewPrivileges"
    case keyringMode = "KeyringMode"
    case workingDirectory = "WorkingDirectory"
    case rootDirectory = "RootDirectory"
    case execSearchPath = "ExecSearchPath"
    case runtimeDirectory = "RuntimeDirectory"
    case runtimeDirectoryMode = "RuntimeDirectoryMode"
    case runtimeDirectoryPreserve = "RuntimeDirectoryPreserve"
    case stateDirectory = "StateDirectory"
    case stateDirectoryMode = "StateDirectoryMode"
    case cacheDirectory = "CacheDirectory"
    case cacheDirectoryMode = "CacheDirectoryMode"
    case logsDirectory = "LogsDirectory"
    case logsDirectoryMode = "LogsDirectoryMode"
    case configurationDirectory = "ConfigurationDirectory"
    case configurationDirectoryMode = "ConfigurationDirectoryMode"
    case environment = "Environment"
    case environmentFile = "EnvironmentFile"
    case passEnvironment = "PassEnvironment"
    case unsetEnvironment = "UnsetEnvironment"
    case standardInput = "StandardInput"
    case standardInputText = "StandardInputText"
    case standardInputData = "StandardInputData"
    case umask = "UMask"
    case limitCPU = "LimitCPU"
    case limitFSIZE = "LimitFSIZE"
    case limitDATA = "LimitDATA"
    case limitSTACK = "LimitSTACK"
    case limitCORE = "LimitCORE"
    case limitRSS = "LimitRSS"
    case limitNOFILE = "LimitNOFILE"
    case limitAS = "LimitAS"
    case limitNPROC = "LimitNPROC"
    case limitMEMLOCK = "LimitMEMLOCK"
    case limitLOCKS = "LimitLOCKS"
    case limitSIGPENDING = "LimitSIGPENDING"
    case limitMSGQUEUE = "LimitMSGQUEUE"
    case limitNICE = "LimitNICE"
    case limitRTPRIO = "LimitRTPRIO"
    case limitRTTIME = "LimitRTTIME"
    case ignoreSIGPIPE = "IgnoreSIGPIPE"
    case oomScoreAdjust = "OOMScoreAdjust"
    case coredumpFilter = "CoredumpFilter"
    case nice = "Nice"
    case cpuSchedulingPolicy = "CPUSchedulingPolicy"
    case cpuSchedulingPriority = "CPUSchedulingPriority"
    case cpuSchedulingResetOnFork = "CPUSchedulingResetOnFork"
    case cpuAffinity = "CPUAffinity"
    case ioSchedulingClass = "IOSchedulingClass"
    case ioSchedulingPriority = "IOSchedulingPriority"
    case timerSlackNSec = "TimerSlackNSec"
    case personality = "Personality"
}

/// Directives that protect the host or other services from a service, and that Holdfast does not implement yet.
///
/// Silently leaving out protection is worse than not starting: a service that asks for one starts only with
/// `X-AllowUnsupported=yes`.
enum Protection {
    /// The directives of systemd.exec(5), "Sandboxing" and related sections, and of systemd.resource-control(5) except
    /// accounting.
    static let names = Set(
        """
        AppArmorProfile BindPaths BindReadOnlyPaths DynamicUser ExecPaths ExtensionDirectories ExtensionImages
        IPCNamespacePath InaccessibleDirectories InaccessiblePaths LockPersonality MemoryDenyWriteExecute MountAPIVFS
        MountFlags MountImages NetworkNamespacePath NoExecPaths PrivateBPF PrivateDevices PrivateIPC PrivateMounts
        PrivateNetwork PrivatePIDs PrivateTmp PrivateUsers ProcSubset ProtectClock ProtectControlGroups ProtectHome
        ProtectHostname ProtectKernelLogs ProtectKernelModules ProtectKernelTunables ProtectProc ProtectSystem
        ReadOnlyDirectories ReadOnlyPaths ReadWriteDirectories ReadWritePaths RemoveIPC RestrictAddressFamilies
        RestrictFileSystems RestrictNamespaces RestrictNetworkInterfaces RestrictRealtime RestrictSUIDSGID
        RootEphemeral RootHash RootHashSignature RootImage RootImageOptions RootVerity SELinuxContext
        SmackProcessLabel SystemCallArchitectures SystemCallErrorNumber SystemCallFilter SystemCallLog
        TemporaryFileSystem UserNamespacePath
        AllowedCPUs AllowedMemoryNodes BPFProgram BindNetworkInterface BlockIODeviceWeight BlockIOReadBandwidth
        BlockIOWeight BlockIOWriteBandwidth CPUQuota CPUQuotaPeriodSec CPUShares CPUWeight DefaultMemoryLow
        DefaultMemoryMin Delegate DelegateSubgroup DeviceAllow DevicePolicy DisableControllers
        IODeviceLatencyTargetSec IODeviceWeight IOReadBandwidthMax IOReadIOPSMax IOWeight IOWriteBandwidthMax
        IOWriteIOPSMax IPAddressAllow IPAddressDeny IPEgressFilterPath IPIngressFilterPath ManagedOOMMemoryPressure
        ManagedOOMMemoryPressureDurationSec ManagedOOMMemoryPressureLimit ManagedOOMPreference ManagedOOMSwap
        MemoryHigh MemoryLimit MemoryLow MemoryMax MemoryMin MemorySwapMax MemoryZSwapMax NFTSet Slice
        SocketBindAllow SocketBindDeny StartupAllowedCPUs StartupAllowedMemoryNodes StartupBlockIOWeight
        StartupCPUShares StartupCPUWeight StartupIOWeight StartupMemoryHigh StartupMemoryLow StartupMemoryMax
        StartupMemorySwapMax StartupMemoryZSwapMax TasksMax
        """.utf8.split(whereSeparator: Ascii.isSpace).compactMap { String($0) })

    /// Whether the value asks for no protection, because it is the state without the directive.
    static func isNeutral(_ value: String, of directive: String) -> Bool {
        switch (directive, value) {
        case (_, ""): return true
        case ("ProtectProc", "default"), ("ProcSubset", "all"), ("DevicePolicy", "auto"), ("MountFlags", "shared"),
            ("Slice", "system.slice"), ("ManagedOOMSwap", "auto"), ("ManagedOOMMemoryPressure", "auto"),
            ("ManagedOOMPreference", "none"):
            return true
        case (_, "infinity"): return true
        default: break
        }
        // "no" turns off a boolean directive. In a list it would be an element, but none of these lists has an element
        // of that name.
        return (try? Value.boolean(value)) == false && !directive.hasSuffix("Min") && !directive.hasSuffix("Max")
            && !directive.hasSuffix("Low") && !directive.hasSuffix("High") && !directive.hasSuffix("Weight")
    }
}

extension UnitBuilder {
    /// Registers protection that a `[Service]` asks for and would not get; `finishProtection` reports it.
    mutating func noteProtection(_ assignment: Assignment) {
        if Protection.isNeutral(assignment.value, of: assignment.key) {
            missingProtection[assignment.key] = nil
        } else {
            missingProtection[assignment.key, default: []].append(assignment.keyLocation)
        }
    }

    /// Reports each directive whose protection is missing, and refuses the unit unless it has X-AllowUnsupported=yes.
    mutating func finishProtection() {
        guard !missingProtection.isEmpty else { return }
        let starts = allowsUnsupported
        for (directive, locations) in missingProtection.sorted(by: { $0.key < $1.key }) {
            for location in locations {
                let message =
                    starts
                    ? "\(directive)= is not supported yet, the service starts without it (X-AllowUnsupported=yes)"
                    : "\(directive)= is not supported yet, and without it the service would be less confined than the "
                        + "unit asks for; X-AllowUnsupported=yes in [Service] starts it all the same"
                let diagnostic = Diagnostic(
                    starts ? .warning : .error, .unsupportedDirective, at: location, directive: directive, message)
                if starts { report(diagnostic) } else { refuse(diagnostic) }
            }
        }
    }
}
