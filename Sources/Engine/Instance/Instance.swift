/// One service of one generation.
///
/// Its life: it *waits* for those it starts after; its conditions and `ExecStartPre=` run one by one, then the main
/// process; it is *starting* until it says `READY=1` (notify), or at once (simple), or until what was executed has ended
/// (oneshot, and forking, which leaves a daemon behind); *probing* until its probe agrees, then `ExecStartPost=`, then
/// *running*, or *exited* if it stays up without a process. It ends by *draining* (asked to finish), `ExecStop=`, *terminating* (kill
/// signal), *killing* (SIGKILL); only when its process tree is empty do `ExecStopPost=` and the end follow. A run that
/// ended by itself is followed by another one if `Restart=` says so, after *restartWait*.
///
/// Each state carries the processes that exist in it, and nothing else may name them: an exit that no state expects
/// cannot be mistaken for one that it does.
struct Instance: Sendable, Codable {
    enum State: Sendable, Equatable, Codable {
        case waiting
        /// `Condition…=` and `Assert…=` are being looked at.
        case checking(Token)
        case condition(Int, Token)
        case startPre(Int, Token)
        /// Executed; notify services have not said READY=1 yet.
        case starting(main: Token)
        /// `ExecStart=` of a oneshot service, one after the other.
        case oneshot(Int, main: Token)
        /// What a forking service has executed; it is to leave a daemon behind and to end.
        case forking(control: Token)
        /// It has; which process the daemon is shows when its PID file is there. `ExecStartPost=` may write that, so what
        /// is not there before is waited for again afterwards.
        case awaitingMain(afterStartPost: Bool)
        /// Up by its own word; the probe has not agreed yet.
        case probing(main: Token?)
        case startPost(Int, control: Token, main: Token?)
        /// Without a main process that is known it is up as long as anything of its tree lives.
        case running(main: Token?)
        /// Up without a process: `RemainAfterExit=`.
        case exited(ExitStatus?)
        case reloading(Int, control: Token, main: Token?)
        /// `ReloadSignal=` is sent, and not answered by `RELOADING=1` yet.
        case reloadSignalled(since: Instant, main: Token)
        /// It said `RELOADING=1`, and has not said `READY=1` since.
        case reloadAnnounced(main: Token?)
        case draining(main: Token)
        /// `ExecStop=`; the main process may be gone already.
        case stopping(Int, control: Token, Ending)
        /// The kill signal is sent, or the service said that it stops by itself; waiting for the tree to be empty.
        case terminating(watch: Token, Ending)
        /// SIGKILL is sent. If even that does not help (a process in uninterruptible sleep) this is where it stays,
        /// visibly: what is not gone is never reported as gone (I5).
        case killing(watch: Token, Ending)
        case stopPost(Int, control: Token, Ending)
        /// After `ExecStopPost=`: whatever that left behind.
        case sweeping(watch: Token, Ending)
        case restartWait(ServiceResult)
        /// No process is left and none will be started.
        case inactive(ServiceResult)
    }

    /// What is known on the way out.
    struct Ending: Sendable, Equatable, Codable {
        var main: Token?
        var result: ServiceResult
        /// The command that ran beside the main process, or before it, when the way out began: how it ends counts as well.
        var control: Control?

        /// Those of its processes that `KillMode=` never leaves out.
        var processes: [Token] { [main, control?.token].compactMap(\.self) }
    }

    struct Control: Sendable, Equatable, Codable {
        var token: Token
        var command: ServiceCommand
    }

    /// What its group wants of it.
    enum Mandate: Sendable, Equatable, Codable {
        /// A generation that has not been cut over to: any end is a failure, nothing is restarted.
        case onTrial
        /// `Restart=` counts.
        case serving
        /// It is to leave; no restart.
        case leaving
    }

