package import DeP2PIdentity
package import DeP2PReactor

/// What a node has to show to store something here: that it has asked this node for that key not long ago (BEP 5, `token`):
/// pure. Only this node can make one, so a request to store can't be replayed to another; and it names its asker.
package struct StoreTokens: Sendable {
    package static let length = 16
    /// A token is good until the period after its own has ended.
    package static let period: Duration = .seconds(300)

    private let secret: AuthenticationKey

    /// - Parameter secret: of this run; 32 random bytes.
    package init(secret: AuthenticationKey) { self.secret = secret }

    package func token(for asker: NodeID, key: DHTKey, now: NetworkInstant) -> [UInt8] {
        token(for: asker, key: key, in: Self.period(at: now))
    }

    package func accepts(_ token: [UInt8], from asker: NodeID, key: DHTKey, now: NetworkInstant) -> Bool {
        let current = Self.period(at: now)
        return constantTimeEqual(token, self.token(for: asker, key: key, in: current))
            || current > 0 && constantTimeEqual(token, self.token(for: asker, key: key, in: current - 1))
    }

    private static func period(at now: NetworkInstant) -> UInt64 { now.nanoseconds / period.clampedNanoseconds }

    private func token(for asker: NodeID, key: DHTKey, in period: UInt64) -> [UInt8] {
        let number = (0..<8).map { UInt8(truncatingIfNeeded: period >> (56 - 8 * UInt64($0))) }
        return Array(secret.authenticate(number + key.bytes + asker.bytes).prefix(Self.length))
    }
}
