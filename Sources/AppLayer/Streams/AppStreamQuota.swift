internal import DeP2PReactor
internal import DeP2PSessions

/// How many of an application's streams, opened by others, are served at once: pure.
///
/// A connection has half of what QUIC grants it, so that messages and transfers find a stream however many an application
/// leaves open. Whoever has the realm key has any number of identities: all connections of one ``Subject`` have half of
/// all places.
///
/// Calling order for each stream: ``begin(_:)``, ``end(_:)``.
package struct AppStreamQuota {
    /// Of all connections, of one, and of those of one subject.
    package static let limit = 4_096
    package static let limitPerConnection = 128
    package static let limitPerSubject = 2_048

    /// Whom a stream counts for: as it was when it began, a connection may move.
    struct Account {
        let session: UInt64
        let subject: Subject
    }

    private var count = 0
    private var sessions: [UInt64: Int] = [:]
    private var subjects = SubjectCounts()

    init() {}

    /// - Throws: the limit that has no room for it.
    mutating func begin(_ account: Account) throws(LimitExceeded) {
        try Self.check("streams", count, Self.limit)
        try Self.check("streams of one connection", sessions[account.session] ?? 0, Self.limitPerConnection)
        try Self.check("streams of one address", subjects.count(account.subject), Self.limitPerSubject)
        count += 1
        sessions.increment(account.session)
        subjects.add(account.subject)
    }

    mutating func end(_ account: Account) {
        count -= 1
        sessions.decrement(account.session)
        subjects.remove(account.subject)
    }

    var isEmpty: Bool { count == 0 && sessions.isEmpty && subjects.isEmpty }

    private static func check(_ name: String, _ value: Int, _ limit: Int) throws(LimitExceeded) {
        guard value < limit else { throw LimitExceeded(name: name, value: value, limit: limit) }
    }
}
