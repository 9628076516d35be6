import Vocabulary

@testable import Engine

/// A group as its unit files describe it: the part that is the same in all commands.
struct SimulatedGroup: Sendable {
    enum Kind: Sendable { case target, swapService, plainService, list }
    let id: GroupID
    let kind: Kind
    let strategy: SwapStrategy
    let after: Set<GroupID>
    let requires: Set<GroupID>
    /// Whether it has a member that neither accepts publicly nor is used by one that does.
    let hasWorker: Bool
    /// Whether it accepts publicly, for a single service.
    let acceptsShared: Bool
    let relations: Relations

    var releases: [String?] { kind == .target ? ["v1", "v2", "v3"] : [nil] }
}

/// Draws random groups and plans. Every plan has its own definitions: releases differ in more than their names.
struct PlanMaker: Sendable {
    private var lastDefinition: UInt64 = 0

    mutating func groups(_ random: inout SplitMix64) -> [SimulatedGroup] {
        let count = [1, 1, 1, 2, 2, 3][random.below(6)]
        var made: [SimulatedGroup] = []
        for index in 0..<count {
            let kind = random.pick([
                SimulatedGroup.Kind.target, .target, .swapService, .plainService, .plainService, .list,
            ])
            let name = kind == .target ? "site\(index)@.target" : "unit\(index).service"
            var after: Set<GroupID> = []
            var requires: Set<GroupID> = []
            for other in made where random.chance(50) {
                if random.chance(60) { after.insert(other.id) }
                if random.chance(50) { requires.insert(other.id) }
            }
            // A cycle, in some schedules: no group may wait for ever.
            if index == 0, count > 1, random.chance(10) { after.insert(GroupID("unit1.service")) }
            if index == 0, count > 1, random.chance(5) { requires.insert(GroupID("unit1.service")) }
            let relations = relations(to: made.map(\.id), &requires, &random)
            made.append(
                SimulatedGroup(
                    id: GroupID(name), kind: kind, strategy: random.chance(75) ? .overlap : .queue, after: after,
                    requires: requires, hasWorker: random.chance(30), acceptsShared: random.chance(80),
                    relations: relations))
        }
        return made
    }

    private func relations(
        to others: [GroupID], _ requires: inout Set<GroupID>, _ random: inout SplitMix64
    ) -> Relations {
        var relations = Relations()
        guard random.chance(40) else { return relations }
        for other in others {
            switch random.below(7) {
            case 0: relations.bindsTo.insert(other)
            case 1 where other.name.hasPrefix("site"): relations.stopsWith.insert(other)
            case 1: relations.endsWith.insert(other)
            case 2: relations.stopsOthers.insert(other)
            case 3: relations.upholds.insert(.init(group: other, unit: other.name))
            case 4: relations.conflicts.insert(other)
            case 5: relations.needs.insert(other)
            default: break
            }
        }
        relations.stopsWhenUnneeded = random.chance(10)
        requires.formUnion(relations.bindsTo)
        relations.needs.formUnion(relations.bindsTo)
        return relations
    }

    /// A plan for the group; with `isWhole` false for some of its members.
    mutating func plan(
        _ group: SimulatedGroup, release: String?, isWhole: Bool = true, _ random: inout SplitMix64
    ) -> Plan {
        var settings = SwapSettings(strategy: group.strategy)
        settings.soak = random.pick([.zero, .milliseconds(500), .seconds(2)])
        settings.maxDraining = random.pick([nil, nil, 1, 2])
        settings.readyTimeout =
            group.kind == .plainService || group.kind == .list
            ? nil : random.pick([.seconds(10), .seconds(30), .seconds(60)])
        var services: [ServiceSpec] = []
        switch group.kind {
        case .target:
            let name = release ?? "v1"
            let stem = group.id.name.prefix { $0 != "@" }
            let app = "\(stem)-app@\(name).service"
            var members: [ServiceSpec] = []
            members.append(service(app, "\(stem)-app@.service", release, isSwapUnit: true, &random))
            var edge = service(
                "\(stem)-edge@\(name).service", "\(stem)-edge@.service", release, isSwapUnit: true, &random)
            edge.becomeAcceptor()
            edge.startsAfter = [app]
            members.append(edge)
            if group.hasWorker {
                var worker = service(
                    "\(stem)-worker@\(name).service", "\(stem)-worker@.service", release, isSwapUnit: true, &random)
                worker.startsAfter = random.chance(50) ? [app] : []
                members.append(worker)
            }
            services = members
            if !isWhole {
                let chosen = random.pick([[0], [1], [0, 1]])
                services = chosen.map { members[$0] }
            }
        case .list: services = []
        case .swapService, .plainService:
            var only = service(group.id.name, nil, nil, isSwapUnit: group.kind == .swapService, &random)
            if group.acceptsShared { only.becomeAcceptor() }
            services = [only]
        }
        let isSwapUnit = group.kind == .target || group.kind == .swapService
        var plan = Plan(
            group: group.id, isSwapUnit: isSwapUnit, release: release, settings: settings,
            services: services, isWhole: isWhole || group.kind != .target, after: group.after,
            requires: group.requires)
        plan.relations = group.relations
        plan.isTarget = group.kind == .list
        return plan
    }

