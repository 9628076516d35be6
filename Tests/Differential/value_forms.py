"""Forms of values for every directive that Holdfast honours: {directive: (section, property, [case])}.

A case is the list of the values that are assigned one after the other. The property is the one that `systemctl show` names; None
where it shows none."""

BOOLEANS = "1 yes y true t on 0 no n false f off YES True oN Off 2 yess enable 01 +1 -1 yes_ ja".split() + ["", "yes yes", "\"yes\"", "%i"]

NUMBERS = ["0", "1", "5", "007", "010", "08", "0x10", "0X1f", "0xg", "0b101", "0B1", "0b2", "0o17", "0O7", "0o8", "+5", "+0x5",
    "-0", "-1", "-0x1", "--1", "+-1", "1 ", "1 2", "1,2", "1.0", "1e3", "1k", "1K", "", "''", "\"1\"", "infinity", "max", "%i", "x",
    "127", "128", "255", "256", "32767", "65535", "65536", "2147483647", "2147483648", "-2147483648", "-2147483649", "4294967295",
    "4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616",
    "99999999999999999999999", "0b", "0x", "0o", "0b+1", "0b-1", "0x+1", "\u0661"]

TIMES = ["5", "0", "5s", "5sec", "5second", "5seconds", "5S", "5m", "5min", "5minute", "5minutes", "5M", "5month", "5months", "5mon",
    "5h", "5hr", "5hour", "5hours", "5d", "5day", "5days", "5w", "5week", "5weeks", "5y", "5year", "5years", "5ms", "5msec", "5us", "5usec",
    "5\u00b5s", "5\u03bcs", "5ns", "5nsec", "5min 20s", "5min20s", "20s 5min", "5 min 20 s", "5 min 20", "5,5", "1.5", "1.5s", "1.5min",
    ".5", ".5s", "5.", "5.s", "1.5.5", "1.5 .5", "1.5s.5", "+5", "+5s", "5+5", "5 +5", "-5", "5 -5", "- 5", "0x10", "010", "1e3", "1 d",
    "infinity", "INFINITY", "Infinity", "infinity ", "infinity s", "infinity 5", "5 infinity", "inf", "", "''", "\"5\"", "5s\t5s", "5x", "x", "s",
    "0.000001", "0.0000001", "1.000000999", "1.9999999", "0.5us", "1.5ms", "584542y", "584543y", "292471y", "18446744073709551614us",
    "18446744073709551615us", "18446744073709551613us", "9223372036854775807us", "9223372036854775808us", "9223372036854775807",
    "9223372036854775808", "18446744073709551615", "18446744073709.551613", "18446744073709.551614", "99999999999999999999", "1y 1M 1w 1d 1h 1min 1s 1ms 1us", "%i", "%%", "1min-5s", "5\u00a0s"]

SIZES = ["0", "1", "4096", "64K", "64k", "1M", "1G", "1T", "1P", "1E", "15E", "16E", "17E", "1.5K", "1.5M", ".5K", "1.", "1.K", "10.M", "1.0000001G", "0.1K", "0.9B", "1B", "1b", "1KB",
    "1KiB", "1Ki", "1K 1", "1K1B", "1M1K", "1M 1K", "1K1M", "1M1M", "1 K", "1 M 1 K", "+1", "-1", "-0", "0x10", "010", "1e3", "infinity", "Infinity", "max", "50%", "", "''",
    "18446744073709551615", "18446744073709551616", "9223372036854775807", "9223372036854775808", "18014398509481983K", "18014398509481984K", "1.99999999999999999999999K", "%i", "4294967295", "4294967296", "x", "K"]

MODES = ["0", "644", "0644", "00644", "0o644", "0x1ff", "777", "1777", "7777", "07777", "10000", "8", "888", "+644", "-644", "", "u=rwx", "0644 ", "755,", "0b111", "infinity", "%i", "77777777777"]

SIGNALS = ["SIGTERM", "TERM", "term", "sigterm", "SigTerm", "15", "015", "0xf", "0b1111", "0o17", "+15", "-15", "0", "1", "64", "65", "32", "33", "34", "63", "SIG15", "SIGRTMIN", "RTMIN", "RTMIN+3",
    "SIGRTMIN+3", "RTMIN+0", "RTMIN+30", "RTMIN+31", "RTMIN-1", "RTMAX", "SIGRTMAX", "RTMAX-1", "SIGRTMAX-30", "RTMAX-31", "RTMAX+1", "RTMIN+", "RTMIN+x", "RTMIN+0x3", "RTMIN +3", "RTMIN+ 3", "RTMIN++3",
    "HUP", "SIGHUP", "KILL", "SIGKILL", "USR1", "SIGUSR2", "STKFLT", "CHLD", "CLD", "SIGCLD", "POLL", "IO", "SIGIO", "SIGPOLL", "IOT", "ABRT", "PWR", "SYS", "UNUSED", "INFO", "LOST", "WINCH", "STOP", "CONT", "PIPE", "QUIT", "INT",
    "", "''", "SIGNONE", "TERM KILL", "%i", "NULL", "EXIT"]

