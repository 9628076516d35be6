import Engine
import FoundationEssentials
import Glibc
import Linux
import UnitFiles
import Vocabulary

/// `X-Template=`: configuration files of a generation, rendered before its first process.
///
/// A separate program renders them, `holdfast-render`: reading templates may block, and the daemon should not load its
/// libraries. Its standard error, `FILE:LINE:COLUMN: problem`, is the reason why the generation is not started.
final class TemplateRun {
    private let process: RunningRenderer
    private let errors: OwnedDescriptor
    private var timer: (any LoopTimer)?
    private var source: ChildExitSource?
    private var isTooLate = false

    /// Nanoseconds. Templates are small; a longer rendering waits for a disk that does not answer.
    private static let longest: Int64 = 20_000_000_000

    init(_ plan: SpawnPlan, errors: consuming OwnedDescriptor, children: Children) throws(SystemError) {
        self.errors = errors
        do throws(SpawnError) {
            process = RunningRenderer(try children.spawn(plan).takeHandle())
        } catch {
            throw error.cause
        }
    }

    /// Calls `finished` from the loop with nil, or the problem. Returns the error if the program cannot be watched;
    /// then `finished` is never called. (Not thrown: see `RunningProcess.watch`.)
    func watch(_ children: Children, _ loop: EventLoop, _ finished: @escaping (String?) -> Void) -> SystemError? {
        do throws(SystemError) {
            source = try children.watch(process.handle) { [unowned self] status in finished(failure(status)) }
            timer = try loop.makeTimer { [unowned self] in
                isTooLate = true
                try? process.handle.send(.kill)
            }
            timer?.arm(after: Self.longest)
            return nil
        } catch {
            try? process.handle.send(.kill)
            children.abandon(pid: process.handle.pid)
            return error
        }
    }

    private func failure(_ status: ExitStatus) -> String? {
        if status == .exited(0) { return nil }
        if isTooLate { return "rendering templates took longer than \(Self.longest / 1_000_000_000)s" }
        return errors.firstLine() ?? "holdfast-render ended: \(status)"
    }
}

/// A class around the handle, which cannot be copied.
private final class RunningRenderer {
    let handle: ProcessHandle
    init(_ handle: consuming ProcessHandle) { self.handle = handle }
}

extension Supervisor {
    /// Renders the templates of a generation; `rendered` follows, at once if there are none.
    func render(_ parts: [Definition], _ generation: GenerationResources) {
        let id = generation.id
        guard let first = parts.first(where: { !$0.unit.handoff.templates.isEmpty }) else { return rendered(id, nil) }
        let unit = first.unit.name.description
        do throws(Launcher.LaunchError) {
            var job = RenderJob(files: [])
            for part in parts { job.files += try files(of: part, generation) }
            let sources = try openTemplates(of: &job)
            let run = try start(job, sources)
            renderings[id] = run
            let failure = run.watch(children, eventLoop, ended(id, unit))
            guard let failure else { return }
            renderings[id] = nil
            throw Launcher.LaunchError(text: "\(failure)")
        } catch {
            rendered(id, PreparationError(unit: unit, text: "X-Template=: \(error.text)"))
        }
    }

    private func ended(_ id: GenerationID, _ unit: String) -> (String?) -> Void {
        { [unowned self] failure in
            renderings[id] = nil
            guard let failure else { return rendered(id, nil) }
            rendered(id, PreparationError(unit: unit, text: "X-Template=: \(failure)"))
        }
    }

    /// Opens the templates, and puts the descriptor number of each into the job: the renderer is root and must not
    /// resolve paths in directories of users.
    private func openTemplates(of job: inout RenderJob) throws(Launcher.LaunchError) -> [TemplateSource] {
        var sources: [TemplateSource] = []
        for index in job.files.indices {
            let path = job.files[index].template
            do throws(SystemError) {
                sources.append(try TemplateSource(path))
            } catch {
                throw Launcher.LaunchError(text: "\(path): \(error.errno.text)")
            }
            job.files[index].descriptor = "\(sources.count + 2)"
        }
        return sources
    }

