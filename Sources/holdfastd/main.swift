import Linux
import Supervisor
let loop = try EventLoop()
let supervisor = Supervisor(loop: loop)
try supervisor.assumeIsolated { try $0.start() }
_ = try loop.run()
