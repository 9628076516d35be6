/// Forms of values that are deliberately taken otherwise than by systemd 252.
struct DeliberateForms {
    let names: [String]
    /// The values that are assigned, joined by " | "; nil for every form. "LONG" stands for more than 100 characters.
    let forms: [String]?
    let reason: String

    init(_ names: String, _ forms: [String]?, _ reason: String) {
        self.names = names.split(separator: " ").map(String.init)
        self.forms = forms
        self.reason = reason
    }

    func covers(_ name: String, _ values: [String]) -> Bool {
        let form = values.map { $0.utf8.count > 100 ? "LONG" : $0 }.joined(separator: " | ")
        return names.contains(name) && forms?.contains(form) ?? true
    }

    private static let dependencies =
        "Wants Requires Requisite BindsTo PartOf Upholds Conflicts Before After OnFailure OnSuccess PropagatesReloadTo "
        + "ReloadPropagatedFrom PropagatesStopTo StopPropagatedFrom"
    private static let conditions =
        "ConditionArchitecture ConditionVirtualization ConditionHost ConditionKernelCommandLine ConditionKernelVersion "
        + "ConditionCredential ConditionEnvironment ConditionSecurity ConditionCapability ConditionACPower "
        + "ConditionFirstBoot ConditionControlGroupController ConditionMemory ConditionCPUs ConditionCPUFeature "
        + "ConditionOSRelease ConditionMemoryPressure ConditionCPUPressure ConditionIOPressure ConditionUser "
        + "ConditionGroup"
    private static let spans =
        "RestartSec RuntimeRandomizedExtraSec LogRateLimitIntervalSec KeepAliveTimeSec KeepAliveIntervalSec "
        + "DeferAcceptSec"

