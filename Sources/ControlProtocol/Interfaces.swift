// The interface text that `GetInterfaceDescription` serves. `packaging/io.holdfast.Manager.varlink` is the same, byte
// for byte (a test compares them), so that clients in other languages can be generated without a running daemon.

/// A Varlink interface: its name and its description in Varlink's interface definition language.
public struct Interface: Equatable, Sendable {
    public let name: String
    /// What `GetInterfaceDescription` answers.
    public let text: String

    /// The interface that every Varlink service has (https://varlink.org/Service).
    public static let service = Interface(name: "org.varlink.service", text: serviceText)

    /// Holdfast's own.
    public static let manager = Interface(name: "io.holdfast.Manager", text: managerText)
}

/// The interfaces that holdfastd serves.
public enum Interfaces {
    /// In the order in which `GetInfo` lists them.
    public static let all: [Interface] = [.service, .manager]

    /// The description of the interface `name`.
    /// - Throws: ``ControlError/interfaceNotFound(interface:)`` if it is none of ours.
    public static func description(of name: String) throws(ControlError) -> InterfaceDescription {
        guard let interface = all.first(where: { $0.name == name }) else { throw .interfaceNotFound(interface: name) }
        return InterfaceDescription(description: interface.text)
    }
}

extension Interface {
    private static let serviceText = """
        # What every Varlink service offers: who it is, and what it can do.
        interface org.varlink.service

        # Who the service is, and the interfaces that it has.
        method GetInfo() -> (
          vendor: string,
          product: string,
          version: string,
          url: string,
          interfaces: []string
        )

        # The definition of one interface, in this language.
        method GetInterfaceDescription(interface: string) -> (description: string)

        error InterfaceNotFound (interface: string)

        error MethodNotFound (method: string)

        # The method exists, but not in the form that was asked for.
        error MethodNotImplemented (method: string)

        # The parameter is missing, unknown or of the wrong type.
        error InvalidParameter (parameter: string)

        # The method streams, and the caller takes one reply only.
        error ExpectedMore ()

        """

