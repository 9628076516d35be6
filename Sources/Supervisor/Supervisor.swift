import ControlProtocol
import Engine
import Glibc
import Linux
import Logging
import Multibinder
import UnitFiles
import UnitStore
import Vocabulary

/// The event pump: turns the engine's effects into calls, and their results into events.
///
/// It belongs to `SupervisorActor`, so it and everything that it owns stays on the event loop's thread: every callback
/// of the machine is a closure that the loop calls. It makes no decisions: a choice that depends on earlier events
/// belongs in `Engine`.
///
/// - `Supervisor+Planning` and `Definition`: from unit files to plans.
/// - `Supervisor+Effects`, `LaunchDesk`, `ProcessDesk`, `ProbeDesk`, `StreamDesk`, `HeldSockets`, `Reservations`,
///   `Templates`: effects.
/// - `ControlSessions`, `Supervisor+Requests`, `Supervisor+Status`, `Reporting`, `Wording`: clients and their answers.
/// - `History`, `ReleaseMemory`: records that outlive the process.
final class Supervisor {
    let machine: any Machine
    var loop: any Loop { machine.loop }

    let configuration: Configuration
    let logger: Logger
    let environment: [String: String]
    let startedAt: Int64

    // Decisions.
    var engine = Engine()
    /// Events that happened while the effects of an earlier one were being carried out.
    private var backlog: [Event] = []
    private var isHandling = false
    /// Handles the rest of the backlog in the loop's next round.
    private var continuation: (any LoopSource)?
    /// Longest time in nanoseconds to handle events that follow from events before other sources have their turn. A
    /// service that fails at once and is restarted at once, without a start limit, never leaves the backlog empty.
    private static let longestGo: Int64 = 50_000_000
    private static let backlogPause: Int64 = 10_000_000
    /// Time at which the deadline was reached for which `.deadlineReached` is in the backlog.
    private var due: Instant?
    private var timer: (any LoopTimer)?

    // Units.
    private(set) lazy var planning = PlanningDesk(self, machine, configuration, environment)
    var tidiness = Tidiness()

    // Kernel objects.
    let launcher: Launcher
    let instances = Instances()
    private(set) lazy var processes = ProcessDesk(machine, instances, host: self)
    private(set) lazy var mains = MainProcessDesk(machine, instances, processes, host: self)
    private(set) lazy var logs = OutputDesk(machine, launcher, host: self)
    private(set) lazy var streams = StreamDesk(machine, logs, host: self)
    private(set) lazy var serviceDirectories = ServiceDirectories(machine, launcher, instances, host: self)
    private(set) lazy var descriptorStores = DescriptorStores(machine, instances, host: self)
    private(set) lazy var launches = LaunchDesk(
        machine, launcher, instances, processes, streams, serviceDirectories, descriptorStores, host: self)
    private(set) lazy var probes = ProbeDesk(machine, launcher, instances, processes, launches, host: self)
    private(set) lazy var notifications = NotificationDesk(
        machine, instances, processes, mains, descriptorStores, host: self)
    private(set) lazy var conditions = ConditionDesk(
        machine, instances, program: program, environment: environment, host: self)
    var sockets: HeldSockets?
    private(set) lazy var socketUnits = SocketUnits(machine, launcher, host: self)
    private(set) lazy var generations = Generations(machine, socketUnits, host: self)
    private(set) lazy var templates = TemplatesDesk(machine, launcher, host: self)