    static let all = [
        // Numbers that nothing can use.
        DeliberateForms(
            spans, ["infinity", "infinity ", "292471y", "9223372036854775807us"], "no span is longer than 100 years"),
        DeliberateForms(
            "TimeoutStopSec TimeoutStartSec TimeoutSec TimeoutAbortSec StartLimitIntervalSec StartLimitInterval "
                + "RuntimeMaxSec TriggerLimitIntervalSec", ["292471y"], "more than 64 bits of nanoseconds are infinity"),
        DeliberateForms("RuntimeMaxSec", ["0", "0.0000001", "0.5us"], "0 is no limit, as the manual page says"),
        DeliberateForms(
            "TriggerLimitIntervalSec TriggerLimitBurst", ["infinity", "infinity ", "4294967295"],
            "the largest number stands there for the default"),
        DeliberateForms("FileDescriptorStoreMax", nil, "no more than 4096 descriptors are kept, with a warning"),
        DeliberateForms("KeepAliveProbes IPTTL", nil, "the kernel refuses more than 127 probes, 255 hops, and 0"),
        DeliberateForms("Backlog", ["2147483648", "4294967295"], "listen(2) takes an int"),
        DeliberateForms("Mark", ["-2147483648"], "every negative number is none"),
        DeliberateForms(
            "MessageQueueMaxMessages MessageQueueMessageSize", nil,
            "one without the other, or out of the kernel's bounds, has no effect there: it is named"),
        DeliberateForms(
            "TTYRows TTYColumns", ["65536", "2147483647", "2147483648", "4294967295"],
            "a terminal has no more than 65535 (ioctl_tty(2))"),
        DeliberateForms("UMask", ["1777", "7777", "07777"], "umask(2) has nine bits"),
        DeliberateForms(
            "CPUSchedulingPriority", ["0", "-0", "0 | 0", "0 | ", "0 | no-such-value-at-all", "0 |  | 0"],
            "the kernel refuses priority 0 for the policy rr, so the start would fail"),
        DeliberateForms(
            "IOSchedulingClass",
            ["none", "0", "4", "none ", "none | 4", "none | no-such-value-at-all", "none |  | 4"],
            "none is the kernel's best-effort, and there is no class 4"),
        DeliberateForms("SyslogFacility", ["24", "127"], "syslog(3) has no such facility"),
        DeliberateForms(
            "LimitRTTIME", ["9223372036854775807", "1ns"], "a span of 292,000 years; a limit of 0 is what is asked for"),
        DeliberateForms("LimitNICE", ["0"], "the kernel counts from 1"),
        DeliberateForms("CPUAffinity", ["4294967295", "\"0\"", "numa"], "no such CPU; no quotation; not supported"),
        // What is not supported, and is named.
        DeliberateForms("Type", ["dbus"], "no bus is spoken to"),
        DeliberateForms("Type", ["notify-reload", "simple | notify-reload"], "of systemd 253"),
        DeliberateForms("OOMPolicy", ["stop", "kill", "continue | kill"], "not supported"),
        DeliberateForms("StandardInput", ["tty"], "a terminal is not waited for"),
        DeliberateForms(
            "StandardOutput StandardError", ["kmsg", "journal+console", "kmsg+console"], "journal is used instead"),
        DeliberateForms(
            "OnFailureJobMode OnSuccessJobMode",
            ["isolate", "triggering", "fail | isolate", "fail |  | isolate"], "isolating is not supported"),
        DeliberateForms(
            "OnFailureIsolate", ["1", "yes", "y", "true", "t", "on", "YES", "True", "oN"],
            "isolating is not supported"),
        DeliberateForms(
            "StartLimitAction FailureAction SuccessAction", ["reboot", "none | reboot"], "acts on the whole host"),
        DeliberateForms(
            dependencies, ["x.mount", "x.device", "x.timer", "-.mount"], "kinds of units that are not run here"),
        DeliberateForms(
            "RootDirectory", ["/", "/%i", "/.", "-/a"], "the root itself is none; \"-\" is of systemd 254"),
        DeliberateForms("TTYPath", ["", "/dev/tty1 | "], "the default is filled in"),
        // What systemd drops in silence, or cannot use later, makes the unit unusable or is named.
        DeliberateForms(
            "SecureBits", ["NOROOT", "x", "1", "keep_caps", "x noroot"], "less confinement than is asked for"),
        DeliberateForms(
            "CapabilityBoundingSet AmbientCapabilities",
            [
                "KILL", "63", "64", "CAP_KILL,CAP_CHOWN", "CAP_KILL ~CAP_CHOWN", "CAP_NOSUCH", "CAP_KILL CAP_NOSUCH",
                "all", "CAP_ALL", "-1",
            ], "another confinement than is asked for"),
        DeliberateForms(
            "User SocketUser",
            ["nobody", "nobody | root", "nobody | ", "nobody | no-such-value-at-all", "nobody |  | root"],
            "only a warning there"),
        DeliberateForms(
            "User SocketUser Group SocketGroup SupplementaryGroups", ["a b", "-a", "LONG", "root root"],
            "no name that useradd(8) would make"),
        DeliberateForms(
            "SupplementaryGroups", ["'root'", "a\\x41", "'root' \"nogroup\""],
            "quotation and escapes as in other lists"),
        DeliberateForms(
            "WorkingDirectory RootDirectory TTYPath PIDFile SourcePath ExecSearchPath EnvironmentFile ListenFIFO "
                + "ListenSpecial", ["/a\tb"], "paths with control characters are refused"),
        DeliberateForms("PIDFile", ["/var/run/x.pid"], "/var/run is a link to /run"),
        DeliberateForms("ExecSearchPath", [":/a", "/a::/b", "/a:", ":"], "an empty part is no part"),
        DeliberateForms(
            "RuntimeDirectory StateDirectory CacheDirectory LogsDirectory ConfigurationDirectory",
            ["a:", ":b", "a:b:c"], "half a link is a slip"),
        DeliberateForms(
            "RuntimeDirectory StateDirectory CacheDirectory LogsDirectory ConfigurationDirectory",
            ["private", "private/a", "LONG"], "DynamicUser= is not supported; mkdir(2) says what is too long"),
        DeliberateForms(
            "Environment",
            [
                "A=1\\ 2", "A=\\q", "A=\\xff B=2", "A=\\x00", "A=\\000", "A=\\400", "A=\\ud800", "A=\\a\\b\\f\\v\\r",
                "A=\\e",
            ],
            "an unknown escape is kept with a warning, where systemd drops the whole assignment without one"),
        DeliberateForms("StandardInputText", ["\\q", "\\x00", "\\xff"], "escapes as in Environment="),
        DeliberateForms("StandardInputData", ["YR=="], "bits behind the end are ignored, as base64(1) does"),
        DeliberateForms("PassEnvironment", ["A\\x42"], "escapes as in Environment="),
        DeliberateForms(
            "SetCredential", ["a:", "a:\\q"], "an empty credential is one; escapes as in Environment="),
        DeliberateForms("ExecStart ExecStartPre", ["/bin/true \\xff"], "arguments are text"),
        DeliberateForms(
            "ExecStart",
            [
                "/bin/true ; /bin/false", "/bin/true ; /bin/false ;", "/bin/true ;\t/bin/false", ";", "",
                "/bin/true | /bin/false", "/bin/true | ", "/bin/true | /bin/true", "/bin/true |  ",
            ], "not loaded there either: the unit as a whole is refused, no line"),
        DeliberateForms("ListenStream", ["", "1.2.3.4:80 | ", "1.2.3.4:80 |  "], "not loaded there either"),
        DeliberateForms(
            conditions, ["!", "%i", "x", "a b", "200%", "10%/5x"],
            "a condition that could never be looked at: there the start is skipped for ever"),
        DeliberateForms(
            "RequiresOverridable RequisiteOverridable", nil, "that the name is old is no reason for a warning"),
        DeliberateForms(
            "KillMode", ["none", "control-group | none", "control-group |  | none"], "only a warning there"),
        DeliberateForms("BusName", nil, "it has no effect"),
        DeliberateForms(
            "Wants After OnFailure Sockets Service",
            ["'a.service'", "\"a.service\" b.service", "'a.socket'", "a@.service"],
            "quotation as in other lists; a template stands for an instance"),
        DeliberateForms(
            "SuccessExitStatus RestartPreventExitStatus RestartForceExitStatus CoredumpFilter",
            ["'1' \"2\"", "'all'"], "quotation as in other lists"),
        DeliberateForms(
            "Symlinks", ["/a\\x20b", "/a b /c"], "escapes as in other lists; a bad word spoils itself only"),
        DeliberateForms("Documentation", ["%i", "https://a/%Z man:b"], "a bad word spoils itself only"),
        DeliberateForms("FileDescriptorName", ["%i"], "an empty name is none"),
        DeliberateForms("Description SourcePath", ["a\\", "/a\\"], "the next line belongs to it"),
        // Sockets.
        DeliberateForms(
            "ListenStream", ["0", "127.0.0.1:0", "[::1]:0"], "the kernel chooses a port, for sockets of generations"),
        DeliberateForms(
            "ListenStream ListenDatagram",
            [
                "[::ffff:1.2.3.4]:80", "/run//x/", "/run/./x", "/run/../x", "@é", "/é", "/",
                "vsock:4294967295:4294967295", "/run/%i",
            ], "the same address in another spelling; paths are simplified, and have no \"..\""),
        DeliberateForms("ListenMessageQueue", nil, "mq_open(3) refuses such a name"),
        DeliberateForms(
            "ListenNetlink", ["crypto", "smc", "15", "0 1", "99", "0xf", "256", "2147483647"],
            "families of newer headers by name; a number is shown as one; the kernel has 32"),
        // Only shown otherwise.
        DeliberateForms("EnvironmentFile", ["/a | -/b", "/a | /a"], "two lines there"),
        DeliberateForms("PassEnvironment UnsetEnvironment", ["A A", "A | A"], "twice is once"),
    ]
}
