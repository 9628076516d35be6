import Glibc
import SystemPackage
import Vocabulary

/// Compresses rotated files one after the other, each in a process of lowest priority: gzip(1), which every Debian has.
/// The output for FILE is renamed to FILE.gz once it is complete, and only then is FILE removed, so that nothing is
/// lost whenever gzip is killed. It gets two open files instead of names, because users with write access to the
/// directory could replace a name's file.
public final class LogCompressor {
    private let children: Children
    private var queue: [(path: String, done: () -> Void)] = []
    private var running: (handle: ProcessHandleBox, source: ChildExitSource)?
    /// Called when files stay uncompressed.
    public var failed: ((String) -> Void)?

    public init(children: Children) { self.children = children }

    /// Queues the files in `directory` that an earlier process rotated and did not compress.
    public func addLeftovers(in directory: String) {
        let names = (try? UnitDirectory.list(directory)) ?? []
        for name in names where !name.hasSuffix(".gz") && LogArchive.file(ofSegment: name) != nil {
            add(directory + "/" + name) {}
        }
    }

    func add(_ path: String, _ done: @escaping () -> Void) {
        queue.append((path, done))
        if running == nil { startNext() }
    }

    private func startNext() {
        while let (path, done) = queue.first {
            queue.removeFirst()
            // The file may have been removed since, as the oldest.
            guard access(path, F_OK) == 0 else { continue }
            do {
                try start(path, done)
                return
            } catch {
                failed?("\(path) stays uncompressed: \(error)")
            }
        }
    }

    private func start(_ path: String, _ done: @escaping () -> Void) throws {
        let null = try OwnedDescriptor.null()
        let run = try Run(path)
        var plan = SpawnPlan(
            program: try ProgramSearch.find("gzip"), arguments: ["gzip", "--stdout", "--quiet"],
            environment: ["PATH": ProgramSearch.path], standardInput: run.input.raw, standardOutput: run.output.raw,
            standardError: null.raw)
        plan.nice = 19
        let child = try children.spawn(plan)
        let pid = child.pid
        let box = ProcessHandleBox(child.takeHandle())
        do {
            let source = try children.watch(box.handle) { [unowned self] status in
                running = nil
                if let problem = run.finish(status) { failed?("\(path) stays uncompressed: \(problem)") }
                done()
                startNext()
            }
            running = (box, source)
        } catch {
            children.abandon(pid: pid)
            throw error
        }
    }

    /// The input and output of one run of gzip.
    private final class Run {
        private let directory: SafeDirectory
        private let name: FileName
        private let unfinished: FileName
        private let status: stat
        let input: OwnedDescriptor
        let output: OwnedDescriptor

        init(_ path: String) throws(SystemError) {
            let text = FileTree.name(of: path)
            directory = try SafeDirectory.parent(of: path, .ofRoot)
            name = FileName(text)
            // This is no name of a rotated file: the output of a killed process is neither read nor compressed, and the
            // next run replaces it.
            unfinished = FileName(".\(text).gz")
            input = try directory.open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY)
            status = try stat(of: input.raw, path)
            guard status.kind == S_IFREG else { throw SystemError("compress", path, .invalidArgument) }
            try directory.unlink(unfinished)
            output = try directory.open(unfinished, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
        }

        /// Replaces the file by its compressed form with the same owner, mode and times. Returns the problem if that
        /// fails.
        func finish(_ status: ExitStatus) -> String? {
            do throws(SystemError) {
                guard status == .exited(0) else {
                    try directory.unlink(unfinished)
                    return "gzip: \(status)"
                }
                try copyAttributes()
                try directory.rename(unfinished, to: directory, FileName(name.text + ".gz"))
                try directory.unlink(name)
                return nil
            } catch {
                _ = try? directory.unlink(unfinished)
                return "\(error)"
            }
        }

        private func copyAttributes() throws(SystemError) {
            if geteuid() == 0 {
                try checkErrno(fchown(output.raw, status.st_uid, status.st_gid), "change owner of", unfinished.text)
            }
            try checkErrno(fchmod(output.raw, status.st_mode & 0o777), "set mode of", unfinished.text)
            var times = [status.st_atim, status.st_mtim]
            try checkErrno(futimens(output.raw, &times), "set times of", unfinished.text)
        }
    }
}

/// A copyable box for a handle.
final class ProcessHandleBox {
    let handle: ProcessHandle
    init(_ handle: consuming ProcessHandle) { self.handle = handle }
}
