internal import DeP2PReactor

/// The messages of the last minutes, for those who ask for them: bounded in time, number and bytes; pure.
struct MessageCache {
    struct Entry {
        /// `nil` once it is gone.
        fileprivate(set) var message: PubSubMessage?
        let at: NetworkInstant
    }

    /// A place in the cache: messages that come later have higher ones.
    typealias Position = Int

    private var entries: [Entry] = []
    /// The position of the first of `entries`.
    private var base: Position = 0
    /// Of `entries`, those that are gone.
    private var start = 0
    private(set) var bytes = 0
    private let byteLimit: Int

    init(byteLimit: Int = PubSubLimits.historyBytes) { self.byteLimit = byteLimit }

    var count: Int { entries.count - start }

    /// - Returns: those that are no longer kept.
    mutating func append(_ message: PubSubMessage, now: NetworkInstant) -> [PubSubMessage.ID] {
        entries.append(Entry(message: message, at: now))
        bytes += message.encoded.count
        return trim { cache, _ in cache.bytes > cache.byteLimit || cache.count > PubSubLimits.historyCount }
    }

    mutating func timerFired(now: NetworkInstant) -> [PubSubMessage.ID] {
        trim { _, first in now.duration(since: first.at) > PubSubLimits.historyTime }
    }

    /// Messages of `topic` since `time`, the youngest first.
    func recent(_ topic: Topic, since time: NetworkInstant, limit: Int) -> [PubSubMessage.ID] {
        var ids: [PubSubMessage.ID] = []
        for entry in entries[start...].reversed() {
            guard entry.at >= time, ids.count < limit else { break }
            if let message = entry.message, message.topic == topic { ids.append(message.id) }
        }
        return ids
    }

    /// Behind the last.
    var end: Position { base + entries.count }

    /// Of the first since `time`.
    func position(since time: NetworkInstant) -> Position {
        let place = entries[start...].firstIndex { $0.at >= time }
        return place.map { base + $0 } ?? end
    }

    /// Messages of `topic` from `position` up to `end`, the oldest first, and where to go on; `nil` when that is all.
    func page(
        _ topic: Topic, from position: Position, to end: Position, ids limit: Int, bytes byteLimit: Int
    ) -> (ids: [PubSubMessage.ID], next: Position?) {
        var (ids, bytes) = ([PubSubMessage.ID](), 0)
        let last = min(max(start, end - base), entries.count)
        for index in max(start, min(position - base, last))..<last {
            guard let message = entries[index].message, message.topic == topic else { continue }
            bytes += message.encoded.count
            guard ids.count < limit, bytes <= byteLimit || ids.isEmpty else { return (ids, base + index) }
            ids.append(message.id)
        }
        return (ids, nil)
    }

    private mutating func trim(_ isOver: (Self, Entry) -> Bool) -> [PubSubMessage.ID] {
        var gone: [PubSubMessage.ID] = []
        while start < entries.count, isOver(self, entries[start]) {
            if let message = entries[start].message {
                gone.append(message.id)
                bytes -= message.encoded.count
            }
            entries[start].message = nil
            start += 1
        }
        // Places are given back when they are the larger part.
        if start > 1_024, start * 2 > entries.count {
            entries.removeFirst(start)
            base += start
            start = 0
        }
        return gone
    }
}
