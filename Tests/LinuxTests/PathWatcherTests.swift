import Glibc
import Testing

@testable import Linux

extension LinuxTests {
    @Suite("Watches of paths") struct PathWatcherTests {
        private let scratch: Scratch
        private let loop: EventLoop
        private let watcher: PathWatcher

        init() throws {
            scratch = try Scratch()
            loop = try EventLoop()
            watcher = try PathWatcher(loop: loop, for: .appearance)
        }

        /// Changes of the way to `run/app/app.pid` after which the file is made: it must be told.
        enum Change: String, CaseIterable {
            case nothing, directoryRemoved, directoryRenamed, parentRemoved, parentRenamed, usedDirectoryRemoved
            case linkRetargeted, directoryReplacedByLink
        }

        private func make(_ directory: String) throws { try FileTree.makeDirectory(scratch(directory)) }

        private func prepare(_ change: Change) throws {
            if change == .linkRetargeted {
                try make("run")
                try make("first")
                try #require(symlink(scratch("first"), scratch("run/app")) == 0)
            } else {
                try make("run/app")
            }
        }

        private func carryOut(_ change: Change) throws {
            switch change {
            case .nothing: return
            case .directoryRemoved: rmdir(scratch("run/app"))
            case .directoryRenamed: rename(scratch("run/app"), scratch("run/old"))
            case .parentRemoved:
                rmdir(scratch("run/app"))
                rmdir(scratch("run"))
            case .parentRenamed: rename(scratch("run"), scratch("old"))
            case .usedDirectoryRemoved:
                // The kernel tells the removal of a directory itself only when nobody has it open any more.
                let open = try OwnedDescriptor.open(scratch("run/app"), O_RDONLY | O_DIRECTORY)
                rmdir(scratch("run/app"))
                try make("run/app")
                _ = consume open
                return
            case .linkRetargeted:
                try make("second")
                symlink(scratch("second"), scratch("run/next"))
                rename(scratch("run/next"), scratch("run/app"))
                return
            case .directoryReplacedByLink:
                rmdir(scratch("run/app"))
                try make("second")
                symlink(scratch("second"), scratch("run/app"))
                return
            }
            try make("run/app")
        }

        @Test("a file is told whatever became of the directories on the way to it", arguments: Change.allCases)
        func wayChanges(_ change: Change) throws {
            try prepare(change)
            let path = scratch("run/app/app.pid")
            var isThere = false
            watcher.watch(path) { isThere = isThere || access(path, F_OK) == 0 }
            try carryOut(change)
            // Told or not, one change after the other is dispatched before the file comes.
            while try loop.runOnce(timeout: 0) {}
            _ = try scratch.write("run/app/app.pid", "1\n")
            try loop.run(until: { isThere })
        }

        @Test("a file whose directories are made later is told")
        func madeLater() throws {
            let path = scratch("a/b/c/app.pid")
            var isThere = false
            watcher.watch(path) { isThere = isThere || access(path, F_OK) == 0 }
            for directory in ["a", "a/b", "a/b/c"] {
                try make(directory)
                while try loop.runOnce(timeout: 0) {}
            }
            _ = try scratch.write("a/b/c/app.pid", "1\n")
            try loop.run(until: { isThere })
        }

        @Test("two paths through one directory under two names are both told, also when one of them is given up")
        func twoNames() throws {
            try make("run")
            symlink(scratch("run"), scratch("link"))
            var told: Set<String> = []
            for path in ["run/a.pid", "link/b.pid", "run/c.pid"] { watcher.watch(scratch(path)) { told.insert(path) } }
            watcher.unwatch(scratch("run/c.pid"))
            for name in ["a", "b", "c"] { _ = try scratch.write("run/\(name).pid", "1\n") }
            try loop.run(until: { told.count == 2 })
            while try loop.runOnce(timeout: 0) {}
            #expect(told == ["run/a.pid", "link/b.pid"])
        }
    }
}
