import Glibc
import SystemPackage
import Testing

@testable import Linux

extension LinuxTests {
    /// Attributes that a program has from its plan, as the kernel tells them to the program itself.
    @Suite struct AttributeTests {
        private func lines(_ script: String, _ adjust: (inout SpawnPlan) -> Void) throws -> [String] {
            try output(of: ["/bin/sh", "-c", script], adjust).text.split(separator: "\n").map(String.init)
        }

        private func status(_ field: String, _ adjust: (inout SpawnPlan) -> Void) throws -> String? {
            let found = try lines("grep ^\(field): /proc/self/status") { adjust(&$0) }
            return found.first?.split(whereSeparator: \.isWhitespace).last.map(String.init)
        }

        @Test("SIGPIPE is ignored if the plan says so, and nothing else is")
        func ignoredPipe() throws {
            #expect(try status("SigIgn") { $0.ignoreSIGPIPE = true } == "0000000000001000")
            #expect(try status("SigIgn") { _ in } == "0000000000000000")
        }

        @Test("the core dump filter is the program's, and ours stays as it was")
        func coredumpFilter() throws {
            let before = ProcFile.read("/proc/self/coredump_filter", limit: 64)
            #expect(try lines("cat /proc/self/coredump_filter") { $0.coredumpFilter = 0x15 } == ["00000015"])
            #expect(ProcFile.read("/proc/self/coredump_filter", limit: 64) == before)
        }

        @Test("the OOM score is the program's, and ours stays as it was, also after a start that fails behind it")
        func oomScore() throws {
            let before = ProcFile.read("/proc/self/oom_score_adj", limit: 64)
            #expect(try lines("cat /proc/self/oom_score_adj") { $0.oomScoreAdjust = 321 } == ["321"])
            #expect(ProcFile.read("/proc/self/oom_score_adj", limit: 64) == before)
            _ = try? lines("cat /proc/self/oom_score_adj") {
                ($0.oomScoreAdjust, $0.program) = (322, "/does/not/exist")
            }
            #expect(ProcFile.read("/proc/self/oom_score_adj", limit: 64) == before)
        }

        @Test("CPU affinity, scheduling policy and I/O priority")
        func scheduling() throws {
            #expect(try status("Cpus_allowed_list") { $0.cpuAffinity = [0] } == "0")
            // Field 41 of stat(5) is the policy: batch is 3.
            let policy = try lines("cut -d' ' -f41 /proc/self/stat") {
                $0.cpuScheduling = .init(policy: 3, priority: 0, resetOnFork: false)
            }
            #expect(policy == ["3"])
            #expect(try lines("ionice") { $0.ioPriority = 3 << 13 | 7 } == ["idle"])
            #expect(try lines("ionice") { $0.ioPriority = 2 << 13 | 6 } == ["best-effort: prio 6"])
        }

        @Test("timer slack and personality")
        func slackAndPersonality() throws {
            #expect(try lines("cat /proc/$$/timerslack_ns") { $0.timerSlack = 123_456 } == ["123456"])
            let machine = try lines("uname -m") { $0.personality = 8 }
            #if arch(x86_64)
                #expect(machine == ["i686"])
            #else
                #expect(machine != [])
            #endif
        }

        @Test("limits: only downwards, so that it works without CAP_SYS_RESOURCE")
        func limits() throws {
            // FSIZE, CORE, NOFILE, MEMLOCK, LOCKS, SIGPENDING, MSGQUEUE: none that `cat` needs more of.
            let numbers: [Int32] = [1, 4, 7, 8, 10, 11, 12]
            let text = try lines("exec cat /proc/self/limits") { plan in
                plan.limits = numbers.map { .init(resource: $0, soft: 21, hard: 43) }
            }
            let changed = text.filter {
                $0.split(separator: " ").contains("21") && $0.split(separator: " ").contains("43")
            }
            #expect(changed.count == numbers.count, "\(text)")
        }