PATHS = ["/", "/a", "//a//b/", "/a/./b", "/a/../b", "/a/b/..", "/a b", "'/a b'", "\"/a\"", "/a\\x20b", "a", "./a", "../a", "~", "~/a", "-/a", "+/a", "-a", "", "/%i", "/%%", "/%q", "/a%", "%t/x", "%h/x", "/a\u00e9", "/" + "a" * 255, "/" + "a" * 256, "/" + "/".join(["a" * 200] * 20), "/" + "/".join(["a" * 200] * 21), "/a*", "/a?b", "/a:b", "/a\\", "/a\\\\b", "/.", "/..", "/a/.", ":/a", "/a\tb"]

STRINGS = ["a", "a b", "'a b'", "\"a\"", "a\\x20b", "%i", "%%", "a%", "%Z", "\u00e9", "", "a\\", "a\\\\b", "''"]

NAMES = ["a.service", "a.service b.service", "a", "a.socket", "x.mount", "x.device", "x.timer", "a@.service", "a@b.service", "a@%i.service", "%i.service", "%p.service", "%n", "%N.socket", "'a.service'", "\"a.service\" b.service",
    "a b.service", "a/b.service", "/a.service", "/a/b", "a.unknown", "a.service,b.service", "", "a\\x2db.service", "a\\x20b.service", "@.service", "@b.service", "a@@.service", "a@b@c.service", ".service", "a.service a.service", "\u00e9.service", "a" * 247 + ".service", "a" * 248 + ".service", "a%.service", "a%%.service", "%Z.service", "-.service", "-.mount", "a:b_c-d.e.service", "a+b.service", "self.service", "%t.service", "%H.service", "%I.service", "%f.service", "%j.service"]

ENVIRONMENT = ["A=1", "A=1 B=2", "A=", "A", "=1", "A=1 A=2", "\"A=1 2\"", "'A=1 2' B=3", "A='1 2'", "A=\"1 2\"", "A=1\\ 2", "A=\\x41", "A=\\n", "A=\\q", "A=%i", "A=%%", "A=50%", "A=%Z", "A=%Z B=2", "A=1 B", "a.b=1", "a.b=1 C=2", "9A=1", "A-B=1", "A+=1", "export A=1",
    "A=$B", "A=${B}", "A=\u00e9", "\u00c9=1", "_A=1", "A=1;B=2", "A=1 ; B=2", "A=\"x", "A='x", "A=x\\", "A=#b", "A=a=b", "", "A=\\u00e9", "A=\\xe9", "A=\\xff B=2", "A=\\x00", "A=\\000", "A=\\101", "A=\\400", "A=\\U0001f600", "A=\\ud800", "A=\\'x\\'", "A=a\"b\"c", "A=a'b'c", "\"\"", "'' A=1", "A=\\s\\t", "A=\\a\\b\\f\\v\\r", "A=\\e", "A=\tb"]

WORDS = ["a", "a b", "'a b'", "\"a b\" c", "a\\x20b", "a,b", "%i", "%%", "a%", "%Z", "a 'b", "a\\", "", "a\\q"]

COMMANDS = ["/bin/true", "/bin/true a b", "true", "bin/true", "./true", "/bin/true;", "/bin/true ;", "/bin/true ; /bin/false", "/bin/true ;;", "/bin/true \\; a", "/bin/true ';' a", "; /bin/true", ";", "/bin/true ; ;", "/bin/true ; /bin/false ;", "-/bin/true", "@/bin/true", "@/bin/true x y", "@/bin/true ; x", ":/bin/true $A", "+/bin/true",
    "!/bin/true", "!!/bin/true", "!!!/bin/true", "+!/bin/true", "!+/bin/true", "-@:+/bin/true x", "--/bin/true", "@@/bin/true x", "::/bin/true", "-:@!!/bin/true x", "- /bin/true", "-", "@", "+", "!", "'-/bin/true'", "'/bin/true' 'a b'", "\"/bin/true\"", "/bin/'true'", "'/bin/a b'", "/bin/a\\x20b", "/bin/true 'a", "/bin/true \"a", "/bin/true a\\", "/bin/true \\q", "/bin/true %i", "/bin/true %%", "/bin/true 50%", "/bin/true %Z",
    "%t/x", "/%i", "/bin/%i", "%i", "$A /bin/true", "/bin/true $A ${B} $$C", "/bin/true > /dev/null", "/bin/true | cat", "/bin/true && x", "/bin/true # c", "/bin/", "/", "/bin//true", "/bin/../bin/true", "/bin/./true", "/bin/true/", "", "''", "\"\"", "/bin/true ''", "/bin/true \"\" x", "/bin/true \\x41\\102\\u00e9", "/bin/true \\xff", "/bin/true \\", "/" + "a" * 4094, "/" + "a" * 4095, "/" + "a" * 255, "/" + "a" * 256, "a" * 255, "a" * 256, "..", ".", "/..", "/.", "a/", "/bin/\u00e9", "\u00e9", "/bin/true\ta\tb", "|/bin/true", "/bin/true ;a", "/bin/true a;b", "/bin/true a; b", "/bin/true ;\t/bin/false", "/bin/true \";\" /bin/false", "~/x", "*true", "/bin/true *", "-;", "@/bin/true", "@/bin/true ''", "@/bin/true '' x", "/bin/true \\;", "/bin/true \\;\\;", "/bin/true \\; \\; x", "'' /bin/true"]

