import CSpawn
import Glibc

/// What execve(2) leaves a program of the one that started it, and what a program that is to behave the same however it was
/// started puts right before anything else. To be called before the first thread, descriptor or child.
public enum StarterTraits {
    /// Opens /dev/null in the place of standard streams that are closed: else the next file or socket that is opened becomes
    /// "standard error", and gets what is written there.
    public static func fillStandardStreams() {
        for number in Int32(0)...2 where fcntl(number, F_GETFD) < 0 {
            // The lowest free number is the one that is missing. Without /dev a directory stands in, which refuses all use.
            if open("/dev/null", O_RDWR) < 0 { _ = open("/", O_RDONLY | O_DIRECTORY) }
        }
    }

    /// Closes everything above standard error that service managers do not pass by `LISTEN_FDS`: a lock or a pipe that the
    /// starter forgot to close would never be let go.
    public static func closeUnknownDescriptors() {
        var first: UInt32 = 3
        if let pid = getenv("LISTEN_PID").flatMap({ Int32(String(cString: $0)) }), pid == getpid(),
            let count = getenv("LISTEN_FDS").flatMap({ UInt32(String(cString: $0)) }), count < 1 << 20
        {
            first += count
        }
        _ = holdfast_close_from(first)
    }

    /// Every signal as the kernel has it, unless it has a handler of this program already; `blocked` and no others are blocked;
    /// no timer of the starter goes off here (execve keeps those of setitimer(2) and alarm(2)).
    ///
    /// An ignored SIGCHLD is the worst of them: children are then reaped by the kernel, and no exit status is ever seen.
    public static func resetSignals(blocking blocked: [Signal] = []) {
        for number in Int32(1)...64 { resetSignal(number) }
        setMask(blocked)
        var none = itimerval()
        for timer in [ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF] {
            setitimer(__itimer_which_t(timer.rawValue), &none, nil)
        }
    }

    /// For a program that people run: what nohup(1) and shells ignore on purpose (SIGHUP, SIGINT) stays ignored.
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
        // SIG_IGN is 1; what is caught is not inherited, so a handler is our own runtime's.
        guard sigaction(number, nil, &action) == 0,
            unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
        else { return }
        signal(number, SIG_DFL)
    }
}

/// Limits of setrlimit(2) that would end or cripple the supervisor for the work of all its services.
public enum OwnLimits {
    /// Raises them as far as it may; answers those that were lower, as they were, for programs that are started.
    /// RLIMIT_NOFILE is always among them.
    public static func raise() -> [SpawnPlan.Limit] {
        // CPU time, size of a file, data, address space: without any if that is allowed, else the hard limit.
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
