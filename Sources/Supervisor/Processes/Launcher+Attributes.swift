import Linux
import UnitFiles

/// Identity, limits and scheduling of a process.
extension Launcher {
    /// User for the service's login variables and home; nil if the service has none in particular.
    func account(of execution: ExecutionSettings) throws(LaunchError) -> User? {
        if let name = execution.user {
            do throws(UnknownAccount) {
                return try machine.accounts.user(name)
            } catch {
                throw LaunchError(error)
            }
        }
        guard configuration.isUser || execution.setLoginEnvironment == true else { return nil }
        return try? machine.accounts.user("\(machine.processes.ownUser)")
    }

    /// Credentials of the service; nil if the unit names no user or group.
    func credentials(of execution: ExecutionSettings) throws(LaunchError) -> Credentials? {
        guard execution.user != nil || execution.group != nil || !execution.supplementaryGroups.isEmpty else {
            return nil
        }
        do throws(UnknownAccount) {
            return try machine.accounts.credentials(
                user: execution.user, group: execution.group, supplementaryGroups: execution.supplementaryGroups)
        } catch {
            throw LaunchError(error)
        }
    }

    /// Applies all settings of systemd.exec(5) that are attributes of a process.
    func apply(
        _ execution: ExecutionSettings, _ credentials: Credentials?, _ scope: Scope, to plan: inout SpawnPlan
    ) {
        if scope.user { plan.credentials = credentials }
        plan.umask = UInt32(execution.umask)
        plan.nice = execution.nice.map { Int32($0) }
        // The supervisor protects itself from the OOM killer; a service without a setting must not inherit that.
        plan.oomScoreAdjust = execution.oomScoreAdjust.map { Int32($0) } ?? (isProtectedFromOOM ? 0 : nil)
        plan.coredumpFilter = execution.coredumpFilter
        plan.cpuScheduling = execution.cpuScheduling.map {
            .init(policy: $0.policy.number, priority: Int32($0.priority), resetOnFork: $0.resetOnFork)
        }
        plan.cpuAffinity = execution.cpuAffinity
        plan.ioPriority = execution.ioScheduling?.number
        plan.timerSlack = execution.timerSlack
        plan.personality = execution.personality?.number
        plan.ignoreSIGPIPE = execution.ignoreSIGPIPE
        plan.keyring = keyring(execution)
        plan.limits = limits(scope.restrictions ? execution : ExecutionSettings())
        guard scope.restrictions else { return }
        plan.capabilityBoundingSet = execution.capabilityBoundingSet?.bits
        plan.ambientCapabilities = execution.ambientCapabilities.bits
        plan.secureBits = Int32(execution.secureBits.rawValue)
        plan.noNewPrivileges = execution.noNewPrivileges
    }

    private func keyring(_ execution: ExecutionSettings) -> SpawnPlan.Keyring {
        switch execution.keyringMode ?? (configuration.isUser ? .inherit : .private) {
        case .inherit: .inherit
        case .private: .ownSession
        case .shared: .linkedToUser
        }
    }

    private func limits(_ execution: ExecutionSettings) -> [SpawnPlan.Limit] {
        let limits = execution.limits.sorted { $0.key.number < $1.key.number }.map { kind, limit in
            SpawnPlan.Limit(resource: kind.number, soft: limit.soft ?? .max, hard: limit.hard ?? .max)
        }
        let named = Set(limits.map(\.resource))
        return limits + self.limits.filter { !named.contains($0.resource) }
    }
}

extension LaunchError {
    fileprivate init(_ unknown: UnknownAccount) {
        let step: SpawnError.Step =
            switch unknown.kind {
            case .user: .user
            case .group: .group
            }
        self.init(text: "\(unknown)", status: step.exitStatus, isTransient: unknown.isTransient)
    }
}