    // Clients.
    private(set) lazy var control: ControlSessions = ControlSessions(self, machine.clients, loop)
    var multibinder: (any MachineBinders)?
    private(set) lazy var subscriptions: SubscriptionsDesk = SubscriptionsDesk(self, control, loop)
    private(set) lazy var helperCalls: HelperCallsDesk = HelperCallsDesk(
        self, control, machine, configuration, environment: environment)
    private(set) lazy var requests: RequestsDesk = RequestsDesk(self, control, loop, journal)
    private(set) lazy var reports: ReportsDesk = ReportsDesk(self, requests, subscriptions, history, control, loop)
    private(set) lazy var names = NamesDesk(self, planning, instances)
    private(set) lazy var status: StatusDesk = StatusDesk(
        self, machine, configuration, planning, names, instances, unaccounted, processes, logs)
    private(set) lazy var operations: OperationsDesk = OperationsDesk(
        self, planning, names, requests, reports, instances, socketUnits, generations)
    private(set) lazy var logDesk = LogDesk(logger, loop)
    let history: History
    let memory: ReleaseMemory
    private var signals: [any AnyObject] = []
    // Survival.
    /// Path of the program file of this process; see `init`.
    let program: String
    private let arguments: [String]
    /// What the supervisor process before this one has left.
    let predecessor: Predecessor
    /// The supervisor's own directories.
    let directories: Directories
    /// State that a successor needs if this process is killed.
    private(set) lazy var journal = JournalDesk(self, machine, runtimeDirectory: configuration.runtimeDirectory)
    /// Processes of an earlier supervisor that no record accounts for, and their output.
    private(set) lazy var unaccounted = UnaccountedDesk(self, machine, journal, directories, logger: logger)
    private(set) lazy var unaccountedOutput = UnaccountedOutput(self, machine.files, directories, logger: logger)
    /// Re-execution of the installed program.
    private(set) lazy var reexec = ReexecDesk(
        self, machine, logger: logger, program: program, arguments: arguments, environment: environment)
    private(set) lazy var adoption = AdoptionDesk(
        self, machine, planning, instances, processes, generations, unaccounted, journal, directories, logger: logger)
    private lazy var restoration = Restoration(
        self, planning,
        RestoredInstances(
            machine: machine, instances: instances, processes: processes, streams: streams, outputs: logs,
            stores: descriptorStores, logger: logger), socketUnits, generations, journal, unaccounted, predecessor)
    /// Whether the events being handled happened while no supervisor ran.
    var isCatchingUp = false

    /// - Parameters:
    ///   - limits: resource limits of services that set none; RLIMIT_NOFILE is the first.
    ///   - program: the absolute path of this program's file; a re-exec executes the file that is at that path then.
    ///   - arguments: the arguments of this program, its name included.
    ///   - inherited: the descriptor of the state that this process's earlier program has handed over (`StateFile`).
    init(
        machine: any Machine, configuration: Configuration, environment: [String: String],
        limits: [SpawnPlan.Limit],
        program: String, arguments: [String], inherited: Int32?, logger: Logger
    ) throws {
        self.machine = machine
        self.configuration = configuration
        self.environment = environment
        self.logger = logger
        self.program = program
        self.arguments = arguments
        predecessor = try Predecessor(
            machine, logger: logger, journal: JournalDesk.path(in: configuration.runtimeDirectory),
            inherited: inherited)
        directories = Directories(machine, configuration, logger: logger)
        let inheritance = predecessor.inherited
        let head = inheritance?.head
        startedAt = head?.startedAt ?? machine.loop.wallClock
        let limits =
            head.map { head in
                // The limits of this process have been raised and are not its original ones.
                [SpawnPlan.Limit(resource: 7, soft: head.fileLimitSoft, hard: head.fileLimitHard)]
                    + (head.limits ?? []).map { SpawnPlan.Limit(resource: $0.resource, soft: $0.soft, hard: $0.hard) }
            } ?? limits
        launcher = Launcher(
            configuration: configuration, limits: limits, environment: environment,
            specifiers: machine.units.specifiers(configuration, environment: environment),
            isProtectedFromOOM: (machine.processes.oomScoreAdjust ?? 0) < 0, machine: machine)
        history = History(path: configuration.stateDirectory + "/history.jsonl", files: machine.files)
        memory = ReleaseMemory(directory: configuration.stateDirectory + "/releases", files: machine.files)
    }

    /// Opens all that the supervisor itself needs. On return it answers on its control socket.
    func start() throws(SystemError) {
        let isSuccessor = predecessor.inherited != nil
        let saved = try takeState()
        try openDirectories(isFirst: saved == nil)
        try openSources(saved, isSuccessor: isSuccessor)
        isCatchingUp = true
        try takeOver(saved, isSuccessor: isSuccessor)
        try openClients(saved)
        if !isSuccessor { reportUnaccounted() }
        if let saved { resume(saved, isSuccessor: isSuccessor) }
        isCatchingUp = false
        // Decisions that were due when the other process ended.
        if saved != nil {
            handle(.deadlineReached)
            finishInterruptedShutdown()
        }
        armTimer()
        journal.watchRoom()
        try predecessor.endWatchLater()
        if saved == nil { startEnabled() }
        predecessor.dropUnclaimed()
        unaccounted.processes.dropSockets()
        logger.info(
            """
            holdfastd \(Holdfast.version) is ready: \(planning.resolver.loader.allNames().count) unit files, \
            \(machine.trees.usesCgroups ? "control groups" : "no writable cgroup v2, sessions instead")
            """)
    }

