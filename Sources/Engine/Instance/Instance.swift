import Vocabulary

/// One service of one generation.
///
/// The life of an instance: *waiting* for the services it starts after; then its conditions and `ExecStartPre=`, one
/// command at a time, then the main process. It is *starting* until it sends `READY=1` (notify), or until it is
/// executed (simple), or until the executed program has ended (oneshot; also forking, which leaves a daemon behind). It
/// is *probing* until its probe succeeds; then `ExecStartPost=` runs; then it is *running*, or *exited* if it stays up
/// without a process. The end: *draining* (asked to finish), `ExecStop=`, *terminating* (kill signal), *killing*
/// (SIGKILL). `ExecStopPost=` and the final state follow only when the process tree is empty. After a run that ended by
/// itself, `Restart=` may start another one, after *restartWait*.
///
/// Each state carries the tokens of the processes it expects to end, so an exit that the state does not expect cannot
/// be mistaken for one that it does.
struct Instance: Sendable, Codable {
    enum State: Sendable, Equatable, Codable {
        case waiting
        /// `Condition…=` and `Assert…=` are being checked.
        case checking(Token)
        case condition(Int, Token)
        case startPre(Int, Token)
        /// Executed; a notify service has not sent READY=1 yet.
        case starting(main: Token)
        /// `ExecStart=` of a oneshot service, one command at a time.
        case oneshot(Int, main: Token)
        /// The program that a forking service executed; it is expected to leave a daemon behind and to end.
        case forking(control: Token)
        /// The program of a forking service has ended; its PID file tells which process the daemon is. `ExecStartPost=`
        /// may write that file, so if the file is missing before those commands it is awaited again after them.
        case awaitingMain(afterStartPost: Bool)
        /// The service has reported that it is up; the probe has not succeeded yet.
        case probing(main: Token?)
        case startPost(Int, control: Token, main: Token?)
        /// If the main process is not known, the service is up as long as any process of its tree lives.
        case running(main: Token?)
        /// Up without a process: `RemainAfterExit=`.
        case exited(ExitStatus?)
        case reloading(Int, control: Token, main: Token?)
        /// `ReloadSignal=` was sent; `RELOADING=1` has not arrived yet.
        case reloadSignalled(since: Instant, main: Token)
        /// The service sent `RELOADING=1` and has not sent `READY=1` since.
        case reloadAnnounced(main: Token?)
        case draining(main: Token)
        /// `ExecStop=` runs; the main process may have ended already.
        case stopping(Int, control: Token, Ending)
        /// The kill signal was sent, or the service announced its own stop; the process tree is not empty yet.
        case terminating(watch: Token, Ending)
        /// SIGKILL was sent. If even SIGKILL has no effect (a process in uninterruptible sleep), the instance stays in
        /// this state, visibly: a process that still exists is never reported as gone (I5).
        case killing(watch: Token, Ending)
        case stopPost(Int, control: Token, Ending)
        /// After `ExecStopPost=`: kills the processes those commands left behind.
        case sweeping(watch: Token, Ending)
        case restartWait(ServiceResult)
        /// No process is left and none will be started.
        case inactive(ServiceResult)
    }

    /// State of a run that is ending.
    struct Ending: Sendable, Equatable, Codable {
        var main: Token?
        var result: ServiceResult
        /// The command that ran beside or before the main process when the run began to end; its exit status counts as
        /// well.
        var control: Control?

        /// The processes that every `KillMode=` except `none` signals.
        var processes: [Token] { [main, control?.token].compactMap(\.self) }
    }

    struct Control: Sendable, Equatable, Codable {
        var token: Token
        var command: ServiceCommand
    }

    /// The role of the instance in its group.
    enum Mandate: Sendable, Equatable, Codable {
        /// The generation has not been cut over to: any end is a failure, and nothing is restarted.
        case onTrial
        /// `Restart=` applies.
        case serving
        /// The instance is to leave; it is not restarted.
        case leaving
    }