EXIT_STATUSES = ["0", "1", "255", "256", "-1", "+1", "01", "010", "0x10", "0b11", "TEMPFAIL", "tempfail", "EX_TEMPFAIL", "EXIT_SUCCESS", "SUCCESS", "FAILURE", "NOTRUNNING", "250", "SIGKILL", "KILL", "kill", "sigkill", "9", "SIGRTMIN+3", "RTMIN+3", "RTMAX", "SIG9", "1 2 SIGKILL", "1,2", "1 x 2", "x", "", "'1' \"2\"", "1-3", "USAGE", "DATAERR", "CHDIR", "NUMA_POLICY", "BPF", "EXCEPTION", "CREDENTIALS", "LIMITS", "SIGTERM SIGTERM", "%i", "''", "1 '2", "IO", "POLL", "CLD", "65", "34", "0 1", "SIGNAL_MASK", "STDIN", "OOM_ADJUST", "CONFIRM", "ADDRESS_FAMILIES"]

LIMITS_COUNT = ["0", "1", "1024", "1024:4096", "4096:1024", "1024:infinity", "infinity", "infinity:1024", "infinity:infinity", ":1024", "1024:", ":", "1024 : 4096", "1024: 4096", "1024 :4096", "1024:4096:8192", "1K", "0x10", "010", "0b11", "0o17", "+1", "-1", "-0", "", "unlimited", "Infinity", "18446744073709551614", "18446744073709551615", "18446744073709551616", "9223372036854775807", "1.5", "%i", "x", "''", "1e3", "08", "infinity "]
LIMITS_SIZE = LIMITS_COUNT + ["1K:1M", "1M:1K", "1.5K", "1KB", "1M1K", "1M 1K", "8E", "15E", "16E", ".5K", "1k", "1 K", "5%"]
LIMITS_TIME = LIMITS_COUNT + ["5s", "5min:10min", "10min:5min", "1ms", "1us", "500ms", "1.5s", "5sec 5s", "1s1s", "1w", "0.5", "5s:infinity", "1ns", "1999ms", "2000001us", "5 s", "5x", "1500000us"]
LIMITS_NICE = LIMITS_COUNT + ["+5", "-5", "+19", "-20", "+20", "-21", "+0", "-0", "40", "41", "20", "+5:-5", "-5:+5", "5:+5", "+5:10", "+-5", "1:40", "+0x5", "+ 5", "- 5"]

CPUS = ["0", "1", "0 1", "0,1", "0-3", "0-3,5", "0 - 3", "0-3 5-7", "3-0", "0-", "-3", "0--3", "0-3-5", ",", "0,,1", "0, 1", "0 ,1", "all", "", "0x1", "0x1-0x3", "01", "8191", "8192", "100000", "1-8191", "4294967295", "4294967296", "-1", "x", "0 x", "%i", "'0 1'", "\"0\"", "numa", "+1", "0\t1", "1.5", "0-3,", ",0", "0b11", "''"]

def cases(*values): return [list(v) if isinstance(v, (list, tuple)) else [v] for v in values]

def lists(forms, first, second):
    """Beside each form alone: what a second assignment adds, and what an empty one takes back."""
    return cases(*forms) + [[first, second], [first, ""], ["", first], [first, "", second], [first, first], [first, " "]]

def scalars(forms, first, second):
    return cases(*forms) + [[first, second], [first, ""], [first, "no-such-value-at-all"], [first, "", second]]

