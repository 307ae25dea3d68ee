/// The name the user probably meant. It is only ever suggested: there are no abbreviations.
enum NameSuggestion {
    /// The candidate nearest to `name`, or nil when none is near.
    ///
    /// Near: `name` begins it (and has at least two letters), or at most a third of its letters are edits away,
    /// a swap of neighbours counting as one edit (optimal string alignment).
    static func nearest(to name: String, among candidates: [String]) -> String? {
        if name.utf8.count >= 2, let longer = candidates.filter({ $0.hasPrefix(name) }).min() { return longer }
        let scored = candidates.map { (distance(name, $0), $0) }.filter { $0.0 <= max(1, $0.1.utf8.count / 3) }
        return scored.min { $0 < $1 }?.1
    }

    static func distance(_ left: String, _ right: String) -> Int {
        let a = Array(left.utf8.prefix(64))
        let b = Array(right.utf8.prefix(64))
        var beforeLast: [Int] = []
        var last = Array(0...b.count)
        for i in a.indices {
            var row = [i + 1]
            for j in b.indices {
                var best = min(last[j] + (a[i] == b[j] ? 0 : 1), last[j + 1] + 1, row[j] + 1)
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, beforeLast[j - 1] + 1) }
                row.append(best)
            }
            (beforeLast, last) = (last, row)
        }
        return last[b.count]
    }
}
