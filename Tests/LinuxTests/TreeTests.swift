import CSpawn
import Glibc
import SystemPackage
import Testing
import Vocabulary

@testable import Linux

extension LinuxTests {
    @Suite struct TreeTests {
        let loop: EventLoop
        let children: Children

        init() throws {
            loop = try EventLoop()
            children = Children(loop: loop)
            holdfast_become_subreaper(1)
        }

        static let cookie = "0123456789abcdef0123456789abcdef"

        /// A service with a grandchild in a session of its own, and a third that also has another parent.
        private struct Family: ~Copyable {
            let child: Child
            let others: [Int32]
        }

        private func family(_ tree: ProcessTree, _ scratch: Scratch) throws -> Family {
            let script = """
                setsid sh -c 'echo $$ > \(scratch("a.tmp")); mv \(scratch("a.tmp")) \(scratch("a")); exec sleep 1000' &
                (setsid sh -c 'trap "" TERM; echo $$ > \(scratch("b.tmp")); mv \(scratch("b.tmp")) \(scratch("b")); exec sleep 1000' &)
                exec sleep 1000
                """
            let child = try shell(script, children: children, environment: ["INVOCATION_ID": Self.cookie]) {
                $0.cgroup = tree.spawnCgroup
            }
            tree.started(main: child.pid)
            try loop.run(until: { scratch.read("a") != nil && scratch.read("b") != nil })
            let others = ["a", "b"].compactMap { scratch.read($0).flatMap { Int32($0.dropLast()) } }
            return Family(child: child, others: others)
        }

        @Test("grandchildren with sessions of their own die with the tree", arguments: [true, false])
        func killsAll(useCgroups: Bool) throws {
            let scratch = try Scratch()
            let trees = ProcessTrees(name: "test-\(getpid())", useCgroups: useCgroups)
            if useCgroups && !trees.usesCgroups { return }
            let tree = try trees.make(name: "app@v1.service.1", cookie: Self.cookie)
            let family = try family(tree, scratch)
            let others = family.others
            #expect(Set(tree.members()) == Set(others + [family.child.pid]))
            #expect(!tree.isEmpty && tree.contains(family.child.pid) && !tree.contains(getpid()))

            var status: Vocabulary.ExitStatus?
            var empty = false
            let watch = try children.watch(family.child.handle) { status = $0 }
            try tree.whenEmpty(loop: loop) { empty = true }
            tree.killAll()
            try loop.run(until: { empty && status != nil })
            #expect(tree.isEmpty && tree.members().isEmpty)
            for pid in others { #expect([nil, "Z"].contains(ProcessFacts.read(pid)?.state)) }
            children.reapOrphans()
            try tree.remove()
            trees.remove()
            if let path = trees.rootPath { #expect(access(path, F_OK) != 0) }
            #expect(waitpid(-1, nil, WNOHANG) == -1 && errno == ECHILD)
            withExtendedLifetime(watch) {}
        }

        @Test("empty is said only when the last of those left over is gone", arguments: [true, false])
        func emptyAfterLast(useCgroups: Bool) throws {
            let scratch = try Scratch()
            let trees = ProcessTrees(name: "test2-\(getpid())", useCgroups: useCgroups)
            if useCgroups && !trees.usesCgroups { return }
            let tree = try trees.make(name: "app.service", cookie: Self.cookie)
            let family = try family(tree, scratch)
            let others = family.others
            var status: Vocabulary.ExitStatus?
            let watch = try children.watch(family.child.handle) { status = $0 }
            try family.child.handle.send(.kill)
            try loop.run(until: { status != nil })
            // The main process is gone and reaped; the two others are found all the same.
            #expect(Set(tree.members()) == Set(others))
            var empty = false
            try tree.whenEmpty(loop: loop) { empty = true }
            tree.signalAll(.terminate)  // one obeys, one ignores it
            try loop.run(until: { tree.members() == [others[1]] })
            try loop.runOnce(timeout: 20_000)
            #expect(!empty)
            tree.signalAll(.kill)
            try loop.run(until: { empty })
            children.reapOrphans()
            try tree.remove()
            trees.remove()
            withExtendedLifetime(watch) {}
        }

        @Test("an empty tree says so at once, and an exception is spared by a signal to all", arguments: [true, false])
        func emptyAndExcept(useCgroups: Bool) throws {
            let trees = ProcessTrees(name: "test3-\(getpid())", useCgroups: useCgroups)
            if useCgroups && !trees.usesCgroups { return }
            let tree = try trees.make(name: "cpu.stat", cookie: Self.cookie)
            var empty = false
            try tree.whenEmpty(loop: loop) { empty = true }
            try loop.run(until: { empty })
            let child = try shell("exec sleep 1000", children: children, environment: ["INVOCATION_ID": Self.cookie]) {
                $0.cgroup = tree.spawnCgroup
            }
            tree.started(main: child.pid)
            tree.signalAll(.kill, except: child.pid)
            #expect(tree.members() == [child.pid])
            tree.killAll()
            #expect(waitBlocking(child.pid) == .signalled(.kill, coreDumped: false))
            try loop.run(until: { tree.isEmpty })
            try tree.remove()
            trees.remove()
        }

        @Test("the cgroup is entered also where clone3 is missing")
        func fallbackJoinsGroup() throws {
            let trees = ProcessTrees(name: "test4-\(getpid())")
            if !trees.usesCgroups { return }
            let tree = try trees.make(name: "x", cookie: "")
            let result = try output(of: ["/bin/cat", "/proc/self/cgroup"], useClone3: false) {
                $0.cgroup = tree.spawnCgroup
            }
            #expect(result.text.contains("0::") && result.text.contains("/holdfast-test4-\(getpid())/x\n"))
            let same = try output(of: ["/bin/cat", "/proc/self/cgroup"]) { $0.cgroup = tree.spawnCgroup }
            #expect(same.text == result.text)
            try tree.remove()
            trees.remove()
        }

        @Test("a group that was killed takes new processes, and is made anew for the next run")
        func startsAfterKill() throws {
            let trees = ProcessTrees(name: "test5-\(getpid())")
            if !trees.usesCgroups { return }
            func starts(_ tree: ProcessTree) throws -> Bool {
                let child = try shell("exit 7", children: children, environment: ["INVOCATION_ID": Self.cookie]) {
                    tree.enter(&$0)
                }
                return waitBlocking(child.pid) == .exited(7)
            }
            let tree = try trees.make(name: "x", cookie: "")
            #expect(try starts(tree))
            tree.killAll()
            #expect(try starts(tree))
            // Another supervisor process does not know what the one before has done.
            let adopted = try trees.adopt(name: "x", cookie: "", session: nil)
            #expect(try starts(adopted))
            let again = try trees.make(name: "x", cookie: "")
            #expect(try starts(again))
            let child = try shell("exec sleep 1000", children: children) { again.enter(&$0) }
            #expect(throws: SystemError.self, "somebody lives there") { try trees.make(name: "x", cookie: "") }
            try child.handle.send(.kill)
            #expect(waitBlocking(child.pid) == .signalled(.kill, coreDumped: false))
            try loop.run(until: { again.isEmpty })
            try again.remove()
            trees.remove()
        }

        @Test("a host that lets us make no cgroup is noticed, not failed on", .enabled(if: isRoot))
        func unprivileged() throws {
            try #require(seteuid(65534) == 0)
            defer { seteuid(0) }
            #expect(!ProcessTrees(name: "denied").usesCgroups)
        }
    }
}
