import Engine
import Linux
import UnitFiles

/// Commands of socket units, and the variables for instances of connections.
extension Launcher {
    /// Passes a connection as systemd does: alone, as descriptor 3.
    func pass(_ connection: AcceptedConnection, to environment: inout [String: String]) -> [Int32] {
        environment["LISTEN_FDS"] = "1"
        environment["LISTEN_FDNAMES"] = AcceptedConnection.descriptorName
        environment["LISTEN_FD_" + HeldSocket.variable(AcceptedConnection.descriptorName)] = "3"
        environment.merge(connection.environment) { _, new in new }
        return [connection.descriptor.raw]
    }

    /// The plan of a socket unit's command, without standard streams.
    func plan(_ command: ExecCommand, of unit: SocketUnit, invocation: String) throws(LaunchError) -> Launch {
        let execution = unit.execution
        let scope = Scope(command.prefixes)
        let account = try account(of: execution)
        let credentials = try credentials(of: execution)
        try makeDirectoriesAtOnce(of: execution, for: credentials)
        var variables = baseEnvironment(execution, account)
        variables["INVOCATION_ID"] = invocation
        var remarks: [String] = []
        try addOwnVariables(of: execution, to: &variables, &remarks)
        let root = scope.rootDirectory ? execution.rootDirectory : nil
        var plan = SpawnPlan(
            program: try find(command.path, execution, root), arguments: command.expanded(with: variables),
            environment: variables, standardInput: -1, standardOutput: -1, standardError: -1)
        plan.invocation = Self.bytes(ofHexadecimal: invocation)
        plan.rootDirectory = root.map { .init(path: $0.path, optional: $0.mayBeMissing) }
        plan.workingDirectory = workingDirectory(execution, account, root)
        apply(execution, credentials, scope, to: &plan)
        return Launch(plan: plan, remarks: remarks)
    }
}
