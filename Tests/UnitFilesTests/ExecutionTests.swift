import Testing

@testable import UnitFiles

@Suite("How processes are executed")
struct ExecutionTests {
    private func execution(_ lines: String) throws -> ExecutionSettings {
        let loaded = try service(lines)
        #expect(loaded.diagnostics == [])
        return try #require(loaded.service).execution
    }

    @Test("every limit is read in its own unit")
    func limits() throws {
        let limits = try execution(
            """
            LimitCPU=1min 500ms
            LimitFSIZE=1G:infinity
            LimitCORE=infinity
            LimitNPROC=12
            LimitMEMLOCK=64K
            LimitNICE=-5
            LimitRTPRIO=7
            LimitRTTIME=200000:1s
            LimitSTACK=8M
            """
        ).limits
        #expect(limits[.cpu] == ResourceLimit(soft: 61, hard: 61), "rounded up to whole seconds")
        #expect(limits[.fsize] == ResourceLimit(soft: 1 << 30, hard: nil))
        #expect(limits[.core] == ResourceLimit(soft: nil, hard: nil))
        #expect(limits[.nproc] == ResourceLimit(soft: 12, hard: 12))
        #expect(limits[.memlock] == ResourceLimit(soft: 65536, hard: 65536))
        #expect(limits[.nice] == ResourceLimit(soft: 25, hard: 25), "a nice level counts as 20 - level")
        #expect(limits[.rtprio] == ResourceLimit(soft: 7, hard: 7))
        #expect(limits[.rttime] == ResourceLimit(soft: 200_000, hard: 1_000_000), "a bare number is microseconds")
        #expect(limits[.stack] == ResourceLimit(soft: 8 << 20, hard: 8 << 20))
        let emptied = try service("LimitSTACK=8M\nLimitSTACK=")
        #expect(codes(emptied.diagnostics) == [.invalidValue], "an empty assignment takes nothing back")
        #expect(emptied.service?.execution.limits[.stack]?.soft == 8 << 20)
        #expect(codes(try service("LimitNICE=41").diagnostics) == [.invalidValue])
        #expect(codes(try service("LimitNOFILE=2:1").diagnostics) == [.invalidValue])
    }

    @Test("scheduling, OOM score, core dumps and personality")
    func scheduling() throws {
        let all = try execution(
            """
            CPUSchedulingPriority=0
            CPUSchedulingPolicy=fifo
            CPUSchedulingPriority=20
            CPUSchedulingResetOnFork=yes
            CPUAffinity=0 2-4,6
            CPUAffinity=9
            IOSchedulingClass=idle
            IOSchedulingPriority=7
            TimerSlackNSec=1ms 5
            CoredumpFilter=default shared-dax
            CoredumpFilter=0x4
            Personality=x86
            IgnoreSIGPIPE=no
            KeyringMode=shared
            OOMScoreAdjust=-1000
            """)
        #expect(all.cpuScheduling?.policy == .fifo && all.cpuScheduling?.priority == 20)
        #expect(all.cpuScheduling?.resetOnFork == true && all.cpuAffinity == [0, 2, 3, 4, 6, 9])
        #expect(all.ioScheduling?.number == 3 << 13 | 7 && all.timerSlack == 1_000_005)
        #expect(all.coredumpFilter == 0x133 | 4 && all.personality == .compat32 && !all.ignoreSIGPIPE)
        #expect(all.keyringMode == .shared && all.oomScoreAdjust == -1000)
        let defaults = try execution("")
        #expect(defaults.ignoreSIGPIPE && defaults.cpuScheduling == nil && defaults.keyringMode == nil)
        #expect(try execution("CPUSchedulingPolicy=rr").cpuScheduling?.priority == 1, "the lowest that there is")
        #expect(codes(try service("CPUSchedulingPriority=5").diagnostics) == [.invalidValue], "other has only 0")
        #expect(codes(try service("Personality=s390").diagnostics) == [.invalidValue])
        #expect(codes(try service("CPUAffinity=3-1").diagnostics) == [.invalidValue])
    }

