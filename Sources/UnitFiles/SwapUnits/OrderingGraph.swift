/// Who starts after whom, among a few named units.
struct OrderingGraph {
    /// In the order in which they were found; that order decides where nothing else does.
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

    /// `later` starts after `earlier`; units that are not in the graph, and a unit after itself, do not count.
    mutating func add(_ later: UnitName, after earlier: UnitName, because location: SourceLocation) {
        guard later != earlier, known.contains(later), known.contains(earlier) else { return }
        let pair = Pair(later: later, earlier: earlier)
        guard reasons[pair] == nil else { return }
        reasons[pair] = location
        after[later, default: []].append(earlier)
    }

    /// Where the first step of a cycle was asked for.
    func reason(_ later: UnitName, after earlier: UnitName) -> SourceLocation? {
        reasons[Pair(later: later, earlier: earlier)]
    }

    private enum Mark { case open, done }

    /// An order in which everything starts after what it must, and the cycles that were cut to get it, each with its first
    /// unit repeated at the end. Depth first without recursion: the depth is as long as the longest chain in the files.
    func sorted() -> (order: [UnitName], cycles: [[UnitName]]) {
        var marks: [UnitName: Mark] = [:]
        var order: [UnitName] = []
        var cycles: [[UnitName]] = []
        for root in names where marks[root] == nil {
            var path: [(name: UnitName, next: Int)] = [(root, 0)]
            marks[root] = .open
            while let (name, next) = path.last {
                let earlier = after[name] ?? []
                guard next < earlier.count else {
                    marks[name] = .done
                    order.append(name)
                    path.removeLast()
                    continue
                }
                path[path.count - 1].next += 1
                switch marks[earlier[next]] {
                case nil:
                    marks[earlier[next]] = .open
                    path.append((earlier[next], 0))
                case .open:
                    let start = path.firstIndex { $0.name == earlier[next] } ?? 0
                    // Enough to see what is wrong; a hostile graph has millions.
                    if cycles.count == 10 { break }
                    cycles.append(path[start...].map(\.name) + [earlier[next]])
                case .done: break
                }
            }
        }
        return (order, cycles)
    }
}
