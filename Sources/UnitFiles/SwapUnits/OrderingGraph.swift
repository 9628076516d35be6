/// The start order of a set of units.
struct OrderingGraph {
    /// The units in the order of their discovery, which decides between units without an ordering.
    let names: [UnitName]
    private(set) var after: [UnitName: [UnitName]] = [:]
    private var reasons: [Pair: SourceLocation] = [:]
    private let known: Set<UnitName>

    private struct Pair: Hashable {
        var later: UnitName
        var earlier: UnitName
    }

    init(_ names: [UnitName]) {
        self.names = names
        known = Set(names)
    }

    /// Makes `later` start after `earlier`. Ignores units outside the graph, and a unit ordered after itself.
    mutating func add(_ later: UnitName, after earlier: UnitName, because location: SourceLocation) {
        guard later != earlier, known.contains(later), known.contains(earlier) else { return }
        let pair = Pair(later: later, earlier: earlier)
        guard reasons[pair] == nil else { return }
        reasons[pair] = location
        after[later, default: []].append(earlier)
    }

    /// The place of the directive that orders `later` after `earlier`, for a step of a cycle.
    func reason(_ later: UnitName, after earlier: UnitName) -> SourceLocation? {
        reasons[Pair(later: later, earlier: earlier)]
    }

    private enum VisitState { case open, done }

    /// A start order, and the cycles cut to get it, each with its first unit repeated at the end. The search is
    /// depth-first without recursion, because it is as deep as the longest chain in the files.
    func sorted() -> (order: [UnitName], cycles: [[UnitName]]) {
        var states: [UnitName: VisitState] = [:]
        var order: [UnitName] = []
        var cycles: [[UnitName]] = []
        for root in names where states[root] == nil {
            var path: [(name: UnitName, next: Int)] = [(root, 0)]
            states[root] = .open
            while let (name, next) = path.last {
                let earlier = after[name] ?? []
                guard next < earlier.count else {
                    states[name] = .done
                    order.append(name)
                    path.removeLast()
                    continue
                }
                path[path.count - 1].next += 1
                switch states[earlier[next]] {
                case nil:
                    states[earlier[next]] = .open
                    path.append((earlier[next], 0))
                case .open:
                    let start = path.firstIndex { $0.name == earlier[next] } ?? 0
                    // Ten cycles are enough to show the problem; a hostile graph has millions.
                    if cycles.count == 10 { break }
                    cycles.append(path[start...].map(\.name) + [earlier[next]])
                case .done: break
                }
            }
        }
        return (order, cycles)
    }
}