    @Test("capability sets are merged, subtracted and reset as in systemd")
    func capabilities() throws {
        let bits = try execution("CapabilityBoundingSet=CAP_CHOWN CAP_KILL\nCapabilityBoundingSet=~cap_kill")
            .capabilityBoundingSet?.bits
        #expect(bits == 1)
        #expect(try execution("CapabilityBoundingSet=~CAP_CHOWN").capabilityBoundingSet?.bits == ~1)
        #expect(try execution("CapabilityBoundingSet=").capabilityBoundingSet?.bits == 0)
        #expect(try execution("CapabilityBoundingSet=CAP_KILL\nCapabilityBoundingSet=~").capabilityBoundingSet == nil)
        let ambient = try execution("AmbientCapabilities=CAP_NET_BIND_SERVICE\nAmbientCapabilities=CAP_CHOWN")
        #expect(ambient.ambientCapabilities.bits == 1 << 10 | 1)
        #expect(try execution("SecureBits=noroot keep-caps-locked").secureBits.rawValue == 0x21)
        #expect(try execution("NoNewPrivileges=yes").noNewPrivileges)
        let wrong = try service("CapabilityBoundingSet=CAP_CHWON")
        #expect(wrong.unit == nil && wrong.diagnostics.first?.suggestion == "CAP_CHOWN")
    }

    @Test("directories have modes and links, and stay below their root")
    func directories() throws {
        let all = try execution(
            """
            RuntimeDirectory=app:link app/./sub app:other
            RuntimeDirectoryMode=0750
            StateDirectory=%N
            ConfigurationDirectory=app
            RuntimeDirectoryPreserve=restart
            """)
        let runtime = try #require(all.directories[.runtime])
        #expect(runtime.entries == [.init("app", link: "link"), .init("app/sub"), .init("app", link: "other")])
        #expect(runtime.paths == ["app", "app/sub"] && runtime.mode == 0o750)
        #expect(all.directories[.state]?.paths == ["app"] && all.directories[.state]?.mode == 0o755)
        #expect(all.runtimeDirectoryPreserve == .restart)
        for bad in [
            "RuntimeDirectory=/run/app", "StateDirectory=../x", "ConfigurationDirectory=a:b", "CacheDirectory=.",
        ] {
            #expect(try service(bad).unit == nil, "\(bad)")
        }
        #expect(try execution("LogsDirectory=a\nLogsDirectory=").directories[.logs]?.entries == [])
    }

    @Test("the supervisor's own directories, what is in them and what they are in are given to no service")
    func ownDirectories() throws {
        var host = SpecifierEnvironment()
        host.ownDirectories = ["/run/holdfast", "/var/lib/holdfast", "/var/log/site/holdfast"]
        func load(_ line: String) throws -> LoadedUnit {
            loader(["app.service": "[Service]\nExecStart=/bin/app\n" + line], specifiers: host)
                .load(try name("app.service"))
        }
        for bad in [
            "RuntimeDirectory=holdfast", "RuntimeDirectory=./holdfast", "RuntimeDirectory=a holdfast//generations/./x",
            "StateDirectory=holdfast", "StateDirectory=app:holdfast/link", "LogsDirectory=site",
            "LogsDirectory=site/holdfast",
        ] {
            let loaded = try load(bad)
            #expect(loaded.unit == nil, "\(bad)")
            let found = try #require(loaded.diagnostics.first)
            #expect(found.location.line == 3 && found.message.contains("belongs to the supervisor"), "\(found)")
        }
        for good in ["RuntimeDirectory=holdfast2 app/holdfast", "StateDirectory=site", "LogsDirectory=site2"] {
            #expect(try load(good).unit != nil, "\(good)")
        }
    }

    @Test("environment: passed, unset, by name or by assignment")
    func environment() throws {
        let all = try execution(
            "PassEnvironment=HOME LANG\nUnsetEnvironment=A B=c\nSetLoginEnvironment=no\nExecSearchPath=/opt/bin:/bin")
        #expect(all.passEnvironment == ["HOME", "LANG"] && all.setLoginEnvironment == false)
        #expect(all.unsetEnvironment == [.name("A"), .assignment(.init(name: "B", value: "c"))])
        #expect(all.execSearchPath == ["/opt/bin", "/bin"])
    }

