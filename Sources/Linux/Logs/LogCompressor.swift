import Glibc
import SystemPackage

/// Compresses rotated files one after the other, each in a process of lowest priority: gzip(1), which every Debian has.
/// It writes FILE.gz beside FILE, and removes FILE at the end, so that nothing is lost whenever it is killed.
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
        if running == nil { next() }
    }

    private func next() {
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
        var plan = SpawnPlan(
            program: try ProgramSearch.find("gzip"), arguments: ["gzip", "--force", "--quiet", "--", path],
            environment: ["PATH": ProgramSearch.path], standardInput: null.raw, standardOutput: null.raw,
            standardError: null.raw)
        plan.nice = 19
        let child = try children.spawn(plan)
        let pid = child.pid
        let box = ProcessHandleBox(child.takeHandle())
        do {
            let source = try children.watch(box.handle) { [unowned self] status in
                running = nil
                if status != .exited(0) { failed?("\(path) stays uncompressed: gzip: \(status)") }
                done()
                next()
            }
            running = (box, source)
        } catch {
            children.abandon(pid: pid)
            throw error
        }
    }
}

/// A copyable box for a handle.
final class ProcessHandleBox {
    let handle: ProcessHandle
    init(_ handle: consuming ProcessHandle) { self.handle = handle }
}
