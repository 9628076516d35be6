import Glibc
import Testing

@testable import Engine
@testable import Supervisor

@Suite("Events of one process in all orders")
struct OrderSimulationTests {
    /// The kind of a service, as far as the order of events may depend on it.
    enum Kind: String, CaseIterable {
        case simple, simpleWithPidFile, notify, notifyWithPidFile, notifyReload, oneshot, forking, forkingWithPidFile,
            forkingUnguessed
    }

    enum Trait: String, CaseIterable {
        case none, remainsAfterExit, endsWithTree, restarts, startPost, stopCommands, stopPost, drains, startPre
    }

    enum Stage: String, CaseIterable { case start, running, reload, stopping, killing, afterwards }

    private static func spec(_ kind: Kind, _ trait: Trait) -> ServiceSpec {
        var spec = ServiceSpec(unit: OrderWorld.unit)
        spec.type =
            switch kind {
            case .simple, .simpleWithPidFile: .simple
            case .notify, .notifyWithPidFile: .notify
            case .notifyReload: .notifyReload
            case .oneshot: .oneshot
            case .forking, .forkingWithPidFile, .forkingUnguessed: .forking
            }
        spec.lifecycle.hasPidFile = [.forkingWithPidFile, .simpleWithPidFile, .notifyWithPidFile].contains(kind)
        spec.lifecycle.reloadSignal = OrderWorld.reloadSignal
        spec.commands.reload = [.no]
        spec.notifyAccess = .all
        switch trait {
        case .none: break
        case .remainsAfterExit: spec.lifecycle.remainsAfterExit = true
        case .endsWithTree: spec.lifecycle.endsWithTree = true
        case .restarts:
            spec.restart.policy = kind == .oneshot ? .onFailure : .always
            spec.restart.delay = .zero
        case .startPre: spec.commands.startPre = [.no]
        case .startPost: spec.commands.startPost = [.no]
        case .stopCommands: spec.commands.stop = [.no]
        case .stopPost: spec.commands.stopPost = [.no]
        case .drains: spec.drain = .init(method: .signal(OrderWorld.drainSignal), timeout: .seconds(60))
        }
        return spec
    }

    /// The service at this stage of its life; nil if it never reaches it.
    private static func world(_ kind: Kind, _ trait: Trait, _ stage: Stage) -> OrderWorld? {
        var world = OrderWorld(spec(kind, trait))
        world.guesses = kind != .forkingUnguessed
        world.start()
        guard stage != .start else { return world }
        world.settle()
        if [.notify, .notifyWithPidFile, .notifyReload].contains(kind) { world.act(.says(.ready)) }
        if kind == .forkingWithPidFile { world.act(.writesPidFile) }
        world.settle()
        // A process beside the main process.
        guard let id = world.instance, world.engine.instances[id]?.isUp == true else { return nil }
        world.strays += 1
        switch stage {
        case .start, .running: break
        case .reload: world.act(.command(.reload))
        case .stopping:
            world.isStubborn = true
            world.act(.command(.stop))
        case .killing:
            world.isStubborn = true
            world.act(.command(.stop))
            world.act(.time)
        case .afterwards: world.act(.mainDies(1))
        }
        return world
    }

    private static func actions(_ kind: Kind, _ stage: Stage) -> [OrderWorld.Action] {
        var list: [OrderWorld.Action] = [.mainDies(0), .mainDies(1), .strayDies, .straySays(.mainPid), .time]
        if [.notify, .notifyWithPidFile, .notifyReload].contains(kind) { list += [.says(.ready), .says(.reloading)] }
        if [.forkingWithPidFile, .simpleWithPidFile, .notifyWithPidFile].contains(kind) { list.append(.writesPidFile) }
        if stage != .stopping, stage != .killing { list.append(.command(.stop)) }
        if stage == .stopping { list.append(.command(.drainNow)) }
        return list
    }

    @Test(
        "whatever comes first, nothing waits for ever, and nothing outlives what it was asked for",
        arguments: Kind.allCases, Trait.allCases)
    func allOrders(_ kind: Kind, _ trait: Trait) {
        var explorer = OrderExplorer()
        for stage in Stage.allCases {
            guard let start = Self.world(kind, trait, stage) else { continue }
            for actions in Self.choices(of: Self.depth, from: Self.actions(kind, stage)) {
                var world = start
                world.actions = actions
                explorer.explore(world)
            }
        }
        for (text, course) in explorer.failures.sorted(by: { $0.key < $1.key }) {
            Issue.record(Comment(rawValue: "\(text)\n\(course.joined(separator: "; "))"))
        }
        #expect(explorer.states > 50)
    }

    /// The number of outside actions at each stage; `HOLDFAST_ORDERS=3` takes minutes.
    private static let depth = getenv("HOLDFAST_ORDERS").flatMap { Int(String(cString: $0)) } ?? 2

    /// All subsets of `count` elements.
    private static func choices(of count: Int, from list: [OrderWorld.Action]) -> [[OrderWorld.Action]] {
        guard count > 0, let first = list.first else { return [[]] }
        let rest = Array(list.dropFirst())
        guard rest.count >= count else { return [Array(list.prefix(count))] }
        return choices(of: count - 1, from: rest).map { [first] + $0 } + choices(of: count, from: rest)
    }
}