ADDRESSES = ["80", "0", "65535", "65536", "080", "0x50", "+80", "-80", "80 ", "8 0", "127.0.0.1:80", "0.0.0.0:80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.1:80", "127.0.0.1:080", "127.0.0.1:0x50", "127.0.0.01:80", "256.0.0.1:80", "localhost:80", "*:80", ":80",
    "[::]:80", "[::1]:80", "[::1]", "[::1]:", "[::1]:0", "[::1]:65536", "::1:80", "[::1%lo]:80", "[::1]:80%lo", "[fe80::1]:80%lo", "[fe80::1%lo]:80", "[fe80::1%1]:80", "[fe80::1]:80%1", "[fe80::1]:80%", "[fe80::1]:80%nosuchinterfaceatall", "[fe80::1]:80%nosuch0", "[::ffff:1.2.3.4]:80", "[1.2.3.4]:80", "[::1]:80x", "[::g]:80", "[::1]80", "[2001:DB8::1]:80", "[0:0:0:0:0:0:0:1]:80", "[::1]: 80",
    "/run/x", "/run//x/", "/run/./x", "/run/../x", "run/x", "/run/x y", "'/run/x'", "/" + "a" * 106, "/" + "a" * 107, "/" + "a" * 108, "@x", "@", "@/x", "@" + "a" * 106, "@" + "a" * 107, "@" + "a" * 108, "@a b", "@\u00e9", "/\u00e9", "/",
    "vsock:2:1234", "vsock::1234", "vsock:2:", "vsock:x:1", "vsock:2:x", "vsock:4294967295:4294967295", "vsock:4294967296:1", "vsock:1:4294967296", "vsock:1", "vsock:0x2:0x10", "vsock:-1:1", "vsock:+1:1", "vsock:1:0", "vsock:vsock:1", "vsock-stream:2:1234",
    "", "%t/x", "/run/%i", "@%i", "127.0.0.1:%i", "%Z", "tcp:80", "tcp://1.2.3.4:80", "1.2.3.4:http", "1.2.3.4:80:80", "1.2.3.4 80", "1.2.3.4:+80", "1.2.3.4: 80", "1.2.3.4:80 "]

SECTIONS = {}
def add(section, names, forms, prop=None):
    for name in names.split():
        SECTIONS[(section, name)] = (prop if prop is not None else name, forms)

E_BOOL = scalars(BOOLEANS, "yes", "no")
def usec(name): return name.replace("NSec", "NSec_").replace("Sec", "USec").replace("NUSec_", "NSec")

for n in "StopWhenUnneeded RefuseManualStart RefuseManualStop AllowIsolate IgnoreOnIsolate DefaultDependencies".split():
    add("Unit", n, E_BOOL)
for n in "RemainAfterExit GuessMainPID RootDirectoryStartOnly NonBlocking SendSIGKILL SendSIGHUP CPUSchedulingResetOnFork TTYReset TTYVHangup TTYVTDisallocate SyslogLevelPrefix NoNewPrivileges IgnoreSIGPIPE".split():
    add("Service", n, E_BOOL)
add("Service", "PermissionsStartOnly", E_BOOL, "")
for n in "Accept FlushPending Writable KeepAlive NoDelay FreeBind Transparent Broadcast PassCredentials PassSecurity PassPacketInfo ReusePort RemoveOnStop".split():
    add("Socket", n, E_BOOL)

T = scalars(TIMES, "5s", "6s")
for n in "RestartSec TimeoutStopSec WatchdogSec RuntimeMaxSec RuntimeRandomizedExtraSec LogRateLimitIntervalSec".split(): add("Service", n, T, usec(n))
for n in ("TimeoutStartSec",): add("Service", n, T, "TimeoutStartUSec")
add("Service", "TimeoutSec", T, "TimeoutStartUSec,TimeoutStopUSec")
add("Service", "TimeoutAbortSec", T, "TimeoutAbortUSec")
add("Service", "TimerSlackNSec", scalars(TIMES, "5", "6"), "TimerSlackNSec")
add("Unit", "StartLimitIntervalSec", T, "StartLimitIntervalUSec"); add("Unit", "StartLimitInterval", T, "StartLimitIntervalUSec"); add("Service", "StartLimitInterval", T, "StartLimitIntervalUSec")
for n in "KeepAliveTimeSec KeepAliveIntervalSec DeferAcceptSec TriggerLimitIntervalSec".split(): add("Socket", n, T, usec(n))
add("Socket", "TimeoutSec", T, "TimeoutUSec")

N = scalars(NUMBERS, "5", "6")
for n in "StartLimitBurst".split(): add("Unit", n, N); add("Service", n, N)
add("Service", "LogRateLimitBurst", N); add("Service", "FileDescriptorStoreMax", N)
for n in "Backlog MaxConnections MaxConnectionsPerSource KeepAliveProbes Priority IPTTL Mark MessageQueueMaxMessages MessageQueueMessageSize TriggerLimitBurst".split(): add("Socket", n, N)
add("Socket", "IPTOS", scalars(NUMBERS + ["low-delay", "throughput", "reliability", "low-cost", "LOW-DELAY"], "5", "low-cost"))
for n in "ReceiveBuffer SendBuffer PipeSize".split(): add("Socket", n, scalars(SIZES, "5", "6K"))
add("Service", "Nice", scalars(NUMBERS + ["-20", "-21", "19", "20", "+19"], "5", "6"))
add("Service", "OOMScoreAdjust", scalars(NUMBERS + ["-1000", "-1001", "1000", "1001"], "5", "6"))
add("Service", "TTYRows", scalars(NUMBERS, "5", "6")); add("Service", "TTYColumns", scalars(NUMBERS, "5", "6"))
M = scalars(MODES, "700", "711")
for n in "UMask RuntimeDirectoryMode StateDirectoryMode CacheDirectoryMode LogsDirectoryMode ConfigurationDirectoryMode".split(): add("Service", n, M)
for n in "SocketMode DirectoryMode".split(): add("Socket", n, M)
S = scalars(SIGNALS, "USR1", "USR2")
for n in "KillSignal RestartKillSignal FinalKillSignal WatchdogSignal".split(): add("Service", n, S)
for n in "SuccessExitStatus RestartPreventExitStatus RestartForceExitStatus".split(): add("Service", n, lists(EXIT_STATUSES, "1 SIGUSR1", "2 SIGUSR2"))

