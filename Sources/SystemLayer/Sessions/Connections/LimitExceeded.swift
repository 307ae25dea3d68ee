internal import DeP2PIdentity
internal import DeP2PReactor

/// A limit that refused something: it names itself, its value and what met it.
package struct LimitExceeded: Error, Hashable, Sendable, CustomStringConvertible {
    package let name: String
    package let value: Int
    package let limit: Int

    package init(name: String, value: Int, limit: Int) {
        self.name = name
        self.value = value
        self.limit = limit
    }

    package var description: String { "the limit of \(limit) \(name) is reached" }
}