    let id: InstanceID
    let group: GroupID
    /// The generation that it was started in; its sockets and directory are that one's.
    let birth: GenerationID
    let spec: ServiceSpec
    var mandate: Mandate
    var state: State = .waiting
    /// When `state` last changed.
    var since: Instant
    var deadline: Instant?
    var probeDeadline: Instant?
    /// By then it must have said `WATCHDOG=1`.
    var watchdogDeadline: Instant?
    /// What `WATCHDOG_USEC=` has set in place of `WatchdogSec=`, in this run.
    var watchdogInterval: Duration?
    /// The end of `RuntimeMaxSec=`.
    var runtimeDeadline: Instant?
    /// The search for the main process under way.
    var search: Token?
    /// Watches the tree of a service whose main process is not known, or not what counts.
    var wholeTreeWatch: Token?
    /// The main process whose end has been told and is acted upon only once the PID file has been asked for a successor.
    var endedMain: Token?
    /// How it ended.
    var mainEnd: ExitStatus?
    /// What a forking service has named by `MAINPID=` before its launcher has ended.
    var namedMain: Token?
    /// While it is reloaded: how its main process had ended, of a service that stays after that.
    var exitedBefore: ExitStatus?
    /// How the main process of this run ended, once it has. Of a oneshot service the one that was executed last.
    var mainStatus: ExitStatus?
    /// A command of this run was executed, or was to be.
    @Added var hasBegun: Bool = false
    /// This run was up.
    @Added var hasStarted: Bool = false
    /// How often a command was executed again in this run because nobody saw how it ended.
    @Added var repetitions: Int = 0
    /// Which command of `ExecStart=` was executed last.
    @Added var startIndex: Int = 0
    /// The last that it said of `RELOADING=1` and `READY=1` was the former.
    @Added var saysReloading: Bool = false
    /// The last that it said of `STOPPING=1`, `RELOADING=1` and `READY=1` was the first.
    @Added var saysStopping: Bool = false
    /// It leaves to be started again: `RestartKillSignal=` counts.
    @Added var isRestarting: Bool = false
    /// It was told to finish what it has: `DrainTimeoutSec=` counts.
    @Added var isDraining: Bool = false
    /// Of *terminating*: by the watchdog's signal rather than the kill signal.
    @Added var isAborting: Bool = false
    /// Of *terminating*: by its own word, `STOPPING=1`; no signal was sent.
    @Added var stopsItself: Bool = false
    /// The condition that skipped the last start.
    var skippedBy: String?
    /// Who has said `READY=1` in this run although `NotifyAccess=` does not allow it: `process 17 (sh)`.
    var refusedReady: String?
    /// What the search for the main process has met last.
    var searchNote: SearchNote?
    /// The probe under way.
    var probe: Token?
    var lastProbeAnswer: String?
    /// How often a run was followed by another one.
    var restarts = 0
    /// Starts within the last `StartLimitIntervalSec=`, oldest first; at most `StartLimitBurst=` of them. Of a plain service also
    /// those of instances before this one.
    var recentStarts: [Instant] = []
    var statusText: String?
    var errno: Int32?
    /// Tokens of this instance whose last event has not come yet.
    var openTokens: Set<Token> = []
    /// The last failure, from the moment that it is known until the service is up again.
    var failure: Failure?
    /// Why the last reload of this run failed. Apart from `failure`: a service whose reload failed runs on as it was, and its end
    /// is judged by itself.
    var reloadFailure: Failure?

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

    /// Ready for those that start after it, and for cutover.
    var isReady: Bool {
        switch state {
        case .running, .reloading, .reloadSignalled, .reloadAnnounced, .exited: true
        case .inactive(.skipped): true
        // What it is there for is done, or it was up and has ended since; of what is swapped only one that stays can serve.
        case .inactive(.clean): spec.type == .oneshot || hasStarted && spec.drain == nil
        case .waiting, .checking, .condition, .startPre, .starting, .oneshot, .forking, .awaitingMain, .probing,
            .startPost, .draining, .stopping, .terminating, .killing, .stopPost, .sweeping, .restartWait,
            .inactive(.failed):
            false
        }
    }

    /// It is gone, because what it is there for is done or its conditions say so: who requires it has what it needs.
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

    /// Started, and not on its way out.
    var isUp: Bool {
        switch state {
        case .running, .reloading, .reloadSignalled, .reloadAnnounced, .exited: true
        case .waiting, .checking, .condition, .startPre, .starting, .oneshot, .forking, .awaitingMain, .probing,
            .startPost, .draining, .stopping, .terminating, .killing, .stopPost, .sweeping, .restartWait, .inactive:
            false
        }
    }

    /// `RemainAfterExit=`: nothing runs that could say a word or take too long.
    private var hasOnlyExited: Bool {
        if case .exited = state { true } else { false }
    }

    /// `WatchdogSec=` counts: from its first `ExecStartPost=` on, or from when it is up, as long as a process is there.
    var hasWatchdog: Bool {
        if case .startPost = state { return true }
        return isUp && !hasOnlyExited
    }

    /// No process of it exists, and none will.
    var isGone: Bool {
        if case .inactive = state { true } else { false }
    }

    /// The main process, where the state has one that is alive.
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

    /// The command beside the main process, where the state has one.
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

    /// It starts after the other one, or after one whose place the other has taken: of members that were swapped alone,
    /// one may be of another release than the one that it was told to start after.
    func uses(_ other: Instance) -> Bool {
        guard id != other.id, !spec.startsAfter.isEmpty else { return false }
        if spec.startsAfter.contains(other.spec.unit) { return true }
        guard let stem = other.spec.member.templateStem else { return false }
        return spec.startsAfter.contains { $0.hasPrefix(stem) }
    }

    /// What it failed of, of one that is gone.
    var finalFailure: Failure? {
        if case .inactive(.failed(let failure)) = state { failure } else { nil }
    }

    func failed(_ step: Failure.Step, _ cause: Failure.Cause) -> Failure {
        Failure(unit: spec.unit, step: step, cause: cause, errno: errno, statusText: statusText)
    }
}

extension String {
    /// `app@` of the template `app@.service`; nil for any other name.
    fileprivate var templateStem: Substring? {
        // An instance may begin with a dot and have more of them: `app@.x.service`.
        guard let at = firstIndex(of: "@"), self[at...].hasPrefix("@."), !self[at...].dropFirst(2).contains(".") else {
            return nil
        }
        return self[...at]
    }
}

/// What people see of a service's state: one total table.
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
