import Linux

/// A step that failed before a process existed; the text names it.
struct LaunchError: Error {
    let text: String
    /// Exit status that the process would have under systemd (systemd.exec(5), "Process exit codes"), if systemd would
    /// have started one.
    var status: Int32?
    /// Whether the failure is a shortage of resources that may end soon.
    var isTransient = false
    /// Whether a part of the work is done, and the rest waits for the next round of the loop.
    var isUnfinished = false
}

extension LaunchError {
    init(_ error: StartError) {
        self.init(text: "\(error)", status: error.exitStatus, isTransient: error.cause.isTransient)
    }
}
