internal import DeP2PIdentity

/// Streams that nodes have opened and the application has not taken yet, in the order in which they came: pure.
///
/// Calling order: ``hasRoom(for:)`` before ``add(_:of:)``.
struct WaitingStreams<Stream> {
    private struct Entry {
        let number: Int
        let node: NodeID
        let stream: Stream
    }

    private var entries: [Entry] = []
    private var last = 0

    var count: Int { entries.count }

    /// One node has an eighth of the places: it keeps the others out with eight identities at the least, and for as long
    /// only as the application takes none.
    func hasRoom(for node: NodeID) -> Bool {
        entries.count < IncomingStreams.waitingLimit
            && entries.count(where: { $0.node == node }) < IncomingStreams.waitingLimitPerNode
    }

    /// - Returns: the stream's number.
    mutating func add(_ stream: Stream, of node: NodeID) -> Int {
        last += 1
        entries.append(Entry(number: last, node: node, stream: stream))
        return last
    }

    mutating func takeFirst() -> Stream? { entries.isEmpty ? nil : entries.removeFirst().stream }

    @discardableResult
    mutating func remove(_ number: Int) -> Stream? {
        entries.firstIndex { $0.number == number }.map { entries.remove(at: $0).stream }
    }

    mutating func removeAll() -> [Stream] {
        defer { entries = [] }
        return entries.map(\.stream)
    }
}
