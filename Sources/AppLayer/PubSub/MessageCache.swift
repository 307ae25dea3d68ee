internal import DeP2PReactor

/// The messages of the last minutes, for those who ask for them: bounded in time, number and bytes; pure.
struct MessageCache {
    struct Entry {
        /// `nil` once it is gone.
        fileprivate(set) var message: PubSubMessage?
        let at: NetworkInstant
    }

    private var entries: [Entry] = []
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
            start = 0
        }
        return gone
    }
}
