import Engine
import Linux
import UnitFiles

/// Variables, in the order of systemd.exec(5), "Environment variables in spawned processes": the supervisor's, then
/// `PassEnvironment=`, `Environment=`, `EnvironmentFile=`, each over the earlier ones; `UnsetEnvironment=` at the end.
extension Launcher {
    /// Placeholder for a pid that is known only after the fork; no value of a unit can equal it.
    static let pidPlaceholder = "\u{0}"

    /// Variables of every process.
    func baseEnvironment(_ execution: ExecutionSettings, _ account: User?) -> [String: String] {
        let searched = execution.execSearchPath.isEmpty ? ProgramSearch.directories : execution.execSearchPath
        var result = ["PATH": searched.joined(separator: ":"), "LANG": environment["LANG"] ?? "C.UTF-8"]
        if configuration.isUser {
            for name in ["HOME", "XDG_RUNTIME_DIR"] { result[name] = environment[name] }
            result["MANAGERPID"] = "\(machine.processes.ownPid)"
        }
        if execution.setLoginEnvironment ?? (execution.user != nil || configuration.isUser), let account {
            result["USER"] = account.name
            result["LOGNAME"] = account.name
            // As in systemd: "/" as home and a nologin shell count as none.
            if account.home != "/" { result["HOME"] = account.home }
            if !account.hasNoShell { result["SHELL"] = account.shell }
        }
        for kind in DirectoryKind.allCases {
            let paths = execution.directories[kind]?.paths ?? []
            if !paths.isEmpty { result[kind.variable] = paths.map { path($0, kind) }.joined(separator: ":") }
        }
        return result
    }

    func addHoldfastVariables(
        to environment: inout [String: String], _ definition: Definition, _ generation: GenerationResources
    ) {
        environment["GENERATION"] = "\(generation.id.number)"
        environment["GENERATION_DIRECTORY"] = generation.directory
        if let release = definition.unit.name.instance { environment["RELEASE"] = release }
        for unit in definition.upstreams {
            guard let address = generation.address(of: unit.name) else { continue }
            environment["UPSTREAM_" + HeldSocket.variable(unit.name.description)] = "\(address.loopback)"
        }
    }

    /// Appends the stored descriptors after the sockets, under the names that the service gave them, and after them the
    /// files that were opened for it.
    func add(_ store: DescriptorStore?, _ files: [PassedFile], to handoff: inout Handoff) {
        let stored = (store?.descriptors.map { ($0.raw, $0.name) } ?? []) + files.map { ($0.raw, $0.name) }
        guard !stored.isEmpty else { return }
        // Sockets that are passed by another convention than systemd's have descriptor numbers all the same.
        let names =
            handoff.environment["LISTEN_FDNAMES"].map { [$0] } ?? handoff.descriptors.map { _ in "unknown" }
        handoff.descriptors += stored.map(\.0)
        handoff.environment["LISTEN_FDS"] = "\(handoff.descriptors.count)"
        handoff.environment["LISTEN_FDNAMES"] = (names + stored.map(\.1)).joined(separator: ":")
    }

    /// `OpenFile=`
    func openFiles(of unit: ServiceUnit) throws(LaunchError) -> [PassedFile] {
        var opened: [PassedFile] = []
        for file in unit.openFiles {
            do throws(SystemError) {
                opened.append(
                    try machine.serviceFiles.openPassed(file.path, name: file.name, .init(file.access)))
            } catch {
                // A file is not missing because descriptors are short.
                if !file.mayBeMissing || error.isTransient {
                    throw LaunchError(text: "OpenFile=: \(error)", status: 202, isTransient: error.isTransient)
                }
            }
        }
        return opened
    }

    /// Adds the variables that the unit sets; `remarks` gets a sentence for each ignored line.
    func addOwnVariables(
        of execution: ExecutionSettings, to variables: inout [String: String], _ remarks: inout [String]
    ) throws(LaunchError) {
        for name in execution.passEnvironment {
            if let value = environment[name] { variables[name] = value }
        }
        for assignment in execution.environment { variables[assignment.name] = assignment.value }
        for file in execution.environmentFiles {
            for assignment in try read(file, &remarks) { variables[assignment.name] = assignment.value }
        }
        for removal in execution.unsetEnvironment {
            switch removal {
            case .name(let name): variables[name] = nil
            case .assignment(let assignment):
                if variables[assignment.name] == assignment.value { variables[assignment.name] = nil }
            }
        }
    }

    private func read(
        _ file: EnvironmentFileReference, _ remarks: inout [String]
    ) throws(LaunchError) -> [EnvironmentAssignment] {
        let paths: [String]
        do throws(SystemError) {
            paths = PathPattern.isPattern(file.path) ? try machine.serviceFiles.matches(of: file.path) : [file.path]
        } catch {
            throw LaunchError(text: "reading EnvironmentFile=\(file.path): \(error)", isTransient: error.isTransient)
        }
        let found = file.read(paths: paths) { path in
            do throws(UnitFileReadError) {
                return .success(try machine.units.readNamed(path))
            } catch {
                return .failure(error)
            }
        }
        if let failure = found.diagnostics.first(where: { $0.severity == .error }) {
            throw LaunchError(text: failure.message)
        }
        let shown = found.diagnostics.prefix(Self.shownRemarks)
        remarks += shown.map { "\($0.location): \($0.message)" }
        if found.diagnostics.count > shown.count {
            remarks.append("\(file.path): \(found.diagnostics.count - shown.count) more lines are ignored")
        }
        return found.assignments
    }

    /// Ignored lines of one `EnvironmentFile=` that are reported one by one.
    private static let shownRemarks = 10

    /// `$SERVICE_RESULT`, `$EXIT_CODE`, `$EXIT_STATUS`: result of the run, and of its main process if that has ended.
    static func resultVariables(_ end: ServiceEnd) -> [String: String] {
        var environment = ["SERVICE_RESULT": end.result.name]
        switch end.main {
        case .exited(let code):
            environment["EXIT_CODE"] = "exited"
            environment["EXIT_STATUS"] = "\(code)"
        case .signalled(let signal, let core):
            environment["EXIT_CODE"] = core ? "dumped" : "killed"
            environment["EXIT_STATUS"] = signal.shortName ?? "\(signal)"
        case .unknown, nil: break
        }
        return environment
    }
}

extension User {
    /// nologin(8), false(1) or true(1), in any directory.
    fileprivate var hasNoShell: Bool { ["nologin", "false", "true"].contains(FileTree.name(of: shell)) }
}

extension PassedFile.Access {
    fileprivate init(_ access: OpenFile.Access) {
        self =
            switch access {
            case .readWrite: .readWrite
            case .readOnly: .readOnly
            case .append: .append
            case .truncate: .truncate
            }
    }
}
