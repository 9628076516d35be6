import Engine
import Linux

/// The process tree of one run, with the waits for it: they end with it, so that no late event acts on the tree of
/// another run.
final class RunningTree {
    let tree: any MachineTree
    var watch = TreeWatch()
    private let loop: any Loop
    /// Timer for the next check while the kernel cannot report (no descriptors left).
    private var timer: (any LoopTimer)?
    /// Whether that is already logged.
    private(set) var isPolled = false

    init(_ tree: any MachineTree, _ loop: any Loop) {
        self.tree = tree
        self.loop = loop
    }

    /// Calls `reported` once when no process is left. If the kernel cannot report that, calls it in a second instead,
    /// so that the tree is checked then, and returns the error the first time.
    func arm(_ reported: @escaping () -> Void) -> SystemError? {
        do throws(SystemError) {
            try tree.whenEmpty(reported)
            return nil
        } catch {
            defer { isPolled = true }
            timer = loop.retry(reported)
            return isPolled ? nil : error
        }
    }

    func disarm() {
        tree.cancelWait()
        timer = nil
    }

    /// Removes the tree.
    func remove() throws(SystemError) {
        disarm()
        try tree.remove()
    }
}
