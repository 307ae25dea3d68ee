internal import DeP2PApp
package import DeP2PIdentity
internal import DeP2PReactor

/// A node of a ``TopicWorld``: the product's router, and who is at the other ends.
package final class TopicWorldNode {
    package enum Conduct: Sendable { case honest, attacker, publisher, victim }

    /// A way to another node: what goes there arrives in order.
    struct Link {
        let other: Int
        /// Its median, in nanoseconds.
        let roundTrip: UInt64
        var lastArrival: NetworkInstant
    }

    let index: Int
    package let nodeID: NodeID
    package let conduct: Conduct
    let key: IdentityKey?
    let place: InternetRoundTrips.Place
    let subject: Subject
    var router: PubSubRouter
    var links: [PubSubRouter.PeerKey: Link] = [:]
    var isUp = true
    var wakesAt = NetworkInstant.distantFuture
    /// When all that it has to send is on its way.
    var sendsUntil = NetworkInstant(nanoseconds: 0)
    var joinedAt: NetworkInstant
    var sequence: UInt64 = 0

    init(
        index: Int, nodeID: NodeID, key: IdentityKey?, conduct: Conduct, place: InternetRoundTrips.Place,
        subject: Subject,
        seed: UInt64, now: NetworkInstant
    ) {
        (self.index, self.nodeID, self.key, self.conduct) = (index, nodeID, key, conduct)
        (self.place, self.subject, joinedAt) = (place, subject, now)
        router = PubSubRouter(ownID: nodeID, seed: seed, now: now)
    }

    /// Asked of the router where it lies: a property's value would be a copy of all of it.
    var nextWake: NetworkInstant? { Self.wake(of: &router) }

    private static func wake(of router: inout PubSubRouter) -> NetworkInstant? { router.wake }

    var isAttacker: Bool { conduct == .attacker }
    /// In the order of their connections: a dictionary's is another in every process.
    var keysInOrder: [PubSubRouter.PeerKey] { links.keys.sorted() }
}