    /// Takes the state of an earlier process, under the locks of its directories; nil if there is none.
    private func takeState() throws(SystemError) -> SavedState? {
        try planning.start()
        let isSuccessor = predecessor.inherited != nil
        if let own = predecessor.inherited?.own { try directories.inheritLocks(own) }
        try directories.takeDirectories()
        try journal.start()
        var saved = try predecessor.takeState()
        for socket in predecessor.takeUnnamedSockets() { unaccounted.processes.add(socket) }
        predecessor.dropStored()
        if let saved {
            journal.restore(saved)
            reexec.restore(saved.people.reexecCalls)
            engine = saved.engine
            requests.reserveNumbers(to: engine.lastRequest)
            if isSuccessor {
                requests.inherit(saved.people)
                reports.restoreEvidence(saved.people.evidence)
            }
        }
        passGap(&saved)
        return saved
    }

    private func openDirectories(isFirst: Bool) throws(SystemError) {
        try directories.startTrash()
        if isFirst {
            // Except for the FIFOs of services that still run without an instance here.
            unaccountedOutput.move()
            // Directories of generations and credentials may still be in use: `reportUnaccounted` examines them later.
            directories.throwAway(directories.output)
        }
        try directories.makeDirectories(readers: logs.readers)
    }

    /// Opens the sources of events other than clients.
    private func openSources(_ saved: SavedState?, isSuccessor: Bool) throws(SystemError) {
        timer = try loop.makeTimer { [unowned self] in deadlineReached() }
        try socketUnits.openTimer()
        try reports.start()
        sockets = HeldSockets(machine, host: self)
        try machine.processes.adoptOrphans()
        machine.trees.follow(isFresh: !isSuccessor)
        try logs.open()
        unaccountedOutput.read()
        try openNotifySocket(saved?.own)
        signals = [
            try loop.watchSignal(.terminate) { [unowned self] in shutDown(for: nil) },
            try loop.watchSignal(.interrupt) { [unowned self] in shutDown(for: nil) },
            try loop.watchSignal(.hangUp) { [unowned self] in updateOnSignal() },
            try loop.watchSignal(.reexecute) { [unowned self] in reexecOnSignal() },
            try loop.watchSignal(.user2) { [unowned self] in
                logs.reopen()
                logger.info("reopened the log files")
            },
        ]
    }

    /// Takes over the processes and sockets of an earlier supervisor process, and records them as this one's.
    private func takeOver(_ saved: SavedState?, isSuccessor: Bool) throws(SystemError) {
        if let saved {
            try restoration.restore(saved)
            restoreRequests(saved, isSuccessor: isSuccessor)
        } else {
            unaccounted.find(nil, problem: predecessor.problem)
        }
        reserveUsedNumbers()
        if isSuccessor, saved?.isJournalBehind != true { journal.continueFile() } else { journal.rewrite() }
        for (group, remembered) in memory.all() { handle(.restored(group, remembered)) }
        claimUnaccountedSockets()
    }

    private func openClients(_ saved: SavedState?) throws(SystemError) {
        try openControl(saved)
        subscriptions.restore(saved?.people.subscribers ?? [])
        try listenForBinds(saved?.own.multibinder)
    }

    /// Continues what the earlier process had begun.
    private func resume(_ saved: SavedState, isSuccessor: Bool) {
        restoration.resume(saved)
        reports.armProgressTimer()
        reexec.answerCalls(saved.head)
        if !isSuccessor { restoration.reportMissedEnds(saved) }
    }

    private func openNotifySocket(_ own: SavedOwn?) throws(SystemError) {
        try notifications.open(configuration.notifySocket, inherited: own?.notifySocket)
        guard own?.notifySocket == nil, let raw = notifications.descriptor else { return }
        machine.manager.store(raw, name: StoredName.notify)
    }

    private func openControl(_ saved: SavedState?) throws(SystemError) {
        let path = configuration.controlSocket
        if let saved, let raw = saved.own.controlSocket {
            return try control.resume(at: path, listening: raw, saved.people)
        }
        let group = configuration.isUser ? nil : try? machine.accounts.group("holdfast")
        try control.listen(at: path, mode: configuration.isUser ? 0o600 : 0o666, group: group)
        if let raw = control.listening { machine.manager.store(raw, name: StoredName.control) }
    }

