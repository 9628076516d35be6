import Glibc
import SystemPackage
import Testing
import Vocabulary

@testable import Linux

extension LinuxTests {
    @Suite struct SpawnTests {
        @Test("a child sees exactly 0, 1, 2 and the descriptors passed to it", arguments: [true, false])
        func exactDescriptors(useClone3: Bool) throws {
            let passed = try OwnedDescriptor.open("/etc/passwd", O_RDONLY)
            let leaked = open("/etc/group", O_RDONLY)  // not close-on-exec, as a careless library would
            defer { close(leaked) }
            // The shell lists its own descriptors by globbing, so nothing of a helper program is in the list.
            let result = try output(
                of: ["/bin/sh", "-c", "cd /proc/self/fd; for f in *; do readlink -v $f >/dev/null && echo $f; done"],
                useClone3: useClone3
            ) { plan in plan.descriptors = [passed.raw, passed.raw] }
            // The glob itself holds the directory open as one more descriptor, gone when readlink looks.
            let numbers = result.text.split(separator: "\n").compactMap { Int($0) }
            #expect(numbers == [0, 1, 2, 3, 4])
        }

        @Test("sources that are each other's targets arrive in the wanted order and survive the exec")
        func collidingDescriptors() throws {
            let scratch = try Scratch()
            var sources: [Int32] = []
            // Take the numbers 3… by dup2 onto high numbers and hand them over in reverse: every target is a source.
            var owners: [Int32] = []
            for index in 0..<6 {
                _ = try scratch.write("f\(index)", "file \(index)\n")
                let file = try OwnedDescriptor.open(scratch("f\(index)"), O_RDONLY)
                owners.append(file.release())
            }
            sources = owners.reversed()
            let result = try output(
                of: ["/bin/sh", "-c", "for n in 3 4 5 6 7 8; do eval \"cat <&$n\"; done"]
            ) { $0.descriptors = sources }
            #expect(result.text == (0..<6).reversed().map { "file \($0)\n" }.joined())
            // And a descriptor that stays where it is loses close-on-exec.
            if let first = owners.first {
                lseek(first, 0, SEEK_SET)
                let padding = Array(repeating: first, count: Int(first) - 2)
                let same = try output(of: ["/bin/cat", "/proc/self/fd/\(first)"]) { $0.descriptors = padding }
                #expect(same.text == "file 0\n")
            }
            for owner in owners { close(owner) }
        }