def choice(section, names, good, prop=None):
    forms = good.split() + [good.split()[0].upper(), good.split()[-1].capitalize(), "no-such-value", "", "''", "%i", good.split()[0] + " ", "0", "1", "yes", "no", "infinity"]
    g = good.split()
    add(section, names, scalars(forms, g[0], g[-1]), prop)
choice("Service", "Type", "simple exec forking oneshot notify idle dbus notify-reload")
choice("Service", "ExitType", "main cgroup")
choice("Service", "Restart", "no on-success on-failure on-abnormal on-abort on-watchdog always")
choice("Service", "NotifyAccess", "none main exec all")
choice("Service", "OOMPolicy", "continue stop kill")
choice("Service", "TimeoutStartFailureMode", "terminate abort kill"); choice("Service", "TimeoutStopFailureMode", "terminate abort kill")
choice("Service", "KillMode", "control-group mixed process none")
choice("Service", "KeyringMode", "inherit private shared")
choice("Service", "RuntimeDirectoryPreserve", "no yes restart")
choice("Service", "CPUSchedulingPolicy", "other batch idle fifo rr")
choice("Service", "IOSchedulingClass", "none realtime best-effort idle 0 1 2 3 4")
add("Service", "IOSchedulingPriority", scalars(NUMBERS + ["7", "8"], "5", "6"))
add("Service", "CPUSchedulingPriority", scalars(NUMBERS + ["99", "100"], "0", "0"))
choice("Service", "SyslogLevel", "emerg alert crit err warning notice info debug 0 7 8 -1 0x3 03 error warn panic")
choice("Service", "LogLevelMax", "emerg alert crit err warning notice info debug 0 7 8 -1 0x3 03 error warn panic")
choice("Service", "SyslogFacility", "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp local0 local7 local8 3 23 24 127 128 12 15 security 0x3 -1")
choice("Service", "Personality", "x86-64 x86 arm64 native")
choice("Service", "StandardInput", "null data socket fd fd:x fd: fd:a:b tty tty-force tty-fail file:/x file:x file: file:/%i file:/a//b fd:%i journal inherit fd:stdin file:/dev/null")
choice("Service", "StandardOutput", "inherit null journal kmsg tty socket fd fd:x fd: fd:a:b file:/x file:x file: append:/x append:x truncate:/x journal+console kmsg+console syslog syslog+console file:/%i fd:%i append:/a//b truncate: file:/a\\x20b log")
choice("Service", "StandardError", "inherit null journal kmsg tty socket fd fd:x fd: file:/x file:x append:/x truncate:/x journal+console file:/%i fd:%i log")
choice("Unit", "OnFailureJobMode", "fail replace replace-irreversibly flush ignore-dependencies ignore-requirements isolate triggering restart-dependencies")
choice("Unit", "OnSuccessJobMode", "fail replace replace-irreversibly flush ignore-dependencies ignore-requirements isolate")
choice("Unit", "CollectMode", "inactive inactive-or-failed")
for n in "StartLimitAction FailureAction SuccessAction": pass
choice("Unit", "StartLimitAction", "none reboot"); choice("Unit", "FailureAction", "none reboot"); choice("Unit", "SuccessAction", "none reboot")
choice("Socket", "BindIPv6Only", "default both ipv6-only"); choice("Socket", "SocketProtocol", "udplite sctp mptcp tcp udp")
choice("Socket", "Timestamping", "off us ns usec nsec \u00b5s \u03bcs")
for n in "LimitNOFILE LimitNPROC LimitLOCKS LimitSIGPENDING LimitRTPRIO".split(): add("Service", n, scalars(LIMITS_COUNT, "5:6", "7"), f"{n},{n}Soft")
for n in "LimitFSIZE LimitDATA LimitSTACK LimitCORE LimitRSS LimitAS LimitMEMLOCK LimitMSGQUEUE".split(): add("Service", n, scalars(LIMITS_SIZE, "5:6", "7"), f"{n},{n}Soft")
for n in "LimitCPU LimitRTTIME".split(): add("Service", n, scalars(LIMITS_TIME, "5:6", "7"), f"{n},{n}Soft")
add("Service", "LimitNICE", scalars(LIMITS_NICE, "5:6", "7"), "LimitNICE,LimitNICESoft")
add("Service", "CPUAffinity", lists(CPUS, "0", "1-2"))
add("Service", "CoredumpFilter", lists("0 7f 0x7f 0X7F 33 all default private-anonymous shared-anonymous private-file-backed shared-file-backed elf-headers private-huge shared-huge private-dax shared-dax ALL x 0xg 0b1 ffffffff 1ffffffff ffffffffffffffff 1ffffffffffffffff -1 +1".split() + ["", "all 0x100", "default elf-headers", "private-dax,shared-dax", "x all", "'all'"], "elf-headers", "private-huge"))
add("Service", "SecureBits", lists("noroot noroot-locked no-setuid-fixup no-setuid-fixup-locked keep-caps keep-caps-locked NOROOT x 1 keep_caps".split() + ["", "keep-caps noroot", "x noroot", "'keep-caps' \"noroot\""], "noroot", "keep-caps"))
CAPS = ["CAP_KILL", "cap_kill", "Cap_Kill", "KILL", "5", "0x5", "40", "41", "62", "63", "64", "CAP_KILL CAP_CHOWN", "CAP_KILL,CAP_CHOWN", "~CAP_KILL", "~CAP_KILL CAP_CHOWN", "~ CAP_KILL", "CAP_KILL ~CAP_CHOWN", "~", "", "CAP_NOSUCH", "CAP_KILL CAP_NOSUCH", "CAP_BPF CAP_PERFMON CAP_CHECKPOINT_RESTORE", "'CAP_KILL'", "%i", "all", "CAP_ALL", "-1", "+5", "05"]
add("Service", "CapabilityBoundingSet", lists(CAPS, "CAP_KILL", "CAP_CHOWN") + [["CAP_KILL CAP_CHOWN", "~CAP_KILL"], ["~CAP_KILL", "CAP_KILL"], ["~CAP_KILL", "~CAP_CHOWN"], ["", "~CAP_KILL"], ["~", "CAP_KILL"], ["CAP_KILL", "~"], ["~CAP_KILL", "CAP_CHOWN"], ["CAP_KILL", "~CAP_KILL", "CAP_CHOWN"]])
add("Service", "AmbientCapabilities", lists(CAPS, "CAP_KILL", "CAP_CHOWN") + [["CAP_KILL CAP_CHOWN", "~CAP_KILL"], ["~CAP_KILL", "CAP_KILL"], ["~CAP_KILL", "~CAP_CHOWN"], ["", "~CAP_KILL"], ["~", "CAP_KILL"], ["CAP_KILL", "~"], ["CAP_KILL", "~CAP_KILL", "CAP_CHOWN"]])

