import Engine
import FoundationEssentials
import Glibc
import Linux
import UnitFiles

/// `X-Template=`: configuration files of a generation, rendered before its first process.
///
/// A separate program renders them, `holdfast-render`: reading templates may block, and the daemon should not load its
/// libraries. Its standard error, `FILE:LINE:COLUMN: problem`, is the reason why the generation is not started.
final class TemplateRun {
    /// Nanoseconds. Templates are small; a longer rendering waits for a disk that does not answer.
    private static let timeout: Int64 = 20_000_000_000

    private let helper: HelperProgram

    init(on machine: any Machine) { helper = HelperProgram(on: machine) }

    /// Starts the renderer; `finished` is called from the loop with nil, or the problem.
    func start(_ plan: SpawnPlan, _ finished: @escaping (String?) -> Void) throws(SystemError) {
        try helper.start(plan, within: Self.timeout) { outcome in
            switch outcome {
            case .succeeded: finished(nil)
            case .timedOut: finished("rendering templates timed out after \(Self.timeout / 1_000_000_000) s")
            case .failed(let status, let complaint): finished(complaint ?? "holdfast-render \(status)")
            }
        }
    }
}

/// Interface of the supervisor to rendering.
protocol TemplatesHost: AnyObject {
    /// The templates of a generation are rendered, or cannot be.
    func rendered(_ id: GenerationID, _ failure: PreparationError?)
}

/// Renders the templates of generations.
final class TemplatesDesk {
    private unowned let host: any TemplatesHost
    private let machine: any Machine
    private let launcher: Launcher
    private var running: [GenerationID: TemplateRun] = [:]

    init(_ machine: any Machine, _ launcher: Launcher, host: any TemplatesHost) {
        (self.machine, self.launcher, self.host) = (machine, launcher, host)
    }

    /// Whether the generation's templates are being rendered.
    func isRendering(_ id: GenerationID) -> Bool { running[id] != nil }

    /// Renders the templates of a generation; `rendered` follows, at once if there are none.
    func render(_ parts: [Definition], _ generation: GenerationResources) {
        let id = generation.id
        guard let first = parts.first(where: { !$0.unit.handoff.templates.isEmpty }) else {
            return host.rendered(id, nil)
        }
        let unit = first.unit.name.description
        do throws(LaunchError) {
            var job = RenderJob(files: [])
            for part in parts { job.files += try files(of: part, generation) }
            let sources = try openTemplates(of: &job)
            running[id] = try start(job, sources) { [unowned self] failure in
                running[id] = nil
                host.rendered(id, failure.map { PreparationError(unit: unit, text: "X-Template=: \($0)") })
            }
        } catch {
            host.rendered(id, PreparationError(unit: unit, text: "X-Template=: \(error.text)"))
        }
    }

    /// Opens the templates, and puts the descriptor number of each into the job: the renderer is root and must not
    /// resolve paths in directories of users.
    private func openTemplates(of job: inout RenderJob) throws(LaunchError) -> [OpenTemplate] {
        var sources: [OpenTemplate] = []
        for index in job.files.indices {
            let path = job.files[index].template
            do throws(SystemError) {
                sources.append(OpenTemplate(try machine.serviceFiles.openTemplate(path)))
            } catch {
                throw LaunchError(text: "\(path): \(error.errno.text)")
            }
            job.files[index].descriptor = "\(sources.count + 2)"
        }
        return sources
    }

    private func files(
        of part: Definition, _ generation: GenerationResources
    ) throws(LaunchError) -> [RenderJob.File] {
        guard !part.unit.handoff.templates.isEmpty else { return [] }
        let context = RenderContext(
            part, generation, try launcher.templateEnvironment(of: part, in: generation))
        let owner = part.unit.execution.user.flatMap { try? machine.accounts.user($0) }
        return part.unit.handoff.templates.map { template in
            RenderJob.File(
                template: template.source, output: generation.directory + "/" + template.name,
                uid: "\(owner?.uid ?? machine.processes.ownUser)", gid: "\(owner?.gid ?? machine.processes.ownGroup)",
                context: context)
        }
    }

    /// - Parameter sources: the templates, open, in the order of the job's files.
    private func start(
        _ job: RenderJob, _ sources: [OpenTemplate], _ finished: @escaping (String?) -> Void
    ) throws(LaunchError) -> TemplateRun {
        guard let program = machine.processes.companion("holdfast-render") else {
            throw LaunchError(text: "holdfast-render is not installed beside holdfastd")
        }
        guard let text = try? JSONEncoder().encode(job) else {
            throw LaunchError(text: "the context is not text")
        }
        do throws(SystemError) {
            // In memory: the job contains the services' environment, which may be secret.
            let input = try OwnedDescriptor.inMemory(Array(text), name: "a job for holdfast-render")
            var plan = SpawnPlan(
                program: program, arguments: ["holdfast-render"], environment: ["PATH": ProgramSearch.path],
                standardInput: input.raw, standardOutput: -1, standardError: -1)
            plan.limits = launcher.limits
            plan.descriptors = sources.map(\.raw)
            let run = TemplateRun(on: machine)
            try run.start(plan, finished)
            return run
        } catch {
            throw LaunchError(text: "\(error)")
        }
    }
}

/// A template that is open for the renderer.
private final class OpenTemplate {
    private let descriptor: OwnedDescriptor
    var raw: Int32 { descriptor.raw }
    init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
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
