import Engine
import Linux
import Vocabulary

/// One process that the engine asked for.
final class RunningProcess {
    let token: Token
    let instance: InstanceID
    let child: ChildProcess
    /// Whether a successor takes the process over. It starts the programs of probes again.
    let isKept: Bool

    init(token: Token, instance: InstanceID, child: ChildProcess, isKept: Bool = true) {
        self.token = token
        self.instance = instance
        self.child = child
        self.isKept = isKept
    }

    var pid: Int32 { child.pid }

    func send(_ signal: Signal) throws(SystemError) { try child.send(signal) }
}
