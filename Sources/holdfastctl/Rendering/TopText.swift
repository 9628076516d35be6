import ControlProtocol
import Linux

/// One line of `top`: a service of a generation and its resource usage.
struct UsageRow: Codable, Equatable {
    /// The swap unit or plain service.
    var unit: String
    var generation: Int
    var release: String?
    var role: GenerationRole
    var service: String
    var mainPid: Int?
    /// The number of processes, forks included.
    var processes: Int
    /// The share of processors: 1 for each fully used one; nil in the first sample.
    var cpu: Double?
    /// Resident memory in bytes.
    var memory: Int
    /// Open descriptors; nil if we may not read them.
    var descriptors: Int?
    var restarts: Int
    var connections: Int?
}

/// The rows of `top`, computed from two samples of the host's processes.
enum TopText {
    /// - Parameters:
    ///   - before: processor time of each process at the previous sample, in seconds.
    ///   - elapsed: seconds between the two samples.
    ///   - descriptors: counts the open descriptors of a process.
    static func rows(
        _ units: [UnitStatus], _ usage: [Int32: ProcessUsage], before: [Int32: ProcessUsage], elapsed: Double,
        descriptors: (Int32) -> Int?
    ) -> [UsageRow] {
        var children: [Int32: [Int32]] = [:]
        for (pid, process) in usage { children[process.parent, default: []].append(pid) }
        var rows: [UsageRow] = []
        for unit in units {
            for generation in unit.generations {
                for service in generation.services {
                    guard let main = service.mainPid else { continue }
                    let pids = ProcessUsage.tree(of: Int32(truncatingIfNeeded: main), in: usage, children)
                    let spent = pids.map { pid in
                        // A process that is new since the previous sample has spent all its time since then.
                        max(0, (usage[pid]?.cpu ?? 0) - (before[pid]?.cpu ?? 0))
                    }.reduce(0, +)
                    let open = pids.compactMap(descriptors)
                    rows.append(
                        UsageRow(
                            unit: unit.unit, generation: generation.number, release: generation.release,
                            role: generation.role, service: service.unit, mainPid: main, processes: pids.count,
                            cpu: before.isEmpty || elapsed <= 0 ? nil : spent / elapsed,
                            memory: pids.map { usage[$0]?.memory ?? 0 }.reduce(0, +),
                            descriptors: open.count == pids.count ? open.reduce(0, +) : nil,
                            restarts: service.restarts, connections: service.connections))
                }
            }
        }
        return rows.sorted { ($0.cpu ?? 0, $0.memory, $1.service) > ($1.cpu ?? 0, $1.memory, $0.service) }
    }

    static func lines(_ rows: [UsageRow], _ screen: Screen) -> [String] {
        guard !rows.isEmpty else { return ["No services run"] }
        var table = Table([
            .init(title: "SERVICE"), .init(title: "GEN", right: true), .init(title: "ROLE"),
            .init(title: "PID", right: true), .init(title: "PROCS", right: true, dropOrder: 1),
            .init(title: "CPU", right: true),
            .init(title: "MEMORY", right: true), .init(title: "FDS", right: true, dropOrder: 2),
            .init(title: "RESTARTS", right: true), .init(title: "CONNS", right: true),
        ])
        for row in rows {
            let hot = (row.cpu ?? 0) >= 0.9
            table.add([
                .init(text: row.service), .init(text: String(row.generation)),
                .init(text: row.role.rawValue, paint: StatusText.paint(row.role)),
                .init(text: row.mainPid.map(String.init) ?? "-"), .init(text: String(row.processes)),
                .init(text: row.cpu.map(percent) ?? "-", paint: hot ? .red : nil),
                .init(text: Text.bytes(row.memory)), .init(text: row.descriptors.map(String.init) ?? "-"),
                .init(text: String(row.restarts), paint: row.restarts > 0 ? .yellow : nil),
                .init(text: row.connections.map(String.init) ?? "-"),
            ])
        }
        return table.lines(screen)
    }

    private static func percent(_ share: Double) -> String {
        let tenths = Int((min(max(share, 0), 1e6) * 1000).rounded())
        return "\(tenths / 10).\(tenths % 10)%"
    }
}