USERS = ["root", "0", "nobody", "65534", "65535", "4294967295", "4294967296", "-1", "+0", "01", "0x0", "no_such", "a.b", "a-b", "a b", "a:b", "a/b", "", "'root'", "Root", "user@domain", "a$", "$a", "_a", "-a", "a" * 31, "a" * 32, "a" * 256, "a" * 257, "\u00e9", "%i", "%u", "%%", "%Z", ".", "..", "1a", "12a", "a,b", "a\\x41", "~", "*", "root root", "2147483647", "65534 "]
add("Service", "User", scalars(USERS, "nobody", "root")); add("Service", "Group", scalars(USERS, "nogroup", "root"))
add("Socket", "SocketUser", scalars(USERS, "nobody", "root")); add("Socket", "SocketGroup", scalars(USERS, "nogroup", "root"))
add("Service", "SupplementaryGroups", lists(USERS + ["root nogroup", "root 5 x", "root a:b", "'root' \"nogroup\"", "root,nogroup"], "root", "nogroup"))
add("Service", "WorkingDirectory", scalars(PATHS + ["-~", "~root", "-", "~/"], "/a", "~"))
add("Service", "RootDirectory", scalars(PATHS, "/a", "/b"))
add("Service", "TTYPath", scalars(PATHS, "/dev/tty1", "/dev/tty2"))
add("Service", "PIDFile", scalars(PATHS + ["x.pid", "/var/run/x.pid", "/run/x.pid", "run/x", "x/../y"], "/run/a", "b"))
add("Unit", "SourcePath", scalars(PATHS, "/a", "/b"))
add("Service", "ExecSearchPath", lists(PATHS + ["/a:/b", "/a::/b", "/a:", ":", "/a:b", "/a:/b:/a", "'/a':/b", "/a:'/b c'", "/a /b", "/a,/b", "/a:/%i"], "/a", "/b"))
DIRS = ["a", "a b", "a/b", "/a", "a/../b", "..", ".", "a/.", "./a", "a//b", "a/", "", "a:b", "a:b c:d", "a:", ":b", "a:b:c", "a:/b", "a:../b", "a b:c a", "a a", "'a b'", "a\\x20b", "%i", "%N/x", "%%", "%Z", "a%Z b", "private", "private/a", "a/private", "x:private", "\u00e9", "a" * 255, "a" * 256, "-a", "~", "a,b", "a\\", "a 'b"]
for n in "RuntimeDirectory StateDirectory CacheDirectory LogsDirectory ConfigurationDirectory".split(): add("Service", n, lists(DIRS, "a", "b"), n + ("," + n + "Symlink" if n != "ConfigurationDirectory" else ""))
add("Service", "Environment", lists(ENVIRONMENT, "A=1", "B=2"))
add("Service", "EnvironmentFile", lists(PATHS + ["-/a", "--/a", "-", "- /a", "/a /b"], "/a", "-/b"), "EnvironmentFiles")
add("Service", "PassEnvironment", lists(["A", "A B", "A=1", "9A", "a.b", "A a.b B", "", "'A' \"B\"", "A,B", "%i", "%%", "_", "\u00e9", "A A", "A\\x42", "A 'B"], "A", "B"))
add("Service", "UnsetEnvironment", lists(["A", "A B", "A=1", "A=1 B", "9A", "a.b", "A a.b B", "a.b=1", "", "'A=1 2' B", "A=", "=1", "%i", "A=%i", "A A=1", "A 'B"], "A", "B=2"))
add("Service", "StandardInputText", lists(STRINGS + ["a\\nb", "\\x41", "\\q", "a %i b", "\\x00", "\\xff", "\"a\\tb\"", " a", "a\\sb"], "a", "b"), "StandardInputData")
add("Service", "StandardInputData", lists(["YQ==", "YQo=", "YQ", "YQ=", "Y Q = =", "Y", "!", "YQ==YQ==", "YWJj", "YWJjZA==", "%i", "", "YQ==\\", "YR==", "Y\tQ==", "YQ==x", "_-8=", "/+8="], "YQo=", "Ygo="), "StandardInputData")
add("Service", "SyslogIdentifier", scalars(STRINGS, "a", "b"))
add("Unit", "Description", scalars(STRINGS, "a", "b"))
add("Unit", "Documentation", lists(["man:a(1)", "https://a", "http://a b", "file:/a", "info:a", "a", "man:a https://b", "man:a x https://b", "http:", "https://", "file:", "file:a", "info:", "man:", "%i", "https://%i", "https://%%", "http://a%Z", "'man:a'", "", "mailto:a", "ftp://a", "https://\u00e9", "https://a/%Z man:b"], "man:a", "man:b"))
for n in "ExecStart ExecStartPre ExecCondition ExecStartPost ExecReload ExecStop ExecStopPost".split():
    add("Service", n, lists(COMMANDS if n in ("ExecStart", "ExecStartPre") else COMMANDS[:8], "/bin/true", "/bin/false"))