    let id: InstanceID
    let group: GroupID
    /// The generation the instance was started in; its sockets and directory belong to that generation.
    let birth: GenerationID
    let spec: ServiceSpec
    var mandate: Mandate
    var state: State = .waiting
    /// When `state` last changed.
    var since: Instant
    var deadline: Instant?
    var probeDeadline: Instant?
    /// The time by which the next `WATCHDOG=1` must arrive.
    var watchdogDeadline: Instant?
    /// The interval that `WATCHDOG_USEC=` set in this run, in place of `WatchdogSec=`.
    var watchdogInterval: Duration?
    /// The end of `RuntimeMaxSec=`.
    var runtimeDeadline: Instant?
    /// The search for the main process that is under way.
    var search: Token?
    /// A watch of the whole tree, used while the main process is unknown or its end alone does not end the service.
    var wholeTreeWatch: Token?
    /// The main process that has ended and whose end is handled only after the PID file was checked for a successor.
    var endedMain: Token?
    /// Exit status of `endedMain`.
    var mainEnd: ExitStatus?
    /// The process that a forking service named by `MAINPID=` before the program of `ExecStart=` ended.
    var namedMain: Token?
    /// During a reload of a service with `RemainAfterExit=`: the exit status of its main process before the reload.
    var exitedBefore: ExitStatus?
    /// Exit status of the main process of this run; nil until it has ended. For a oneshot service, the last executed
    /// command's.
    var mainStatus: ExitStatus?
    /// True if a command of this run was executed, or was about to be.
    @Added var hasBegun: Bool = false
    /// True if this run has been up.
    @Added var hasStarted: Bool = false
    /// Number of times in this run that a command was executed again because its exit status was lost.
    @Added var repetitions: Int = 0
    /// Index of the `ExecStart=` command that was executed last.
    @Added var startIndex: Int = 0
    /// True if `RELOADING=1` was the last of the messages `RELOADING=1` and `READY=1`.
    @Added var hasAnnouncedReload: Bool = false
    /// True if `STOPPING=1` was the last of the messages `STOPPING=1`, `RELOADING=1` and `READY=1`.
    @Added var hasAnnouncedStop: Bool = false
    /// The instance leaves in order to be started again: `RestartKillSignal=` applies.
    @Added var isRestarting: Bool = false
    /// The instance was asked to finish its work: `DrainTimeoutSec=` applies.
    @Added var isDraining: Bool = false
    /// The service still ran when `DrainTimeoutSec=` was over.
    @Added var hasExceededDrain: Bool = false
    /// In *terminating*: the signal was the watchdog's, not the kill signal.
    @Added var isAborting: Bool = false
    /// In *terminating*: the service stops by itself (`STOPPING=1`), and no signal was sent.
    @Added var isStoppingByItself: Bool = false
    /// The condition that skipped the last start.
    var skippedBy: String?
    /// The last sender of a `READY=1` that `NotifyAccess=` does not allow, in this run: `process 17 (sh)`.
    var refusedReady: String?
    /// The last finding of the search for the main process.
    var searchNote: SearchNote?
    /// The probe that is under way.
    var probe: Token?
    var lastProbeAnswer: String?
    /// Number of runs that were followed by another one.
    var restarts = 0
    /// Times of the starts within the last `StartLimitIntervalSec=`, oldest first; at most `StartLimitBurst=`. For a
    /// plain service, starts of earlier instances are included.
    var recentStarts: [Instant] = []
    var statusText: String?
    var errno: Int32?
    /// Tokens of this instance whose final event has not arrived yet.
    var openTokens: Set<Token> = []
    /// The last failure, from the moment it is known until the service is up again.
    var failure: Failure?
    /// The failure of the last reload in this run. Separate from `failure`: a service whose reload failed keeps running
    /// unchanged, and its later end is judged by itself.
    var reloadFailure: Failure?

    /// Renamed properties keep the names under which earlier versions saved them.
    enum CodingKeys: String, CodingKey, CaseIterable {
        case id, group, birth, spec, mandate, state, since, deadline, probeDeadline, watchdogDeadline, watchdogInterval
        case runtimeDeadline, search, wholeTreeWatch, endedMain, mainEnd, namedMain, exitedBefore, mainStatus
        case hasBegun, hasStarted, repetitions, startIndex
        case hasAnnouncedReload = "saysReloading"
        case hasAnnouncedStop = "saysStopping"
        case isRestarting, isDraining, hasExceededDrain, isAborting
        case isStoppingByItself = "stopsItself"
        case skippedBy, refusedReady, searchNote, probe, lastProbeAnswer, restarts, recentStarts, statusText, errno
        case openTokens, failure, reloadFailure
    }

    init(id: InstanceID, birth: GenerationID, spec: ServiceSpec, mandate: Mandate, at now: Instant) {
        self.id = id
        self.group = birth.group
        self.birth = birth
        self.spec = spec
        self.mandate = mandate
        self.since = now
    }

    mutating func enter(_ next: State, _ context: inout Context) {
        let before = ServicePhase(state)
        state = next
        since = context.now
        if !hasWatchdog { watchdogDeadline = nil }
        if !isUp || hasOnlyExited { runtimeDeadline = nil }
        let after = ServicePhase(next)
        if before != after { context.emit(.report(.service(id, after))) }
    }

    /// True if the services that start after this one may start, and cutover may happen.
    var isReady: Bool {
        switch state {
        case .running, .reloading, .reloadSignalled, .reloadAnnounced, .exited: true
        case .inactive(.skipped): true
        // The work is done, or the service was up and has ended since. In a swap unit only a service that stays can
        // serve.
        case .inactive(.clean): spec.type == .oneshot || hasStarted && spec.drain == nil
        case .waiting, .checking, .condition, .startPre, .starting, .oneshot, .forking, .awaitingMain, .probing,
            .startPost, .draining, .stopping, .terminating, .killing, .stopPost, .sweeping, .restartWait,
            .inactive(.failed):
            false
        }
    }