        @Test("a limit, nice level or OOM score that the kernel denies: the nearest is taken, and named")
        func easedAttributes() throws {
            var hard = rlimit()
            getrlimit(__rlimit_resource_t(7), &hard)
            // Above fs.nr_open, which nobody may exceed.
            let wanted: UInt64 = 1 << 40
            let limit = try lines("ulimit -Hn; ulimit -Sn") {
                $0.limits = [.init(resource: 7, soft: wanted, hard: wanted)]
            }
            #expect(limit == ["\(hard.rlim_max)", "\(hard.rlim_max)"])
            var plan = SpawnPlan(
                program: "/bin/true", arguments: ["true"], standardInput: 0, standardOutput: 1, standardError: 2)
            plan.limits = [.init(resource: 4, soft: 0, hard: 0), .init(resource: 7, soft: wanted, hard: wanted)]
            let child = try ProcessSpawner.spawn(plan)
            #expect(child.eased == ["LimitNOFILE=\(wanted)"])
            var status: Int32 = 0
            waitpid(child.pid, &status, 0)
        }

        @Test("no new privileges, for the program and its children")
        func noNewPrivileges() throws {
            #expect(try status("NoNewPrivs") { $0.noNewPrivileges = true } == "1")
            #expect(try status("NoNewPrivs") { _ in } == "0")
        }

        @Test("capabilities: bounded for root, ambient for a user without privileges", .enabled(if: isRoot))
        func capabilities() throws {
            let chownAndKill: UInt64 = 1 << 0 | 1 << 5
            #expect(try status("CapEff") { $0.capabilityBoundingSet = chownAndKill } == "0000000000000021")
            #expect(try status("CapBnd") { $0.capabilityBoundingSet = chownAndKill } == "0000000000000021")
            let nobody = Credentials(uid: 65534, gid: 65534, groups: [65534])
            for field in ["CapEff", "CapPrm", "CapAmb", "CapInh"] {
                let set = try status(field) {
                    $0.credentials = nobody
                    $0.ambientCapabilities = 1 << 10
                }
                #expect(set == "0000000000000400", "\(field)")
            }
            #expect(try status("CapEff") { $0.credentials = nobody } == "0000000000000000")
            // "All but one": the set has bits for which the kernel has no capability.
            #expect(try output(of: ["/bin/true"]) { $0.capabilityBoundingSet = ~1 }.status == .exited(0))
        }

        @Test("secure bits outlive the change of user", .enabled(if: isRoot && access("/sbin/capsh", X_OK) == 0))
        func secureBits() throws {
            let text = try lines("/sbin/capsh --print 2>/dev/null | grep Securebits; id -u") {
                $0.credentials = Credentials(uid: 65534, gid: 65534, groups: [])
                $0.secureBits = 1
            }
            try #require(text.count == 2, "\(text)")
            #expect(text[0].contains("0x1/") || text[0].contains("01/"), "\(text)")
            #expect(text[1] == "65534")
        }

