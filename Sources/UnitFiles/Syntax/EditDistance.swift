/// Finds the name nearest to a mistyped one, for "did you mean" hints.
enum EditDistance {
    /// The candidate with the fewest differences, if these are at most a third of its letters.
    static func closest(to text: String, in candidates: some Sequence<String>) -> String? {
        let wanted = Array(text.lowercased().utf8)
        // The cost of a comparison is quadratic, and longer texts are not mistyped names.
        guard wanted.count > 1, wanted.count <= 64 else { return nil }
        var best: (name: String, distance: Int)?
        for candidate in candidates {
            let limit = min(max(1, candidate.utf8.count / 3), (best?.distance ?? Int.max) - (best == nil ? 0 : 1))
            guard abs(candidate.utf8.count - wanted.count) <= limit else { continue }
            let distance = between(wanted, Array(candidate.lowercased().utf8), limit: limit)
            if distance <= limit, distance < (best?.distance ?? Int.max) { best = (candidate, distance) }
        }
        return best?.name
    }

    /// Number of insertions, deletions, substitutions and swaps of neighbours; `limit + 1` if there are more than
    /// `limit`.
    private static func between(_ left: [UInt8], _ right: [UInt8], limit: Int) -> Int {
        var before: [Int] = []
        var last = Array(0...right.count)
        for row in 0..<left.count {
            var current = [row + 1]
            current.reserveCapacity(right.count + 1)
            var smallest = row + 1
            for column in 0..<right.count {
                let cost = left[row] == right[column] ? 0 : 1
                var value = min(current[column] + 1, last[column + 1] + 1, last[column] + cost)
                if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
                    value = min(value, before[column - 1] + 1)
                }
                current.append(value)
                smallest = min(smallest, value)
            }
            if smallest > limit { return limit + 1 }
            before = last
            last = current
        }
        return last[right.count]
    }
}