for n in "ExecStartPre ExecStartPost ExecStopPre ExecStopPost".split():
    add("Socket", n, lists(COMMANDS[:8], "/bin/true", "/bin/false"))
for n in "Wants Requires Requisite BindsTo PartOf Upholds Conflicts Before After OnFailure OnSuccess PropagatesReloadTo ReloadPropagatedFrom PropagatesStopTo StopPropagatedFrom".split():
    add("Unit", n, lists(NAMES if n in ("Wants", "After", "OnFailure") else NAMES[:3] + ["", "a@.service", "x.mount", "x.timer", "/a"], "a.service", "b.service"))
for n in "BindTo PropagateReloadTo PropagateReloadFrom RequiresOverridable RequisiteOverridable".split():
    add("Unit", n, lists(NAMES[:3] + [""], "a.service", "b.service"), {"BindTo": "BindsTo", "PropagateReloadTo": "PropagatesReloadTo", "PropagateReloadFrom": "ReloadPropagatedFrom", "RequiresOverridable": "Requires", "RequisiteOverridable": "Requisite"}[n])
add("Unit", "RequiresMountsFor", lists(PATHS + ["/a /b", "/a b", "'/a b' /c"], "/a", "/b"))
add("Unit", "OnFailureIsolate", scalars(BOOLEANS, "no", "no"), "OnFailureJobMode")
add("Service", "Sockets", lists(["a.socket", "a.socket b.socket", "a.service", "a", "", "a@.socket", "a@b.socket", "%i.socket", "%N.socket", "a.socket x b.socket", "'a.socket'"], "a.socket", "b.socket"), "TriggeredBy")
add("Service", "BusName", scalars(["org.example.A", "a", "org.example", ":1.2", "", "%i", "org..x", "org.example.%i"], "org.a", "org.b"))
add("Socket", "Service", scalars(["a.service", "a", "a.socket", "", "a@.service", "a@b.service", "%N.service", "a.service b.service", "'a.service'", "%i.service", "v.service"], "a.service", "b.service"), "Triggers")
add("Socket", "FileDescriptorName", scalars(["a", "a b", "a:b", "", "a" * 255, "a" * 256, "\u00e9", "%i", "%N", "%%", "a\tb", "'a'", "a/b", "%Z"], "a", "b"))
add("Socket", "BindToDevice", scalars(["eth0", "lo", "*", "", "a" * 15, "a" * 16, "a/b", "a b", "eth0:1", "\u00e9", "%i", "0", "1", "all", "default", ".", "..", "a%b", "-a", "a@b"], "eth0", "eth1"))
add("Socket", "TCPCongestion", scalars(STRINGS + ["cubic", "reno"], "cubic", "reno"))
add("Socket", "Symlinks", lists(PATHS + ["/a /b", "/a b /c"], "/a", "/b"))
add("Socket", "ListenStream", lists(ADDRESSES, "1.2.3.4:80", "/run/y"), "Listen")
add("Socket", "ListenDatagram", lists(ADDRESSES[:60:3], "1.2.3.4:80", "/run/y"), "Listen")
add("Socket", "ListenSequentialPacket", lists(["/run/x", "@x", "80", "1.2.3.4:80", "[::1]:80", "vsock:1:2", "", "run/x"], "/run/x", "@y"), "Listen")
add("Socket", "ListenFIFO", lists(PATHS, "/run/x", "/run/y"), "Listen"); add("Socket", "ListenSpecial", lists(PATHS, "/dev/null", "/dev/zero"), "Listen")
add("Socket", "ListenMessageQueue", lists(["/x", "x", "/x/y", "/", "/" + "a" * 254, "/" + "a" * 255, "", "/%i", "/a b", "//x", "/.", "/.."], "/x", "/y"), "Listen")
NETLINK = "route firewall inet-diag nflog xfrm selinux iscsi audit fib-lookup connector netfilter ip6-fw dnrtmsg kobject-uevent generic scsitransport ecryptfs rdma crypto smc usersock".split()
add("Socket", "ListenNetlink", lists(NETLINK + ["route 1", "route  1", "route 0x1", "route -1", "route 4294967295", "route 4294967296", "route 1 2", "15", "0 1", "99", "-1", "x", "ROUTE", "route x", "", "audit 1", "kobject-uevent %i", "'route 1'", "route\t1", "0xf", "256", "2147483647", "2147483648"], "route 1", "audit 1"), "Listen")
choice("Service", "UtmpMode", "init") if False else None
CREDS = ["a:/b", "a", "a:", ":/b", "a:b", "a:/b:c", "a/b:/c", "", "a:/b c:/d", "'a:/b'", "%i:/%i", ".:/a", "..:/a", "a:/" + "b" * 300, "a" * 255 + ":/b", "a" * 256 + ":/b", "a:/b/../c", "a:@x", "a\\x20:/b"]
add("Service", "LoadCredential", lists(CREDS, "a:/b", "c:/d"), "LoadCredential")
add("Service", "SetCredential", lists(["a:b", "a", "a:", ":b", "a:b c", "a:b:c", "a/b:c", "", "a:\\x41\\n", "a:'b'", "%i:%i", "a:%%", "a:\\q", "a:%Z", "a:\\x00", "a: b ", "'a:b'"], "a:b", "c:d"), "SetCredential")
PCOND = ["/a", "!/a", "|/a", "|!/a", "!|/a", "! /a", "| /a", "|| /a", "!!/a", "a", "", "!", "|", "/a b", "'/a'", "/%i", "/%Z", "/a//b/", "/a/../b", "%h/x", "/a*", "~/x"]
for n in "PathExists PathExistsGlob PathIsDirectory PathIsSymbolicLink PathIsMountPoint PathIsReadWrite PathIsEncrypted DirectoryNotEmpty FileNotEmpty FileIsExecutable".split():
    add("Unit", "Condition" + n, lists(PCOND, "/a", "!/b"), "Conditions")
add("Unit", "AssertPathExists", lists(PCOND, "/a", "!/b"), "Asserts")
SCOND = {"Architecture": "x86-64 native x86 x", "Virtualization": "yes no vm container kvm x private-users", "Host": "a *", "KernelCommandLine": "a a=b", "KernelVersion": ">5 <9 5.* =5 x", "Credential": "a a/b", "Environment": "A A=1", "Security": "selinux x", "Capability": "CAP_KILL 5 x", "ACPower": "yes no x true", "NeedsUpdate": "/etc /var x", "FirstBoot": "yes no x", "ControlGroupController": "cpu x v2", "Memory": "1G >1G x", "CPUs": "1 >1 x", "CPUFeature": "sse x", "OSRelease": "ID=debian x", "MemoryPressure": "10% 10%/1min x", "CPUPressure": "10% 200%", "IOPressure": "10% 10%/5x", "User": "root 0 @system x", "Group": "root 0 x"}
for n, v in SCOND.items():
    add("Unit", "Condition" + n, lists(v.split() + ["!" + v.split()[0], "|" + v.split()[0], "|!" + v.split()[0], "", "!", "%i", "%Z", "a b"], v.split()[0], "!" + v.split()[0]), "Conditions")