    private static let managerText = """
        # Holdfast supervises services and swaps them: a new generation starts beside the old one on the same held sockets,
        # proves that it is ready, and only then is the old one told to drain.
        #
        # Served on the control socket of holdfastd: /run/holdfast/io.holdfast, with --user $XDG_RUNTIME_DIR/holdfast/io.holdfast.
        # Root and the group holdfast may call every method, the group holdfast-read those that only look (with --user: root and
        # the user, everything); everybody else gets PermissionDenied, but for org.varlink.service.
        #
        # Version 1. Later versions add methods, optional parameters, fields of replies and values of enumerations; a client
        # takes what it does not know as absent. What is here keeps its name, type and meaning.
        #
        # Names of units may be given without their suffix where that is unambiguous: "site@v3" for "site@v3.target".
        # Times: fields called "at", "since" and "startedAt" are RFC 3339 in UTC; all others are seconds, from a clock that does
        # not jump. A field that is not known is absent.
        interface io.holdfast.Manager

        # The coarse state of a unit. stopped: not running and nothing is wrong. starting: its first generation is on its way.
        # running: it serves. swapping: it serves and another generation is on its way or drains. stopping: it is being ended.
        # failed: not running because something failed.
        type UnitState (stopped, starting, running, swapping, stopping, failed)

        # The part that a generation plays. held: ready, and waits for Promote or Abort. failed: ended by a failure, listed
        # until something comes after it.
        type GenerationRole (starting, held, serving, draining, stopping, failed)

        # The fine state of a service. waiting: for a service that it is ordered after. start_pre, start_post: ExecCondition=
        # and ExecStartPre=, ExecStartPost= run. starting: executed, readiness is missing. probing: a readiness probe has not
        # succeeded yet. auto_restart: ended unasked, waits for RestartSec=. exited: ended by itself with success.
        type ServiceState (
          waiting,
          start_pre,
          starting,
          start_post,
          probing,
          running,
          reloading,
          draining,
          stopping,
          auto_restart,
          exited,
          stopped,
          failed
        )

        # The steps of a swap, in order; hold only if asked for, roll_back instead of what follows verify, soak or hold.
        type SwapPhase (prepare, start, verify, soak, hold, cut_over, drain, roll_back, record)

        # One service of one generation.
        type ServiceStatus (
          # The unit's name with its instance: app@v3.service.
          unit: string,
          state: ServiceState,
          # The main process.
          mainPid: ?int,
          # The last STATUS= that it sent.
          statusText: ?string,
          # Seconds in this state; for a running service since it became ready.
          age: ?float,
          # How often it was executed again in this generation because it had ended unasked.
          restarts: int,
          # How its last main process ended: "exit status 1 (FAILURE)", "signal 9 (KILL)".
          result: ?string,
          # It has proved, by its own word or by a probe, that it can serve.
          ready: bool,
          # Established connections on its sockets.
          connections: ?int,
          # Memory of its processes in bytes.
          memory: ?int,
          # Lines of its output that could not be written; absent if there are none.
          linesLost: ?int,
          # Lines of its output over LogRateLimitBurst=; absent if there are none.
          linesSuppressed: ?int
        )

        # One generation of a unit.
        type GenerationStatus (
          # 1, 2, ... per swap unit.
          number: int,
          # v3 for site@v3.target; absent for a plain unit.
          release: ?string,
          role: GenerationRole,
          # In start order.
          services: []ServiceStatus,
          # Seconds in this role.
          age: ?float,
          # The step of the swap that it is in.
          phase: ?SwapPhase,
          # What that step waits for, in words.
          waitingFor: ?string,
          # Seconds until it is rolled back (starting) or killed (draining).
          deadline: ?float,
          # Established connections on its sockets.
          connections: ?int,
          # The other end of the one that has been there for longest, and seconds since that one has sent anything.
          oldestPeer: ?string,
          oldestPeerIdle: ?float
        )

        # One swap unit or plain service; a plain service is one generation with one service.
        type UnitStatus (
          # Without a release: site@.target, app.service.
          unit: string,
          description: string,
          state: UnitState,
          # It has an [X-Swap] section.
          swappable: bool,
          # The release that serves, or served last.
          release: ?string,
          servingGeneration: ?int,
          # The newest first.
          generations: []GenerationStatus,
          # Why it is failed or stopped, as a sentence.
          reason: ?string,
          # When it got into this state.
          since: ?string,
          # Its files say something else than when it was started.
          outdated: ?bool
        )

        # Something happened in a running operation, or something to wait for changed.
        type Progress (
          # Seconds since the operation began.
          elapsed: float,
          # What is operated on, with its release: site@v3.target.
          unit: string,
          # The generation that this is about.
          generation: ?int,
          release: ?string,
          phase: SwapPhase,
          # The one service that the message is about.
          service: ?string,
          # What happened, in words.
          message: string,
          # What must come for the phase to go on, in words.
          waitingFor: ?string,
          # Connections that the draining generation still has.
          connectionsLeft: ?int,
          # Seconds until the deadline of the phase, or until the end of a soak.
          secondsLeft: ?float
        )

        # How an operation ended. completed: what was asked for is so. rolled_back: the new generation failed, the old one still
        # serves. aborted: an operator ended the swap, the old one still serves. started, stopped: it runs, or is gone, and was
        # not so before. unchanged: it was so already. failed: it did not work, and nothing serves in its place.
        type OperationOutcome (completed, rolled_back, aborted, started, stopped, unchanged, failed)

        # How long the steps of an operation took, in seconds.
        type PhaseDurations (
          prepare: ?float,
          # From the first execution until everything was ready.
          start: ?float,
          soak: ?float,
          # From the cutover until the last old process was gone.
          drain: ?float,
          total: float
        )

        # Why an operation did not succeed.
        type FailureReport (
          # The unit that failed.
          unit: string,
          # The step that it failed in.
          phase: SwapPhase,
          # "cannot start app@v3.service: executing /srv/site/v3/bin/server: No such file or directory"
          message: string,
          # How its process ended: "exit status 1 (FAILURE)", "signal 11 (SEGV)".
          exitStatus: ?string,
          # The last answer of its probe: "503 Service Unavailable".
          probeAnswer: ?string,
          # The last lines that it wrote, oldest first.
          lastLines: []string
        )

        # The end of an operation.
        type OperationResult (
          outcome: OperationOutcome,
          # What was operated on, with its release.
          unit: string,
          # The generation that was started, or that it was about.
          generation: ?int,
          release: ?string,
          # What served before; after rolled_back and aborted it serves still.
          fromGeneration: ?int,
          fromRelease: ?string,
          # Present after rolled_back and failed.
          reason: ?FailureReport,
          # What moved along, and other things worth knowing.
          notes: []string,
          durations: PhaseDurations
        )

        type HistoryKind (start, swap, rollback, stop, restart)

        # Who asked: the peer of the control connection.
        type Actor (
          uid: int,
          # The name of that user, if it has one.
          user: ?string
        )

        type GenerationReference (generation: int, release: ?string)

        # One operation that changed what serves, or tried to.
        type HistoryEntry (
          # 1, 2, ... over all units of the host.
          number: int,
          # Without a release.
          unit: string,
          kind: HistoryKind,
          # Absent if nobody asked, after a boot for example.
          who: ?Actor,
          # When it began.
          at: string,
          # What served before.
          from: ?GenerationReference,
          # What was to serve after.
          to: ?GenerationReference,
          outcome: OperationOutcome,
          # The sentence of the failure.
          reason: ?string,
          durations: PhaseDurations
        )

        # The generations of one unit, the newest first.
        type UnitGenerations (unit: string, generations: []GenerationStatus)

        # shared: one socket for all generations. generation: each has its own, at its own address.
        type SocketScope (shared, generation)

        # A service that has a duplicate of a held socket.
        type SocketHolder (unit: string, generation: ?int)

        # What a socket unit holds.
        type SocketKind (stream, datagram, sequential_packet, fifo, special, netlink, message_queue)

        # held: its unit was not started, services that get it take what comes. starting, stopping: its commands run. listening:
        # what comes starts its service. cooling: its poll limit is reached, what comes waits. running: its service takes what
        # comes. failed: closed, until its unit is started again.
        type SocketState (held, starting, listening, cooling, running, stopping, failed)

        # At most so often in so many seconds.
        type SocketLimit (burst: int, interval: float)

        # One held socket, FIFO or so, or a socket unit that failed.
        type SocketStatus (
          # The socket unit: http.socket.
          unit: string,
          # 0.0.0.0:80, [::]:80, /run/site/app-v2.sock.7, @name
          address: string,
          scope: SocketScope,
          # The generation that owns it; absent if it is shared.
          generation: ?int,
          # The name it is passed on under.
          descriptorName: string,
          # False if it is only bound.
          listening: bool,
          # How many connections may wait to be accepted.
          backlog: int,
          # How many wait now.
          queued: ?int,
          holders: []SocketHolder,
          kind: SocketKind,
          state: SocketState,
          # New connections wait and start nothing, until it is resumed.
          paused: bool,
          # What its traffic starts.
          service: ?string,
          # Why it failed.
          reason: ?string,
          # How often its traffic started its service.
          triggered: ?int,
          # With Accept=yes: connections that have an instance now, that ever had one, that may have one at once.
          connections: ?int,
          accepted: ?int,
          maxConnections: ?int,
          # More is a failure.
          triggerLimit: ?SocketLimit,
          # More makes it wait.
          pollLimit: ?SocketLimit
        )

        # A file that describes a unit.
        type UnitText (path: string, text: string)

        # error: the unit cannot be used. warning: perhaps not meant so. note: worth knowing.
        type DiagnosticSeverity (error, warning, note)

        # Something to say about a unit file.
        type UnitDiagnostic (
          file: string,
          # From 1; 0 if it is about the whole file.
          line: int,
          # From 1; 0 if it is about the whole line.
          column: int,
          severity: DiagnosticSeverity,
          # A stable word for programs: unknown-directive
          code: string,
          directive: ?string,
          message: string,
          # What was probably meant.
          suggestion: ?string
        )

        # One unit that a name or a pattern means.
        type ListedUnit (
          # As Status names it, or a member of a target (app@v2.service), or a socket.
          unit: string,
          # What to name to start, stop or restart it: the swap unit if it belongs to one. Several may have the same.
          operand: string,
          description: string,
          state: UnitState,
          # The main processes of what serves.
          mainPids: []int,
          # Its files say something else than when it was started.
          outdated: ?bool
        )

        # One thing worth knowing about the state of a unit.
        type Finding (
          # The service that it is about; absent if it is about the whole.
          unit: ?string,
          # What it waits for, what failed, what holds it, as a sentence.
          text: string,
          # What to do about it, as a command.
          hint: ?string,
          # The evidence, if something failed.
          failure: ?FailureReport
        )

        # One property of a unit. A name may occur several times: lists are one value each.
        type Property (name: string, value: string)

        # What an event tells. begin: the stream is open, always the first. unit, service: it is in another state. phase: an
        # operation has entered it. failure: something failed. finished: an operation has ended. files: the unit files were read
        # again. lost: this client did not read fast enough, so many events were left out for it.
        type EventKind (begin, unit, service, phase, failure, finished, files, lost)

        # Something that happened.
        type UnitEvent (
          kind: EventKind,
          at: string,
          # Without a release: site@.target, app.service.
          unit: ?string,
          generation: ?int,
          release: ?string,
          # The service that it is about.
          service: ?string,
          # Of a unit.
          state: ?UnitState,
          # Of a service.
          serviceState: ?ServiceState,
          phase: ?SwapPhase,
          outcome: ?OperationOutcome,
          # In words.
          message: ?string,
          # With lost: how many.
          count: ?int
        )

        # main: the main process. all: every process of the unit.
        type SignalTarget (main, all)

        # The supervisor itself. unitDirectories: highest precedence first.
        method Describe() -> (
          version: string,
          pid: int,
          unitDirectories: []string,
          runtimeDirectory: string,
          stateDirectory: string,
          logDirectory: string,
          userMode: bool,
          startedAt: string
        )

        # The units named, in that order; without names all of them, sorted. Patterns are those of List.
        method Status(names: ?[]string) -> (units: []UnitStatus)

        # The methods from here to Drain take time. Called with "more" they answer with progress while they run and with the
        # result at the end; without it, once, with the result. A caller that goes away does not stop the operation.

        # Start a unit. If it is a swap unit that runs with another release, this is a swap.
        # hold: wait for Promote or Abort before the cutover.
        method Start(name: string, hold: ?bool) -> (progress: ?Progress, result: ?OperationResult)

        # Stop a unit: all its generations drain.
        method Stop(name: string) -> (progress: ?Progress, result: ?OperationResult)

        # Swap a unit to the release that it runs. hard: stop it first and let connections queue.
        method Restart(name: string, hard: ?bool) -> (progress: ?Progress, result: ?OperationResult)

        # Run ExecReload= where there is one, restart what has none.
        method Reload(name: string) -> (progress: ?Progress, result: ?OperationResult)

        # Replace what serves by a new generation, of the release named or, for a plain unit, of the present unit files.
        # hold: wait for Promote or Abort before the cutover.
        method Swap(name: string, hold: ?bool) -> (progress: ?Progress, result: ?OperationResult)

        # End the hold of a swap: cut over. The result is that of the swap.
        method Promote(name: string) -> (progress: ?Progress, result: ?OperationResult)

        # End a swap before its cutover. The result is that of the swap, "aborted".
        method Abort(name: string) -> (progress: ?Progress, result: ?OperationResult)

        # Swap back to the previous release, with the unit definitions that it had.
        method Rollback(name: string) -> (progress: ?Progress, result: ?OperationResult)

        # Wait until no generation of the unit drains any more. now: end draining generations at once.
        method Drain(name: string, now: ?bool) -> (progress: ?Progress, result: ?OperationResult)

        # Send a signal to a unit's processes. signal: SIGHUP, HUP or 1. who: main if absent.
        method Signal(name: string, signal: string, who: ?SignalTarget) -> (pids: []int)

        # What was done, the newest first. limit: how many entries at most.
        method History(name: ?string, limit: ?int) -> (entries: []HistoryEntry)

        # The generations that exist, of one unit or of all swap units.
        method Generations(name: ?string) -> (units: []UnitGenerations)

        # The held sockets.
        method Sockets() -> (sockets: []SocketStatus)

        # Let new connections to a socket wait: nothing is refused, and nothing started for them. Fails for a kind that cannot be
        # held back from a service that accepts from it itself.
        method Pause(name: string) -> (progress: ?Progress, result: ?OperationResult)

        # Take connections to a paused socket again.
        method Resume(name: string) -> (progress: ?Progress, result: ?OperationResult)

        # The files that describe a unit: the unit file, then its drop-ins in the order they apply.
        method Cat(name: string) -> (files: []UnitText)

        # Empty the log of a unit, its rotated files included. What is printed from then on is kept.
        method ClearLogs(name: string) -> ()

        # The units that names and patterns mean, in that order, each once; without names all that Status shows. app* is a pattern
        # (* and ?), site:* are the services of a target, site:app one of them, all is everything. sockets: socket units, too.
        method List(names: ?[]string, sockets: ?bool) -> (units: []ListedUnit)

        # Why a unit is in the state that it is in, the most important first.
        method Why(name: string) -> (unit: string, state: UnitState, findings: []Finding)

        # Everything that is known of a unit: at run time, then what its files say.
        method Show(name: string) -> (unit: string, properties: []Property)

        # What happens, from now on and without an end: only with "more". names: of these units only.
        method Events(names: ?[]string) -> (event: UnitEvent)

        # Forget that a unit failed, and close held sockets that only it used. Refused while it runs. Answers with what was
        # forgotten.
        method Forget(name: string) -> (units: []ListedUnit)

        # Read the unit directories again. What runs keeps the definition it was started with until its next start or swap;
        # outdated: what runs with an older one.
        method Update() -> (
          changed: []string,
          added: []string,
          removed: []string,
          outdated: []string,
          diagnostics: []UnitDiagnostic,
          # What open sockets took over of their changed units, and what only a new socket can have.
          notes: []string
        )

        # Let the program that is installed now go on in the place of the running one, with every service, socket and connection.
        # Answered when it has taken over, after a pause in seconds. If it cannot, Failed says why, and the running one goes on.
        method Reexec() -> (version: string, previousVersion: string, pause: float)

        # Drain and stop everything, then end the supervisor. With "more", progress; the last reply names what was stopped.
        method Shutdown() -> (progress: ?Progress, stopped: ?[]string)

        # No file describes it and nothing of that name runs. suggestion: the nearest name that exists.
        error NoSuchUnit (name: string, suggestion: ?string)

        # A name without its suffix that fits several units.
        error AmbiguousName (name: string, candidates: []string)

        # The unit's files do not verify.
        error InvalidUnit (name: string, diagnostics: []UnitDiagnostic)

        error NotSwappable (name: string, reason: string)

        # Another operation on the unit runs: swap, stop, ... detail: how far it is.
        error Busy (unit: string, operation: string, detail: string)

        # A template that has never had a release was named without one.
        error NoRelease (name: string)

        # The unit holds no generation.
        error NothingToPromote (unit: string)

        # The unit is not being swapped, or the cutover has happened.
        error NothingToAbort (unit: string)

        # No release served before the present one.
        error NothingToRollBack (unit: string)

        error NotRunning (unit: string)

        # required: who may, as "root or group holdfast".
        error PermissionDenied (required: string)

        # The supervisor is ending and begins nothing new.
        error ShuttingDown ()

        # Anything else, as a sentence.
        error Failed (message: string)

        """
}