    // MARK: - Events and effects

    /// Hands the event to the engine and carries out the effects, until no event follows any more.
    func handle(_ event: Event) {
        backlog.append(event)
        if !isHandling, continuation == nil { handleBacklog() }
    }

    /// Hands an expired deadline to the engine. The loop dispatches exits before timers, so all earlier exits have been
    /// handled before this call.
    private func deadlineReached() {
        guard due == nil else {
            // The event is in the backlog, which waits for this timer if there was no memory for its continuation.
            if !isHandling, continuation == nil, hasBacklog { handleBacklog() }
            return
        }
        due = now
        notifications.receiveWaiting()
        handle(.deadlineReached)
    }

    private func takeDue(_ event: Event) -> Instant? {
        guard case .deadlineReached = event else { return nil }
        defer { due = nil }
        return due
    }

    /// Whether events wait for the loop's next round.
    var hasBacklog: Bool { !backlog.isEmpty }

    /// Events that wait for the loop's next round, for a successor.
    var waitingEvents: [Event] {
        backlog + launches.postponedStarts
    }

    private func handleBacklog() {
        isHandling = true
        var next = 0
        let end = loop.now + Self.longestGo
        while next < backlog.count, next == 0 || loop.now < end {
            let event = backlog[next]
            next += 1
            let effects = engine.handle(event, at: now, catchingUp: isCatchingUp, due: takeDue(event))
            journal.recordEnd(event)
            journal.record(before: effects)
            for effect in effects {
                perform(effect)
                journal.recordSent(effect)
            }
            reports.dropHistoryRecord()
        }
        backlog.removeSubrange(..<next)
        isHandling = false
        socketUnits.reportTouchedServices()
        if !backlog.isEmpty {
            // The priority lets control requests in between, which may stop the chain of events.
            continuation = try? loop.callLater(priority: .controlRequests) { [unowned self] in
                continuation = nil
                handleBacklog()
            }
            // Without memory for the deferred source the timer, which exists already, continues.
            if continuation == nil { return timer?.arm(after: Self.backlogPause) ?? () }
        }
        tidyLater()
        armTimer()
    }

    private func armTimer() {
        if let deadline = engine.nextDeadline, !isCatchingUp {
            timer?.arm(at: deadline.nanoseconds)
        } else {
            timer?.disarm()
        }
    }

    var now: Instant { Instant(nanoseconds: loop.now) }

    /// Stops every unit, drained, and ends the loop. A second `SIGTERM` ends the drain at once.
    func shutDown(for request: RequestID?) {
        // A readable socket starts no service any more.
        socketUnits.unwatchAll()
        machine.manager.notify("STOPPING=1")
        if !engine.isShuttingDown { machine.trees.signalStrays(.terminate) }
        handle(.command(.shutDown, request ?? newRequest()))
    }

    func shutDownComplete() {
        control.stopListening()
        helperCalls.endAll()
        conditions.cancelAll()
        unaccountedOutput.close()
        multibinder = nil
        notifications.close()
        sockets = nil
        generations.removeAll()
        machine.trees.signalStrays(.kill)
        if machine.trees.leftovers(kept: []).isEmpty, unaccounted.processes.isEmpty { removeUnusedDirectories() }
        unaccounted.logLeftRunning()
        machine.trees.remove()
        directories.finish()
        journal.remove()
        logger.info("all services have stopped")
        loop.exit(0)
    }

    private func reexecOnSignal() {
        do {
            try reexec.start(for: nil)
        } catch {
            logger.error("\(error.localizedMessage)")
        }
    }

    private func updateOnSignal() {
        machine.manager.notify("RELOADING=1")
        do {
            let reply = try update()
            logger.info(
                "update: \(reply.changed.count) changed, \(reply.added.count) added, \(reply.removed.count) removed")
        } catch {
            logger.error("\(error.localizedMessage)")
        }
        machine.manager.notify("READY=1")
    }
}

extension Signal {
    /// SIGRTMIN+25, the signal that makes systemd's manager execute itself anew, too (systemd(1)). glibc's SIGRTMIN is
    /// 34.
    public static let reexecute = Signal(rawValue: 34 + 25)
}
