import CSpawn
import Glibc
import Vocabulary

/// Resets the properties that execve(2) leaves a program from its starter, so that the program behaves the same however
/// it was started. Must be called before the first thread, descriptor or child.
public enum StarterTraits {
    /// Opens /dev/null in place of closed standard streams: else the next opened file or socket becomes "standard
    /// error" and gets its output.
    public static func fillStandardStreams() {
        for number in Int32(0)...2 where fcntl(number, F_GETFD) < 0 {
            // The lowest free number is the missing one. Without /dev a directory replaces it, on which all I/O fails.
            if open("/dev/null", O_RDWR) < 0 { _ = open("/", O_RDONLY | O_DIRECTORY) }
        }
    }

    /// Closes all descriptors above standard error that a service manager does not pass by `LISTEN_FDS`: a lock or a
    /// pipe that the starter forgot to close would never be released.
    public static func closeUnknownDescriptors() {
        var first: UInt32 = 3
        if let pid = getenv("LISTEN_PID").flatMap({ Int32(String(cString: $0)) }), pid == getpid(),
            let count = getenv("LISTEN_FDS").flatMap({ UInt32(String(cString: $0)) }), count < 1 << 20
        {
            first += count
        }
        _ = holdfast_close_from(first)
    }

    /// Sets every ignored signal to the kernel's default, keeping handlers of this program; blocks exactly the signals
    /// in `blocked`; stops the starter's timers (execve keeps those of setitimer(2) and alarm(2)).
    ///
    /// An ignored SIGCHLD is the worst case: the kernel then reaps children, and their exit status is lost.
    public static func resetSignals(blocking blocked: [Signal] = []) {
        for number in Int32(1)...64 { resetSignal(number) }
        setMask(blocked)
        var none = itimerval()
        for timer in [ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF] {
            setitimer(__itimer_which_t(timer.rawValue), &none, nil)
        }
    }

    /// Resets only these signals. For user commands: signals that nohup(1) and shells ignore on purpose (SIGHUP,
    /// SIGINT) stay ignored.
    public static func resetSignals(only numbers: [Int32]) {
        for number in numbers { resetSignal(number) }
        setMask([])
    }

    private static func setMask(_ blocked: [Signal]) {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in blocked { sigaddset(&set, signal.rawValue) }
        pthread_sigmask(SIG_SETMASK, &set, nil)
    }

    private static func resetSignal(_ number: Int32) {
        var action = sigaction()
        // SIG_IGN is 1; handlers are not inherited, so a handler is our own runtime's.
        guard sigaction(number, nil, &action) == 0,
            unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
        else { return }
        signal(number, SIG_DFL)
    }
}

/// Limits of setrlimit(2) that would end or cripple the supervisor, which works for all services.
public enum OwnLimits {
    /// Raises the limits as far as permitted; returns the earlier values of those raised, for started programs.
    /// RLIMIT_NOFILE is always among them.
    public static func raise() -> [SpawnPlan.Limit] {
        // The limits of CPU time, file size, data and address space: unlimited if that is permitted, else the hard
        // limit.
        let numbers: [Int32] = [0, 1, 2, 9]
        return [FileLimit.raise()] + numbers.compactMap(raise)
    }

    private static func raise(_ number: Int32) -> SpawnPlan.Limit? {
        let resource = __rlimit_resource_t(UInt32(number))
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0, limit.rlim_cur != .max else { return nil }
        let before = SpawnPlan.Limit(resource: number, soft: UInt64(limit.rlim_cur), hard: UInt64(limit.rlim_max))
        var unlimited = rlimit(rlim_cur: .max, rlim_max: .max)
        if setrlimit(resource, &unlimited) == 0 { return before }
        limit.rlim_cur = limit.rlim_max
        return setrlimit(resource, &limit) == 0 ? before : nil
    }
}
