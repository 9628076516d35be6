import CSpawn
import Vocabulary

extension ExitStatus {
    init(_ exit: holdfast_exit) {
        self =
            exit.signaled == 0
            ? .exited(exit.status) : .signalled(Signal(rawValue: exit.status), coreDumped: exit.signaled == 2)
    }
}