    @Test("data for standard input: text with escapes and specifiers, Base64, joined in order")
    func inputData() throws {
        let all = try execution("StandardInputText=a\\tb \"%N\"\nStandardInputData=AAH/\nStandardInputText=end")
        #expect(all.standardInput == .data)
        #expect(all.inputData == Array("a\tb \"app\"\n".utf8) + [0, 1, 255] + Array("end\n".utf8))
        #expect(try execution("StandardInputText=x\nStandardInputText=").standardInput == .null)
        #expect(try execution("StandardInputText=x\nStandardInput=null").standardInput == .null)
        for (text, bytes) in [("", []), ("Zg==", [102]), ("Zm8=", [102, 111]), ("Zm9v Yg==", [102, 111, 111, 98])] {
            #expect(try Base64.decode(text) == bytes.map { UInt8($0) })
        }
        for bad in ["Zg=", "Z", "Zg==Z", "Zm9*"] { #expect(throws: ValueError.self) { try Base64.decode(bad) } }
    }

    @Test("what confines a service and is not carried out stops it, each directive by name and place")
    func protection() throws {
        let refused = try service("PrivateTmp=yes\nMemoryMax=1G\nProtectSystem=strict")
        #expect(refused.unit == nil)
        #expect(refused.diagnostics.map(\.directive) == ["MemoryMax", "PrivateTmp", "ProtectSystem"])
        #expect(refused.diagnostics.map(\.location.line) == [4, 3, 5])
        #expect(refused.diagnostics.allSatisfy { $0.severity == .error && $0.code == .unsupportedDirective })
        let allowed = try service("PrivateTmp=yes\nX-AllowUnsupported=yes")
        #expect(allowed.unit != nil && allowed.diagnostics.map(\.severity) == [.warning])
    }

    @Test(
        "a value that asks for nothing is no protection that is missing",
        arguments: [
            "PrivateTmp=no", "ProtectSystem=false", "ProtectProc=default", "TasksMax=infinity", "MemoryMax=",
            "PrivateTmp=yes\nPrivateTmp=no", "SystemCallFilter=@system-service\nSystemCallFilter=", "Delegate=0",
        ])
    func neutral(lines: String) throws {
        let loaded = try service(lines)
        #expect(loaded.diagnostics == [] && loaded.unit != nil)
    }

    @Test("a limit of zero is a limit")
    func zeroIsALimit() throws { #expect(try service("MemoryMax=0").unit == nil) }

    @Test("a socket's own commands have settings of their own")
    func socket() throws {
        let loaded = try load("a.socket", "[Socket]\nListenStream=80\nUser=web\nLimitNPROC=3")
        #expect(loaded.diagnostics == [] && loaded.socket?.execution.user == "web")
        #expect(loaded.socket?.execution.limits[.nproc]?.soft == 3)
    }

    @Test("a terminal and what is done to it; a tty that nobody frees is named, because nobody is waited for")
    func terminal() throws {
        let unit = try service(
            "StandardInput=tty\nTTYPath=/dev/tty%i7\nTTYReset=yes\nTTYVHangup=1\nTTYVTDisallocate=yes\nTTYRows=25\n"
                + "TTYColumns=80\nTTYRows=")
        let found = try #require(unit.service)
        #expect(unit.diagnostics.isEmpty && found.standardOutput == .inherit)
        #expect(found.execution.standardInput == .terminal(.wait) && found.terminal.path == "/dev/tty7")
        #expect(found.terminal.isReset && found.terminal.isHungUp && found.terminal.isDeallocated)
        #expect(found.terminal.rows == nil && found.terminal.columns == 80)
        #expect(codes(try service("StandardInput=tty").diagnostics) == [.unsupportedValue])
        #expect(try service("StandardInput=tty-force\nStandardError=tty").diagnostics.isEmpty)
        #expect(try load("a.socket", "[Socket]\nListenStream=80\nStandardInput=tty-fail").unit == nil)
    }
}
