import ArgumentParser
import ControlProtocol
import UnitFiles
import UnitStore

struct DependenciesCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "list-dependencies", abstract: "List the units that a unit requires or wants, with their states.",
        discussion: "Reads the present unit files; the states come from the daemon, if one runs.")
    @OptionGroup var global: GlobalOptions
    @Flag(help: "Show the dependencies as a tree.") var tree = false
    @Argument(help: oneName, completion: .units) var name: String

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        let directories = try UnitDirectories(global, session)
        let unit = try directories.unit(name)
        let listed = try? session.quiet.ask(.list(names: nil, sockets: true), ListReply.self)
        var states: [String: UnitState] = [:]
        for unit in listed?.units ?? [] { states[unit.unit] = unit.state }
        for unit in (try? session.quiet.askStatus([]))?.units ?? [] {
            for service in unit.generations.reversed().flatMap(\.services) {
                states[service.unit] = Self.state(service.state)
            }
        }
        // For a socket the tree shows whether it is open.
        for socket in (try? session.quiet.ask(.sockets, SocketsReply.self))?.sockets ?? [] {
            states[socket.unit] = socket.state == .failed ? .failed : .running
        }
        let root = DependencyTree(unit, in: SwapUnitResolver(loader: directories.loader))
        if session.json {
            emit(((try? JSONObject(encoding: root))?.description ?? "{}") + "\n")
        } else {
            session.show(root.lines(states, asTree: tree, session.output))
        }
        return .ok
    }
}

extension DependenciesCommand {
    /// The state of a group's member, as that of a unit.
    private static func state(_ state: ServiceState) -> UnitState {
        switch state {
        case .running, .reloading: .running
        case .waiting, .startPre, .starting, .startPost, .probing: .starting
        case .draining, .stopping: .stopping
        case .autoRestart, .failed: .failed
        case .exited, .stopped: .stopped
        }
    }
}

/// A unit and the units that it needs.
struct DependencyTree: Encodable {
    let unit: String
    /// The reason for which it is listed: `Wants`, `Requires`, `Sockets`; nil for the root.
    let because: String?
    /// The needs of the unit; empty if the tree shows the unit before.
    private(set) var needs: [DependencyTree] = []

    init(_ unit: UnitName, in resolver: SwapUnitResolver) {
        var seen: Set<UnitName> = []
        self.init(unit, nil, in: resolver, &seen, depth: 0)
    }

    private init(
        _ unit: UnitName, _ because: String?, in resolver: SwapUnitResolver, _ seen: inout Set<UnitName>, depth: Int
    ) {
        self.unit = unit.description
        self.because = because
        // Wants= may form a circle, and a deeper tree is not readable.
        guard seen.insert(unit).inserted, depth < 32 else { return }
        for (name, why) in resolver.needs(of: unit) {
            needs.append(DependencyTree(name, why, in: resolver, &seen, depth: depth + 1))
        }
    }

    func lines(_ states: [String: UnitState], asTree: Bool, _ screen: Screen) -> [String] {
        guard asTree else {
            var names: [String] = []
            collect(&names)
            return names.sorted().map { marked($0, states, screen) }
        }
        return [marked(unit, states, screen)] + branches("", states, screen)
    }

    private func collect(_ names: inout [String]) {
        for need in needs {
            if !names.contains(need.unit) { names.append(need.unit) }
            need.collect(&names)
        }
    }

    private func branches(_ indent: String, _ states: [String: UnitState], _ screen: Screen) -> [String] {
        needs.enumerated().flatMap { index, need in
            let isLast = index == needs.count - 1
            let why = need.because.map { screen.paint("  (\($0))", .dim) } ?? ""
            return [indent + (isLast ? "└─" : "├─") + need.marked(need.unit, states, screen) + why]
                + need.branches(indent + (isLast ? "  " : "│ "), states, screen)
        }
    }

    /// The name with a mark for its state, if the daemon knows one.
    private func marked(_ name: String, _ states: [String: UnitState], _ screen: Screen) -> String {
        let state = states[name] ?? (try? UnitName(name)).flatMap { states[$0.identity.description] }
        let mark =
            switch state {
            case .running?, .swapping?: screen.paint("●", .green)
            case .starting?, .stopping?: screen.paint("●", .yellow)
            case .failed?, .unknown?: screen.paint("×", .red)
            case .stopped?: "○"
            case nil: " "
            }
        return "\(mark) \(Text.harmless(name))"
    }
}
