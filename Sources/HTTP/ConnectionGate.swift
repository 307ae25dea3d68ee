/// Which connections there are: as many as may be, and then the oldest gives way to the newest. Pure.
///
/// A connection is there for one request, answered in milliseconds. So the oldest of many is most likely held by somebody who
/// never asks or never reads, and whoever comes newly is served whatever such people hold.
struct ConnectionGate<ID: Hashable> {
    private let limit: Int
    /// The oldest first.
    private(set) var open: [ID] = []

    init(limit: Int) { self.limit = limit }

    /// - Returns: which has to go.
    mutating func enter(_ id: ID) -> ID? {
        open.append(id)
        return open.count > limit ? open.removeFirst() : nil
    }

    mutating func leave(_ id: ID) { open.removeAll { $0 == id } }
}
