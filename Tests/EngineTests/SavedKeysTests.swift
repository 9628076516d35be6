import Foundation
import Testing

@testable import Engine

/// The names under which state is saved. An older version's state must be read by a newer one, so a renamed property
/// keeps its old name in `CodingKeys`, and a new one is Optional or `@Added`.
@Suite struct SavedKeysTests {
    @Test("the engine saves nothing under a name that an older version does not know")
    func engineKeys() throws {
        var keys: Set<String> = []
        for seed in UInt64(0)..<60 {
            var simulation = Simulation(seed: seed)
            simulation.groups = simulation.plans.groups(&simulation.random)
            for group in simulation.groups {
                let release = simulation.random.pick(group.releases)
                simulation.command(.start(simulation.plans.plan(group, release: release, &simulation.random)))
            }
            for step in 0..<40 where simulation.violation == nil {
                simulation.step()
                if step % 7 == 0 { try keys.formUnion(Self.keys(of: simulation.engine)) }
            }
            for id in simulation.engine.groupIDs {
                if let record = simulation.engine.record(of: id) { try keys.formUnion(Self.keys(of: record)) }
            }
        }
        let new = keys.subtracting(Self.engine)
        #expect(new.isEmpty, "new in the saved state: \(new.sorted())")
        // A run that saves nothing proves nothing.
        #expect(keys.count > 150)
    }

    @Test("socket units are saved under no name that an older version does not know")
    func socketKeys() throws {
        var keys: Set<String> = []
        for seed in UInt64(1)...20 {
            var world = SocketWorld(seed: seed)
            for step in 0..<200 {
                world.step()
                if step % 9 == 0 { try keys.formUnion(Self.keys(of: world.machine)) }
            }
        }
        let new = keys.subtracting(Self.sockets)
        #expect(new.isEmpty, "new in the saved state: \(new.sorted())")
        #expect(keys.count > 50)
    }

    @Test("every stored property is saved")
    func completeKeys() {
        let now = Instant(nanoseconds: 0)
        let group = GroupID("a.service")
        let instance = Instance(
            id: InstanceID(number: 1), birth: GenerationID(group: group, number: 1),
            spec: ServiceSpec(unit: "a.service"),
            mandate: .serving, at: now)
        let operation = Operation(.start, .waiting, plan: nil, request: nil, at: now)
        #expect(Self.storedProperties(of: Engine()) == Engine.CodingKeys.allCases.count)
        #expect(Self.storedProperties(of: instance) == Instance.CodingKeys.allCases.count)
        #expect(Self.storedProperties(of: operation) == Operation.CodingKeys.allCases.count)
        let socket = ActivatedSocket(spec: SocketSpec(), at: now)
        #expect(Self.storedProperties(of: socket) == ActivatedSocket.CodingKeys.allCases.count)
    }

    /// Each case of `CodingKeys` names a property, or the type does not compile; so their number is enough.
    private static func storedProperties(of value: Any) -> Int { Mirror(reflecting: value).children.count }

    /// Names of properties, cases and associated values in the encoded value, without names of units and numbers.
    private static func keys(of value: some Encodable) throws -> Set<String> {
        var keys: Set<String> = []
        func collect(_ value: Any) {
            if let map = value as? [String: Any] {
                for (key, value) in map {
                    if !key.contains("."), Int(key) == nil { keys.insert(key) }
                    collect(value)
                }
            } else if let list = value as? [Any] {
                list.forEach(collect)
            }
        }
        collect(try JSONSerialization.jsonObject(with: JSONEncoder().encode(value), options: .fragmentsAllowed))
        return keys
    }

    private static let engine = names(
        """
        _0 _1 _2 mainEnd endedMain swap stopOld lastProcess abort abortTimeout acceptedBefore acceptsShared adrift after afterStartPost all always at awaited
        awaitingMain before bindsTo birth born carried cause checking clean codes command commands condition
        conflicts connectionsCut context control controlGroup coreDumped deadline deadlines definition delay
        dependency drain draining drains duration durations endedEarly endsWith endsWithTree exec execution exited
        failed failure finalKillSignal force forking from generation generations group groups hasBegun hasConditions
        hasExceededDrain hasPidFile hasProbe hasStarted hold id inactive instance instances isAborting isDone
        isDraining isPlanOfGeneration isRestarting isRestoring isShuttingDown isSwapUnit isTarget isWhole kept kill
        killing killMode killSignal kind lacksMembers lastFailure lastInstance lastNumber lastProbeAnswer lastToken
        leave leaving lifecycle limit main mainProcess mainStatus mandate maxDelay maxDraining member method mixed
        name nanoseconds needs new no none notify notifyAccess notifyReload now number oldHasLeft onAbnormal onAbort
        oneshot onFailure onSuccess onWatchdog openTokens operation outlivedBy overlap owner owners phase phaseSince
        plan policy prepare preparing prevent private probe probeDeadline probeInterval probing process public
        publicTier queue readiness readyMessage readyTimeLeft readyTimeout recentStarts related relations
        relationsChanged release reload reloadAnnounced reloaded reloadSignal reloadsWith remainsAfterExit
        repetitions request requests requires restart restarts restartWait restorePlan result role rollingBack run
        running runtime runtimeDeadline runtimeMax saysReloading saysStopping search sendsFinalKill sendsHangup
        services serving settings shutdownRequests signal signalled signals simple since skipped skippedBy soak
        spawn spec start startedAt startFailureMode startIndex starting startLimitBurst startLimitInterval startPost
        startPre starts startsAfter startTimeout state status statusText step steps stop stopCommands
        stopFailureMode stopping stoppingOld stopPost stopsFirst stopsItself stopsOthers stopsWhenUnneeded stopsWith
        stopTimeout strategy success sweeping terminate terminating text timedOut timeout to token toldThatItWaits
        touched triggers type uncleanEnds unit unknown upheld upholds waiting waitingToStart wasAborted watch
        watchdog watchdogDeadline watchdogSignal wholeTreeWatch yes
        """)

    private static let sockets = names(
        """
        _0 _1 _2 _3 accepted accepts arrived begin burst close command connections count dead deadline end
        ending failed failureLimit failures flushPending holdsBack idle idleStop interval isActive isCooling
        isKilled lastToken listening maxConnections maxConnectionsPerSource name nanoseconds nextStart no
        number open paused pollLimit polls releasing requests running service serviceStartLimit services
        since sockets spec startPost startPre startRequests state stopPost stopPre stopRequests stopping
        timedOut timeout triggerLimit triggered triggers unwatched wasTriggered watching yes
        """)

    private static func names(_ text: String) -> Set<String> {
        Set(text.split(whereSeparator: \.isWhitespace).map(String.init))
    }
}
