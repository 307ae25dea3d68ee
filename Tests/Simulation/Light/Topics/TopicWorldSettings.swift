/// What a ``TopicWorld`` is like.
package struct TopicWorldSettings: Sendable {
    /// Who attacks, with a share of all nodes: after "GossipSub: Attack-Resilient Message Propagation" (Vyzovitis et al., 2020),
    /// and what else a member can do. But for `none`, none of them passes a message on, from when they attack.
    package enum Attack: String, Sendable, CaseIterable {
        case none
        /// They are there from the beginning, in all meshes.
        case coldBoot = "cold-boot"
        /// They come all at once, in the middle of it.
        case flash
        /// They behave until then.
        case covertFlash = "covert-flash"
        /// They pass on what everybody says but what a few publish.
        case censor
        /// Each of a few nodes has as many of them as may connect with it.
        case eclipse
        /// They are at one address, and connect with many.
        case colocation
        /// They announce messages and send none.
        case withhold
        /// They graft again and again.
        case graftSpam = "graft-spam"
        /// They ask for everything again and again.
        case requestFlood = "iwant-flood"
        /// They send messages that nobody has signed.
        case forgery
    }

    package var nodes = 10_000
    package var seed: UInt64 = 1
    package var attack = Attack.none
    package var attackers = 0.2
    /// Of packets.
    package var loss = 0.05
    /// The share of nodes that leave, and come anew, in ten minutes.
    package var churn = 0.2
    /// Connections that a node begins; as many others begin one with it.
    package var dials = 10
    /// Bytes of a message.
    package var size = 1_024
    package var messages = 200
    package var publishers = 20
    /// Messages in a second.
    package var rate = 10.0
    /// Bytes that a node sends in a second.
    package var uplink = 2_500_000.0
    /// Before the first message.
    package var warmUp: Duration = .seconds(20)
    /// After the last: so long may a message be under way.
    package var patience: Duration = .seconds(20)

    package init() {}
}