        @Test("a new root directory, and the working directory inside it", .enabled(if: isRoot))
        func rootDirectory() throws {
            let scratch = try Scratch()
            try FileTree.makeDirectory(scratch("root/inside"))
            // Nothing in there can be executed: the exec fails, and that says where it looked.
            let error = #expect(throws: SpawnError.self) {
                _ = try output(of: ["/bin/true"]) {
                    $0.rootDirectory = .init(path: scratch("root"))
                    $0.workingDirectory = .init(path: "/inside")
                }
            }
            #expect(error?.step == .executing)
            let missing = #expect(throws: SpawnError.self) {
                _ = try output(of: ["/bin/true"]) { $0.rootDirectory = .init(path: scratch("nosuch")) }
            }
            #expect(missing?.step == .rootDirectory)
            let optional = try output(of: ["/bin/true"]) {
                $0.rootDirectory = .init(path: scratch("nosuch"), optional: true)
            }
            #expect(optional.status == .exited(0))
        }

        /// Containers may have no keyrings at all; then /proc/key-users is missing or empty.
        private static let hasKeyrings = !(ProcFile.read("/proc/key-users", limit: 64) ?? []).isEmpty

        @Test(
            "a session keyring of its own, owned by the user, with the run's id in it",
            .enabled(if: isRoot && hasKeyrings))
        func keyring() throws {
            let other = try lines("cat /proc/keys") {
                $0.keyring = .ownSession
                $0.invocation = Array(repeating: 7, count: 16)
                $0.credentials = Credentials(uid: 65534, gid: 65534, groups: [])
            }
            #expect(other.contains { $0.contains("invocation_id") }, "\(other)")
            #expect(other.contains { $0.contains("keyring") && $0.contains(" 65534 65534 ") }, "\(other)")
        }

        @Test("each attribute that is refused is named as the directive that asked for it")
        func refused() throws {
            func text(_ adjust: (inout SpawnPlan) -> Void) -> String? {
                do throws(any Error) {
                    _ = try output(of: ["/bin/true"], adjust)
                    return nil
                } catch { return (error as? SpawnError)?.description }
            }
            #expect(text { $0.cpuAffinity = [8000] } == "setting CPUAffinity= 8000: Invalid argument")
            #expect(
                text { $0.cpuScheduling = .init(policy: 77, priority: 0, resetOnFork: false) }
                    == "setting CPUSchedulingPolicy= 77, priority 0: Invalid argument")
            #expect(text { $0.ioPriority = 5 << 13 } == "setting IOSchedulingClass= 5, priority 0: Invalid argument")
            #expect(
                text { $0.limits = [.init(resource: 8, soft: 2, hard: 1)] } == "setting LimitMEMLOCK=: Invalid argument"
            )
        }

        @Test(
            "a directory for a service has its mode and owner, and a second look changes only the owner of it all",
            .enabled(if: isRoot))
        func serviceDirectory() throws {
            let scratch = try Scratch()
            func owner(_ path: String) -> [UInt32] {
                var status = stat()
                guard lstat(scratch(path), &status) == 0 else { return [] }
                return [status.st_uid, status.st_gid, UInt32(status.st_mode & 0o7777)]
            }
            try ServiceDirectory.make(scratch("a/b"), mode: 0o750, owner: (7, 8))
            #expect(owner("a") == [0, 0, 0o755] && owner("a/b") == [7, 8, 0o750])
            _ = try scratch.write("a/b/file", "x")
            symlink("/etc/passwd", scratch("a/b/link"))
            try ServiceDirectory.make(scratch("a/b"), mode: 0o700, owner: (7, 8))
            #expect(
                owner("a/b") == [7, 8, 0o700] && owner("a/b/file").first == 0, "right already: nothing below changes")
            try ServiceDirectory.make(scratch("a/b"), mode: 0o700, owner: (9, 9))
            #expect(
                owner("a/b") == [9, 9, 0o700] && owner("a/b/file")[..<2] == [9, 9] && owner("a/b/link")[..<2] == [9, 9])
            var passwd = stat()
            #expect(stat("/etc/passwd", &passwd) == 0 && passwd.st_uid == 0, "a link's target is nobody's business")
            let root = scratch("")
            try ServiceDirectory.link("l/x", to: "a/b", in: root)
            try ServiceDirectory.link("l/x", to: "a/b", in: root)
            #expect(owner("l/x/file")[..<2] == [9, 9], "the link leads there")
            #expect(throws: SystemError.self) { try ServiceDirectory.link("l/x", to: "elsewhere", in: root) }
            try ServiceDirectory.unlink("l/x", to: "elsewhere", in: root)
            #expect(owner("l/x") != [])
            try ServiceDirectory.unlink("l/x", to: "a/b", in: root)
            #expect(owner("l/x") == [])
        }
    }
}