        @Test("any descriptors under any numbers: repeated, in circles, where they are already")
        func anyPlacement() throws {
            let scratch = try Scratch()
            var owners: [Int32] = []
            defer { for owner in owners { close(owner) } }
            for index in 0..<40 {
                _ = try scratch.write("f\(index)", "")
                owners.append(try OwnedDescriptor.open(scratch("f\(index)"), O_RDONLY).release())
            }
            let highest = Int(try #require(owners.max()))
            for round in 0..<60 {
                // Every number that a source has is the target of another one.
                var sources = (3...highest + 4).map { _ in owners.randomElement() ?? 0 }
                switch round % 3 {
                case 0: for (place, owner) in zip(owners.shuffled(), owners) { sources[Int(place) - 3] = owner }
                case 1: for owner in owners where Bool.random() { sources[Int(owner) - 3] = owner }
                default: break
                }
                let numbers = sources.indices.map { "/proc/self/fd/\(3 + $0)" }
                let result = try output(of: ["/usr/bin/readlink"] + numbers) { $0.descriptors = sources }
                let wanted = sources.map { scratch("f\(owners.firstIndex(of: $0) ?? -1)") }
                #expect(result.text.split(separator: "\n").map(String.init) == wanted, "\(sources)")
            }
        }

        @Test("LISTEN_PID is the pid of the executed program", arguments: [true, false])
        func listenPid(useClone3: Bool) throws {
            let result = try output(of: ["/bin/sh", "-c", "echo $$ $LISTEN_PID $LISTEN_FDS"], useClone3: useClone3) {
                plan in
                plan.environment["LISTEN_FDS"] = "1"
                plan.pidVariables = ["LISTEN_PID"]
            }
            let words = result.text.split(whereSeparator: \.isWhitespace)
            #expect(words.count == 3 && words[0] == words[1] && words[2] == "1")
        }

        @Test("nothing of our environment is passed on, and values may hold anything but NUL")
        func environment() throws {
            let result = try output(of: ["/usr/bin/env"], environment: ["A": "x y=z", "Ä": "ü"])
            #expect(result.text == "A=x y=z\nÄ=ü\n")
        }

        @Test("a program that does not exist is named with the reason, and no process or descriptor is left")
        func missingProgram() throws {
            let before = openDescriptors()
            let error = #expect(throws: SpawnError.self) { _ = try output(of: ["/srv/site/v2/bin/server"]) }
            #expect(error?.description == "executing /srv/site/v2/bin/server: No such file or directory")
            #expect(openDescriptors() == before)
            #expect(waitpid(-1, nil, WNOHANG) == -1 && errno == ECHILD)
        }

        @Test("a file that is not executable is named")
        func notExecutable() throws {
            let error = #expect(throws: SpawnError.self) { _ = try output(of: ["/etc/passwd"]) }
            #expect(error?.step == .executing && error?.cause.errno == .permissionDenied)
        }

        @Test("each step that fails says which it was and on what")
        func everyStep() throws {
            func failure(_ adjust: (inout SpawnPlan) -> Void) -> SpawnError? {
                do throws(any Error) {
                    _ = try output(of: ["/bin/true"], adjust)
                    return nil
                } catch { return error as? SpawnError }
            }
            #expect(
                failure { $0.descriptors = [999] }?.description == "passing descriptors number 3: Bad file descriptor")
            #expect(
                failure { $0.workingDirectory = .init(path: "/nosuch") }?.description
                    == "changing to directory /nosuch: No such file or directory")
            #expect(failure { $0.limits = [.init(resource: 7, soft: 9, hard: 8)] }?.step == .limits)
            #expect(
                failure { $0.limits = [.init(resource: 7, soft: 9, hard: 8)] }?.description
                    == "setting LimitNOFILE=: Invalid argument")
            #expect(failure { $0.oomScoreAdjust = 5000 }?.step == .oomScore)
            #expect(failure { $0.cgroup = 0 }?.step == .cgroup)
            #expect(failure { $0.program = "relative" }?.step == .executing)
            #expect(failure { $0.descriptors = Array(repeating: 0, count: 2000) }?.step == .descriptors)
        }

        @Test(
            "without privilege a change of user or group is refused at its step; of nice level and OOM score the nearest counts",
            .enabled(if: isRoot))
        func refusedWithoutPrivilege() throws {
            // A first child drops privilege, so the refusal is the kernel's; it is asked through this test's own plan.
            let saved = geteuid()
            try #require(seteuid(65534) == 0)
            defer { seteuid(saved) }
            func step(_ adjust: (inout SpawnPlan) -> Void) -> SpawnError.Step? {
                do throws(any Error) {
                    _ = try output(of: ["/bin/true"], adjust)
                    return nil
                } catch { return (error as? SpawnError)?.step }
            }
            #expect(step { $0.credentials = Credentials(uid: 1, gid: 1, groups: []) } == .group)
            var plan = SpawnPlan(
                program: "/bin/true", arguments: ["true"], standardInput: 0, standardOutput: 1, standardError: 2)
            plan.nice = -5
            plan.oomScoreAdjust = -1000
            let child = try ProcessSpawner.spawn(plan)
            #expect(child.eased == ["Nice=-5", "OOMScoreAdjust=-1000"])
            var status: Int32 = 0
            waitpid(child.pid, &status, 0)
            #expect(status == 0)
        }

        @Test("a working directory that may be missing does not stop the start")
        func optionalDirectory() throws {
            let result = try output(of: ["/bin/pwd"]) { $0.workingDirectory = .init(path: "/nosuch", optional: true) }
            #expect(result.status == .exited(0))
            let there = try output(of: ["/bin/pwd"]) { $0.workingDirectory = .init(path: "/usr/share") }
            #expect(there.text == "/usr/share\n")
        }

        @Test("user, groups, umask, limits, nice and OOM score are what the plan says", .enabled(if: isRoot))
        func attributes() throws {
            let script =
                "id -u; id -g; id -G; umask; ulimit -n; nice; cat /proc/self/oom_score_adj; ps -o sid= -p $$ | tr -d ' '; echo $$"
            let result = try output(of: ["/bin/sh", "-c", script]) { plan in
                plan.credentials = Credentials(uid: 65534, gid: 65534, groups: [65534, 4])
                plan.umask = 0o027
                plan.limits = [.init(resource: 7, soft: 100, hard: 200)]
                plan.nice = 3
                plan.oomScoreAdjust = 200
            }
            let lines = result.text.split(separator: "\n").map(String.init)
            try #require(lines.count == 9, "\(result.text)")
            #expect(lines[0..<7] == ["65534", "65534", "65534 4", "0027", "100", "3", "200"])
            #expect(lines[7] == lines[8], "the child leads its own session")
            // The child's change of user must not have cost us our own dumpable flag (shared memory).
            #expect(access("/proc/self/fd", R_OK) == 0)
        }

        @Test("signals that we block or ignore are back to normal in the child")
        func signalsReset() throws {
            signal(SIGPIPE, SIG_IGN)
            var set = sigset_t()
            sigemptyset(&set)
            sigaddset(&set, SIGTERM)
            var before = sigset_t()
            pthread_sigmask(SIG_BLOCK, &set, &before)
            let result = try output(of: ["/bin/grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"])
            pthread_sigmask(SIG_SETMASK, &before, nil)
            let values = result.text.split(separator: "\n").map { $0.split(whereSeparator: \.isWhitespace)[1] }
            #expect(values == ["0000000000000000", "0000000000000000"])
        }

        @Test("1,000 starts leak no descriptor and no zombie")
        func noLeak() throws {
            let before = openDescriptors()
            for _ in 0..<1000 {
                let result = try output(of: ["/bin/true"])
                #expect(result.status == .exited(0))
            }
            #expect(openDescriptors() == before)
            #expect(waitpid(-1, nil, WNOHANG) == -1 && errno == ECHILD)
        }

        @Test("a name without a slash is found in the fixed path; others are named as missing")
        func search() throws {
            #expect(try ProgramSearch.find("sh").hasSuffix("bin/sh"))
            #expect(try ProgramSearch.find("./sh") == "./sh")
            #expect(throws: SystemError("find program", "no-such-thing", .noSuchFileOrDirectory)) {
                try ProgramSearch.find("no-such-thing")
            }
        }

        @Test("accounts are found by name and number; unknown ones are named")
        func accounts() throws {
            #expect(try Accounts.user("root").uid == 0)
            #expect(try Accounts.user("0").name == "root")
            #expect(try Accounts.user("54321").uid == 54321)
            #expect(try Accounts.group("root") == 0)
            #expect(throws: UnknownAccount(kind: .user, name: "nosuch")) { try Accounts.user("nosuch") }
            #expect(UnknownAccount(kind: .user, name: "nosuch").description == "user nosuch does not exist")
            #expect(throws: UnknownAccount.self) { try Accounts.group("nosuch") }
            let credentials = try Accounts.credentials(user: "nobody", group: nil, supplementaryGroups: ["adm"])
            #expect(credentials.uid == 65534 && credentials.groups.contains(4))
        }

        @Test("exit statuses and signals have the names of the field")
        func names() {
            #expect(Vocabulary.ExitStatus.exited(1).description == "exited with status 1")
            #expect(Vocabulary.ExitStatus.exited(203).description == "exited with status 203/EXEC")
            #expect(Vocabulary.ExitStatus.exited(42).description == "exited with status 42")
            #expect(Vocabulary.ExitStatus.signalled(.kill, coreDumped: false).description == "killed by SIGKILL")
            let unnamed = Vocabulary.ExitStatus.signalled(Signal(rawValue: 33), coreDumped: true)
            #expect(unnamed.description == "killed by signal 33 (core dumped)")
            #expect(
                Vocabulary.ExitStatus.signalled(Signal(rawValue: 37), coreDumped: false).description
                    == "killed by SIGRTMIN+3")
        }
    }
}