    private mutating func service(
        _ unit: String, _ member: String?, _ release: String?, isSwapUnit: Bool, _ random: inout SplitMix64
    ) -> ServiceSpec {
        lastDefinition += 1
        var spec = ServiceSpec(unit: unit, member: member, definition: lastDefinition)
        spec.release = release
        spec.type = random.pick([
            .notify, .notify, .notify, .simple, .simple, .simple, .notifyReload, .forking, .oneshot,
        ])
        spec.commands.start = spec.type == .oneshot ? random.pick([[.no], [.no], [.no, .yes, .no]]) : [.no]
        spec.hasProbe = random.chance(40)
        spec.startTimeout =
            isSwapUnit && random.chance(20) ? nil : random.pick([.seconds(3), .seconds(20), .seconds(90)])
        spec.stopTimeout = random.pick([.seconds(1), .seconds(5), .seconds(90)])
        spec.killMode = random.pick([.controlGroup, .controlGroup, .mixed, .process, .none])
        spec.finalKillSignal = random.chance(90) ? 9 : 6
        // Processes left by a service that is neither signalled nor killed would never end.
        spec.sendsFinalKill = spec.killMode == .none || random.chance(95)
        spec.notifyAccess = random.pick([.main, .main, .exec, .all])
        spec.restart.policy = random.pick(RestartPolicy.allCases)
        spec.restart.delay = random.pick([.zero, .milliseconds(100), .seconds(5)])
        spec.restart.startLimitBurst = random.pick([0, 2, 5])
        func commands(_ percent: Int) -> [CommandCounts.MayFail] {
            guard random.chance(percent) else { return [] }
            return (0..<(1 + random.below(2))).map { _ in random.chance(25) ? .yes : .no }
        }
        spec.commands.condition = commands(10)
        spec.commands.startPre = commands(25)
        spec.commands.startPost = commands(15)
        spec.commands.reload = commands(40)
        spec.commands.stop = commands(20)
        spec.commands.stopPost = commands(20)
        lifecycle(&spec, &random)
        if isSwapUnit {
            let method: ServiceSpec.DrainMethod =
                !spec.commands.stop.isEmpty && random.chance(50) ? .stopCommands : .signal(random.pick([10, 15]))
            // Without a limit the engine would wait for a hanging `ExecStop=` without end, as it should.
            let limits: [Duration?] =
                method == .stopCommands ? [.seconds(2), .seconds(60)] : [.seconds(2), .seconds(60), nil]
            spec.drain = .init(method: method, timeout: random.pick(limits))
        }
        return spec
    }

    /// The only signal that does not end a process.
    static let reloadSignal: Signal = 12

    private func lifecycle(_ spec: inout ServiceSpec, _ random: inout SplitMix64) {
        spec.lifecycle.reloadSignal = Self.reloadSignal
        spec.lifecycle.hasConditions = random.chance(15)
        spec.lifecycle.remainsAfterExit = random.chance(spec.type == .oneshot ? 60 : 8)
        spec.lifecycle.endsWithTree = spec.type != .oneshot && random.chance(8)
        spec.lifecycle.hasPidFile = spec.type != .oneshot && random.chance(spec.type == .forking ? 60 : 10)
        spec.lifecycle.startFailureMode = random.pick([.terminate, .terminate, .abort, .kill])
        spec.lifecycle.stopFailureMode = random.pick([.terminate, .terminate, .abort, .kill])
        spec.lifecycle.abortTimeout = random.pick([nil, .seconds(2)])
        spec.lifecycle.watchdog = random.chance(8) ? .seconds(20) : nil
        spec.lifecycle.runtimeMax = random.chance(5) ? .seconds(40) : nil
        spec.lifecycle.sendsHangup = random.chance(10)
        spec.restart.steps = random.pick([0, 0, 3])
        spec.restart.maxDelay = .seconds(30)
        // "always" and "on-success" are invalid for oneshot services.
        if spec.type == .oneshot, [.always, .onSuccess].contains(spec.restart.policy) {
            spec.restart.policy = .onFailure
        }
    }
}

extension ServiceSpec {
    /// Makes the service accept on a shared socket, so it must stay up; a separate test covers an acceptor that exits.
    fileprivate mutating func becomeAcceptor() {
        acceptsShared = true
        guard type == .oneshot else { return }
        type = .notify
        commands.start = [.no]
    }
}
