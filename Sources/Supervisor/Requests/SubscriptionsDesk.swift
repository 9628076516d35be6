import ControlProtocol
import Engine

/// A call of `Events`: the units that it follows, and the count of events that it missed.
struct Subscriber {
    /// Groups to report on; empty for all units.
    var groups: Set<GroupID>
    var lost = 0
}

/// Interface of the supervisor to the desk of subscriptions.
protocol SubscriptionsHost: AnyObject {
    var engine: Engine { get }
    /// The groups that names in a request stand for.
    func groups(named names: [String]) throws(ControlError) -> Set<GroupID>
    func state(of group: GroupID) -> UnitState
    func release(of generation: GenerationID) -> String?
    /// Name and generation of the service that an instance runs.
    func service(of instance: InstanceID) -> (name: String, generation: GenerationID)?
    func sentence(_ failure: Failure) -> String
}

/// The event stream: the calls of `Events`, and the unit states that they know. Costs nothing without subscribers; with
/// them, an event is encoded once for all.
final class SubscriptionsDesk {
    private unowned let host: any SubscriptionsHost
    private let control: ControlSessions
    private let loop: any Loop
    private var subscribers: [ControlSessions.CallID: Subscriber] = [:]
    /// Last unit states that subscribers have received; empty without subscribers.
    private var publishedStates: [GroupID: UnitState] = [:]

    init(_ host: any SubscriptionsHost, _ control: ControlSessions, _ loop: any Loop) {
        (self.host, self.control, self.loop) = (host, control, loop)
    }

    /// Unread bytes above which a subscriber gets no events until it has read some; missed events are counted and
    /// reported.
    private static let unreadLimit = 256 * 1024
    /// Endless streams at the same time.
    private static let subscriberLimit = 128

    func subscribe(_ names: [String], _ call: ControlSessions.CallID) throws(ControlError) {
        guard subscribers.count < Self.subscriberLimit else {
            throw .failed(message: "\(Self.subscriberLimit) clients watch events already")
        }
        let groups = names.isEmpty ? [] : try host.groups(named: names)
        if subscribers.isEmpty { recordStates() }
        subscribers[call] = Subscriber(groups: groups)
        control.reply(call, Reply(EventsReply(event: UnitEvent(.begin, at: rightNow)), continues: true))
    }

    /// Records the states that subscribers know from now on.
    private func recordStates() {
        publishedStates = Dictionary(uniqueKeysWithValues: host.engine.groupIDs.map { ($0, host.state(of: $0)) })
    }

    /// Restores subscribers of an earlier program of this process whose connections were taken over.
    func restore(_ saved: [SavedSubscriber]) {
        for subscriber in saved where control.wantsMore(subscriber.call) {
            subscribers[subscriber.call] = Subscriber(groups: Set(subscriber.groups), lost: subscriber.lost)
        }
        if !subscribers.isEmpty { recordStates() }
    }

    func unsubscribe(_ call: ControlSessions.CallID) {
        guard subscribers.removeValue(forKey: call) != nil else { return }
        if subscribers.isEmpty { publishedStates = [:] }
    }

    /// Calls and their state, for a successor of this process.
    var saved: [SavedSubscriber] {
        subscribers.map { call, subscriber in
            SavedSubscriber(call: call, groups: subscriber.groups.sorted(), lost: subscriber.lost)
        }.sorted { $0.call.number < $1.call.number }
    }

    /// Drops the state of a group whose name may never be used again.
    func forget(_ group: GroupID) { publishedStates[group] = nil }

    /// Publishes a report of the engine as events.
    func publish(_ report: Report) {
        guard !subscribers.isEmpty else { return }
        switch report {
        case .phase(let group, let generation, let phase):
            publish(
                UnitEvent(
                    .phase, at: rightNow, unit: group.name, generation: generation,
                    release: release(group, generation), phase: SwapPhase(entered: phase), message: Wording.name(phase)),
                group)
        case .service(let instance, let phase):
            publishService(instance, ServiceState(phase), Wording.sentence(phase))
        case .skipped(let instance, let condition): publishService(instance, .exited, condition)
        case .failure(let group, let failure):
            publish(
                UnitEvent(
                    .failure, at: rightNow, unit: group.name, service: failure.unit, message: host.sentence(failure)),
                group)
        case .finished(let group, let result, _):
            let to = result.to ?? result.serving
            publish(
                UnitEvent(
                    .finished, at: rightNow, unit: group.name, generation: to?.number, release: to?.release,
                    outcome: OperationOutcome(result), message: result.failure.map(host.sentence)), group)
        case .drained(let group, let result, _): publish(result, group)
        case .stopping, .refused, .unchanged, .shutDownComplete, .drainForced, .cutting: break
        }
        if let group = self.group(of: report) { publishState(of: group) }
    }

    private func publish(_ result: DrainResult, _ group: GroupID) {
        let end = DrainEnd(result, sentence: host.sentence)
        publish(
            UnitEvent(
                .drained, at: rightNow, unit: group.name, generation: end.generation, release: end.release,
                message: Wording.drained(end), drained: end), group)
    }

    private func publishService(_ instance: InstanceID, _ state: ServiceState, _ message: String) {
        guard let running = host.service(of: instance) else { return }
        let group = running.generation.group
        publish(
            UnitEvent(
                .service, at: rightNow, unit: group.name, generation: running.generation.number,
                release: release(group, running.generation.number), service: running.name, serviceState: state,
                message: message), group)
    }

    /// Publishes that the unit files were read again.
    func publishFiles(_ reply: UpdateReply) {
        guard !subscribers.isEmpty else { return }
        let text = "\(reply.changed.count) changed, \(reply.added.count) added, \(reply.removed.count) removed"
        publish(UnitEvent(.files, at: rightNow, message: text), nil)
    }

    func publishState(of group: GroupID) {
        guard !subscribers.isEmpty else { return }
        let state = host.state(of: group)
        guard publishedStates[group] != state else { return }
        publishedStates[group] = state
        publish(UnitEvent(.unit, at: rightNow, unit: group.name, state: state), group)
    }

    private func group(of report: Report) -> GroupID? {
        switch report {
        case .phase(let group, _, _), .failure(let group, _), .finished(let group, _, _), .unchanged(let group, _),
            .stopping(let group, _), .drainForced(let group, _, _), .drained(let group, _, _):
            group
        case .service(let instance, _), .skipped(let instance, _): host.service(of: instance)?.generation.group
        case .refused, .shutDownComplete, .cutting: nil
        }
    }

    private func release(_ group: GroupID, _ generation: Int?) -> String? {
        generation.flatMap { host.release(of: GenerationID(group: group, number: $0)) }
    }

    private var rightNow: String { Timestamp.string(unixSeconds: loop.wallClock) }

    private func publish(_ event: UnitEvent, _ group: GroupID?) {
        let reply = Reply(EventsReply(event: event), continues: true)
        for (call, subscriber) in subscribers.sorted(by: { $0.key.number < $1.key.number }) {
            if let group, !subscriber.groups.isEmpty, !subscriber.groups.contains(group) { continue }
            guard control.unread(call) <= Self.unreadLimit else {
                subscribers[call]?.lost += 1
                continue
            }
            if subscriber.lost > 0 {
                subscribers[call]?.lost = 0
                let lost = UnitEvent(.lost, at: event.at, count: subscriber.lost)
                control.reply(call, Reply(EventsReply(event: lost), continues: true))
            }
            control.reply(call, reply)
        }
    }
}
