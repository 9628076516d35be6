import ArgumentParser
import ControlProtocol
import Glibc
import Linux

struct TopCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "Show the live resource usage of services: CPU, memory, descriptors, connections.",
        discussion: """
            The command reads the numbers from /proc itself, which costs the daemon little. Ends at q or ^C; into a pipe, \
            or with --json, it prints one sample and ends.
            """)
    @OptionGroup var global: GlobalOptions
    @Option(name: [.customShort("i"), .long], help: "Seconds between two samples.") var interval = 2.0
    @Option(name: [.customShort("n"), .long], help: "Number of samples; without it, until q or ^C.") var count: Int?
    @Argument(help: "Units; all if none is named.", completion: .units) var names: [String] = []

    func validate() throws {
        guard interval >= 0.1, interval <= 3600 else { throw ValidationError("--interval is from 0.1 to 3600.") }
        if let count, count < 1 { throw ValidationError("--count must be at least 1.") }
    }

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        // Output that ends by itself must stay readable afterwards, so it does not use the alternate screen.
        let live = count == nil ? LiveScreen(session) : nil
        var before: [Int32: ProcessUsage] = [:]
        var since = Clock.now()
        var left = count ?? (live == nil ? 1 : Int.max)
        while true {
            guard let units = try units(session, live) else { return .ok }
            let usage = ProcessUsage.all()
            let now = Clock.now()
            let rows = TopText.rows(
                units, usage, before: before, elapsed: now - since, descriptors: ProcessUsage.descriptors)
            let isFirst = before.isEmpty
            (before, since) = (usage, now)
            // Processor shares need two samples; if only one is printed, it is the second.
            if !isFirst || live != nil {
                show(rows, session, live)
                if !isFirst { left -= 1 }
                if left <= 0 { return .ok }
            }
            if live == nil { Interrupts.install() }
            if LiveScreen.wait(isFirst ? min(interval, 1) : interval, keys: live != nil) == .userEnded { return .ok }
        }
    }

    /// The status of the units; nil if the user ended the command while the supervisor was away.
    private func units(_ session: Session, _ live: LiveScreen?) throws(CommandFailure) -> [UnitStatus]? {
        var reconnectPolicy = ReconnectPolicy()
        while true {
            do throws(CommandFailure) {
                return try session.quiet.askStatus(names.isEmpty ? ["all"] : names).units
            } catch {
                guard live != nil else { throw error }
                do throws(CommandFailure) {
                    _ = try reconnectPolicy.waitForSupervisor(after: error, session, keys: true)
                } catch {
                    if case .interrupted = error { return nil }
                    throw error
                }
            }
        }
    }

    private func show(_ rows: [UsageRow], _ session: Session, _ live: LiveScreen?) {
        if session.json {
            for row in rows { emit(((try? JSONObject(encoding: row))?.description ?? "{}") + "\n") }
            return
        }
        let screen = Screen(descriptor: STDOUT_FILENO)
        let lines = TopText.lines(rows, screen)
        guard let live else { return session.show(lines) }
        let busy = rows.compactMap(\.cpu).reduce(0, +)
        let memory = rows.map(\.memory).reduce(0, +)
        let share = Int((min(max(busy, 0), 1e6) * 100).rounded())
        let head = "\(Text.counted(rows.count, "service")), \(share)% of a processor, \(Text.bytes(memory)) resident"
        live.draw([head, ""] + lines)
    }
}