    /// True if the instance is gone because its work is done or a condition skipped it: the requirement of its
    /// dependents is met.
    var isDone: Bool {
        switch state {
        case .inactive(.skipped): true
        case .inactive(.clean): spec.type == .oneshot
        case .waiting, .checking, .condition, .startPre, .starting, .oneshot, .forking, .awaitingMain, .probing,
            .startPost, .running, .exited, .reloading, .reloadSignalled, .reloadAnnounced, .draining, .stopping,
            .terminating, .killing, .stopPost, .sweeping, .restartWait, .inactive(.failed):
            false
        }
    }

    /// True if the instance has started and is not ending.
    var isUp: Bool {
        switch state {
        case .running, .reloading, .reloadSignalled, .reloadAnnounced, .exited: true
        case .waiting, .checking, .condition, .startPre, .starting, .oneshot, .forking, .awaitingMain, .probing,
            .startPost, .draining, .stopping, .terminating, .killing, .stopPost, .sweeping, .restartWait, .inactive:
            false
        }
    }

    /// `RemainAfterExit=`: there is no process that could send a message or exceed a time limit.
    private var hasOnlyExited: Bool {
        if case .exited = state { true } else { false }
    }

    /// `WatchdogSec=` applies from the first `ExecStartPost=` on, or from when the service is up, as long as a process
    /// exists.
    var hasWatchdog: Bool {
        if case .startPost = state { return true }
        return isUp && !hasOnlyExited
    }

    /// True if no process of the instance exists and none will be started.
    var isGone: Bool {
        if case .inactive = state { true } else { false }
    }

    /// The main process, if the state has one that is alive.
    var mainProcess: Token? {
        switch state {
        case .starting(let main), .oneshot(_, let main), .reloadSignalled(_, let main), .draining(let main): main
        case .probing(let main), .startPost(_, _, let main), .running(let main), .reloading(_, _, let main),
            .reloadAnnounced(let main):
            main
        case .stopping(_, _, let ending), .terminating(_, let ending), .killing(_, let ending),
            .stopPost(_, _, let ending), .sweeping(_, let ending):
            ending.main
        case .forking: namedMain
        case .waiting, .checking, .condition, .startPre, .awaitingMain, .exited, .restartWait, .inactive: nil
        }
    }

    /// The command beside the main process, if the state has one.
    var controlProcess: Token? {
        switch state {
        case .condition(_, let token), .startPre(_, let token), .startPost(_, let token, _),
            .reloading(_, let token, _), .stopping(_, let token, _), .stopPost(_, let token, _), .forking(let token):
            token
        case .terminating(_, let ending), .killing(_, let ending): ending.control?.token
        case .waiting, .checking, .starting, .oneshot, .awaitingMain, .probing, .running, .exited, .reloadSignalled,
            .reloadAnnounced, .draining, .sweeping, .restartWait, .inactive:
            nil
        }
    }

    /// True if the instance starts after `other`, or after an earlier instance of the same member. After a swap of
    /// single members, a member may be of a different release than the one that `startsAfter` names.
    func uses(_ other: Instance) -> Bool {
        guard id != other.id, !spec.startsAfter.isEmpty else { return false }
        if spec.startsAfter.contains(other.spec.unit) { return true }
        guard let stem = other.spec.member.templateStem else { return false }
        return spec.startsAfter.contains { $0.hasPrefix(stem) }
    }

    /// The failure of an instance that is gone, if it failed.
    var finalFailure: Failure? {
        if case .inactive(.failed(let failure)) = state { failure } else { nil }
    }

    func failed(_ step: Failure.Step, _ cause: Failure.Cause) -> Failure {
        Failure(unit: spec.unit, step: step, cause: cause, errno: errno, statusText: statusText)
    }
}

extension String {
    /// The part `app@` of the template `app@.service`; nil for any other name.
    fileprivate var templateStem: Substring? {
        // An instance name may begin with a dot and contain more of them: `app@.x.service`.
        guard let at = firstIndex(of: "@"), self[at...].hasPrefix("@."), !self[at...].dropFirst(2).contains(".") else {
            return nil
        }
        return self[...at]
    }
}

/// A service's state as users see it; the mapping is total.
public enum ServicePhase: String, Sendable, Equatable, Codable, CaseIterable {
    case waiting, condition, startPre, starting, probing, startPost, running, exited, reloading, draining, stopping
    case killing, stopPost, autoRestart, stopped, skipped, failed

    init(_ state: Instance.State) {
        self =
            switch state {
            case .waiting: .waiting
            case .checking, .condition: .condition
            case .startPre: .startPre
            case .starting, .oneshot, .forking, .awaitingMain: .starting
            case .probing: .probing
            case .startPost: .startPost
            case .running: .running
            case .exited: .exited
            case .reloading, .reloadSignalled, .reloadAnnounced: .reloading
            case .draining: .draining
            case .stopping, .terminating: .stopping
            case .killing, .sweeping: .killing
            case .stopPost: .stopPost
            case .restartWait: .autoRestart
            case .inactive(.clean): .stopped
            case .inactive(.skipped): .skipped
            case .inactive(.failed): .failed
            }
    }
}