    private func files(
        of part: Definition, _ generation: GenerationResources
    ) throws(Launcher.LaunchError) -> [RenderJob.File] {
        guard !part.unit.handoff.templates.isEmpty else { return [] }
        let context = RenderContext(
            part, generation, try launcher.templateEnvironment(of: part, in: generation))
        let owner = part.unit.execution.user.flatMap { try? Accounts.user($0) }
        return part.unit.handoff.templates.map { template in
            RenderJob.File(
                template: template.source, output: generation.directory + "/" + template.name,
                uid: "\(owner?.uid ?? geteuid())", gid: "\(owner?.gid ?? getegid())", context: context)
        }
    }

    /// - Parameter sources: the templates, open, in the order of the job's files.
    private func start(
        _ job: RenderJob, _ sources: [TemplateSource]
    ) throws(Launcher.LaunchError) -> TemplateRun {
        guard let program = ProgramFile.companion("holdfast-render") else {
            throw Launcher.LaunchError(text: "holdfast-render is not installed beside holdfastd")
        }
        guard let text = try? JSONEncoder().encode(job) else {
            throw Launcher.LaunchError(text: "the context is not text")
        }
        do throws(SystemError) {
            // In memory: the job contains the services' environment, which may be secret.
            let input = try OwnedDescriptor.inMemory(Array(text), name: "a job for holdfast-render")
            let output = try OwnedDescriptor.null()
            let pipe = try Pipe(nonBlockingReader: true)
            var plan = SpawnPlan(
                program: program, arguments: ["holdfast-render"], environment: ["PATH": ProgramSearch.path],
                standardInput: input.raw, standardOutput: output.raw, standardError: pipe.writing.raw)
            plan.limits = launcher.limits
            plan.descriptors = sources.map(\.raw)
            return try TemplateRun(plan, errors: try pipe.reading.duplicate(), children: children)
        } catch {
            throw Launcher.LaunchError(text: "\(error)")
        }
    }
}

/// A template that is open for the renderer. At a path that a service's user controls, it must be a file that this user
/// may read, too.
private final class TemplateSource {
    private let descriptor: OwnedDescriptor
    var raw: Int32 { descriptor.raw }
    init(_ path: String) throws(SystemError) { descriptor = try SafeFile.open(path, O_RDONLY) }
}

/// Input of holdfast-render.
private struct RenderJob: Encodable {
    struct File: Encodable {
        var template: String
        var descriptor = ""
        var output: String
        var uid: String
        var gid: String
        var context: RenderContext
    }
    var files: [File]
}

/// The names that a template may use. All values are text: numbers appear in a file as they are written here.
private struct RenderContext: Encodable {
    struct Address: Encodable {
        var name: String
        var unit: String
        var address: String
        var host: String?
        var port: String?
        /// The number of the service's descriptor; nil for upstreams and reserved addresses.
        var fd: String?
    }

    var unit: String
    var generation: String
    var release: String?
    var directory: String
    /// Sockets by name, in lower case: `socket.http.fd`.
    var socket: [String: Address] = [:]
    var sockets: [Address] = []
    var upstream: [String: Address] = [:]
    var upstreams: [Address] = []
    var environment: [String: String]

    init(_ definition: Definition, _ resources: GenerationResources, _ environment: [String: String]) {
        unit = definition.unit.name.description
        generation = "\(resources.id.number)"
        release = definition.unit.name.instance
        directory = resources.directory
        self.environment = environment
        var next = 3
        for unit in definition.sockets {
            for held in resources.sockets[unit.name.description] ?? [] {
                sockets.append(Self.entry(unit.fileDescriptorName, unit, held.endpoint.text, held.address, fd: next))
                next += 1
            }
            for reservation in resources.reservations[unit.name.description] ?? [] {
                sockets.append(
                    Self.entry(
                        unit.fileDescriptorName, unit, "\(reservation.address.address)", reservation.address.address))
            }
        }
        upstreams = definition.upstreams.compactMap { unit in
            resources.address(of: unit.name).map {
                Self.entry(unit.name.description, unit, "\($0.loopback)", $0.loopback)
            }
        }
        socket = Dictionary(sockets.map { ($0.name, $0) }) { first, _ in first }
        upstream = Dictionary(upstreams.map { ($0.name, $0) }) { first, _ in first }
    }

    private static func entry(
        _ name: String, _ unit: SocketUnit, _ text: String, _ address: SocketAddress?, fd: Int? = nil
    ) -> Address {
        Address(
            name: HeldSocket.variable(name).lowercased(), unit: unit.name.description, address: text,
            host: address?.host, port: address?.port.map { "\($0)" }, fd: fd.map { "\($0)" })
    }
}
