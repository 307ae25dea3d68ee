internal import DeP2PReactor

/// The parameters of the mesh (GossipSub v1.0 and v1.1, "Parameters"), and every bound on what peers push.
package enum PubSubLimits {
    // MARK: The mesh

    /// Members of a mesh that are wanted (D), the fewest (D_lo) and the most (D_hi) that are left alone.
    static let degree = 6
    static let leastDegree = 5
    static let mostDegree = 12
    /// Of them, those that this node has dialled itself (D_out), and those that are kept for their score (D_score).
    static let outboundDegree = 2
    static let scoredDegree = 4
    /// The fewest who are told of messages each second (D_lazy), and their share of those who could be.
    static let lazyDegree = 6
    static let gossipFactor = 0.25
    static let heartbeat = Duration.seconds(1)
    /// After a PRUNE, and after one that only says that its sender is no longer subscribed.
    static let pruneBackoff = Duration.seconds(60)
    static let unsubscribeBackoff = Duration.seconds(10)
    /// A peer says for how long: at most that.
    static let longestBackoff = Duration.seconds(3_600)
    /// How long after its end a backoff is kept to by those who begin a GRAFT: the other side may count a little later.
    static let backoffSlack = Duration.seconds(1)
    /// Peers of one topic whose backoff is remembered.
    static let backoffs = 1_024
    /// How long the receivers of a topic that is only published to are kept.
    static let fanoutTime = Duration.seconds(60)

    // MARK: Messages

    /// The longest payload, in bytes.
    package static let payload = 1024 * 1024
    /// The longest RPC that is taken, in bytes: a message with everything around it, and control beside it.
    package static let frame = payload + 64 * 1024
    /// From this many bytes on the others are told that a message has come (IDONTWANT).
    static let announcedSize = 1024
    /// Below this many bytes that waits for more of its kind.
    static let hurriedSize = 16 * 1024
    static let controlDelay = Duration.milliseconds(10)
    /// The same where as many ids as these had come in such a time: a packet less costs more than what an id does.
    static let busyControlDelay = Duration.milliseconds(30)
    static let busyControlIDs = 8
    /// From this many bytes on only a few get a message of its author at once; the others are told of it, and ask.
    static let lazyPushSize = 64 * 1024
    static let eagerDegree = 3
    /// How long who is told of a message by one who is not in the mesh, or was late of late, waits for it before it asks: it may
    /// be on its way.
    static let requestDelay = Duration.milliseconds(150)
    /// How long after that it asks another who has it, and how long after that the next.
    static let hedgeDelay = Duration.milliseconds(400)
    static let laterHedgeDelay = Duration.milliseconds(800)
    /// How long it counts that a peer was late with what others had.
    static let lateTime = Duration.seconds(120)
    /// Of an RPC that has not come whole, after how many bytes each its sender counts as sending.
    package static let partSize = 16 * 1024
    /// How long a message that came from its author itself is kept back from those who seem to get it from there too: since
    /// they last showed that they do, and in all.
    static let forwardDelay = Duration.milliseconds(50)
    /// The same for those who have shown it of so many in a row: to verify and send what they have costs more than all the rest,
    /// and they may only be busy.
    static let provenForwardDelay = Duration.milliseconds(500)
    static let provenShows = 32
    static let longestForwardDelay = Duration.seconds(10)
    /// Messages that are kept back so, of all authors, and their bytes; beyond, they are passed on at once.
    static let deferredCount = 4_096
    static let deferredBytes = 16 * 1024 * 1024
    /// Authors for whom it is known who gets their messages otherwise, and how many of those are known each.
    static let servedAuthors = 256

    // MARK: Memory

    /// Messages kept for those who ask for them: for so long, and of so many bytes; told of for the first of these.
    static let gossipTime = Duration.seconds(3)
    static let historyTime = Duration.seconds(120)
    static let historyBytes = 32 * 1024 * 1024
    static let historyCount = 65_536
    /// Ids that are known to have been seen: for so long at the least, unless there are more of them.
    static let seenTime = Duration.milliseconds(Int64(newsTime + clockSkew))
    static let seenCount = 196_608
    /// How old the time in a message's number may be, in milliseconds, if others than its author send it: as old as numbers
    /// are (``MessageNumbers/renewal``), as messages that are kept for others, and as clocks may differ.
    static let newsTime: UInt64 = 480_000
    /// How far it may be ahead.
    static let clockSkew: UInt64 = 300_000
    /// Messages whose signature is not verified yet, in bytes: of all peers, and of one.
    static let unverifiedBytes = 16 * 1024 * 1024
    static let unverifiedBytesPerPeer = 4 * 1024 * 1024
    /// Ids that peers have and this node has not, remembered: of all peers, and of one, within two heartbeats.
    static let heldElsewhere = 65_536
    static let heldElsewherePerPeer = 16_384

    /// Bytes that wait for one peer, and for all of them.
    static let queuedBytesPerPeer = 8 * 1024 * 1024
    static let queuedBytes = 64 * 1024 * 1024
    /// Of what is no message so many more, of one and of all: who takes not even that is begun with anew.
    static let queuedControlBytes = 1024 * 1024
    /// What an RPC of it counts beside its bytes: as a rule they are few, and it takes memory all the same.
    static let queuedControlOverhead = 128

    // MARK: What a peer may say

    /// Topics that one peer is subscribed to.
    package static let topicsPerPeer = 256
    /// Topics that this node is subscribed to.
    package static let subscriptions = 256
    /// Entries of one RPC: subscriptions, messages, and of all kinds of control together.
    static let subscriptionsPerRPC = 512
    static let messagesPerRPC = 1_024
    static let controlsPerRPC = 1_024
    /// Ids in one RPC, of all kinds together, and the most that are put into one.
    static let idsPerRPC = 8_192
    static let idsSent = 1_024
    /// Peers that a PRUNE names.
    static let exchangedPeers = 16
    /// Members that take part from which on they are asked who they are: before a mesh can be full.
    static let acquainted = 8
    /// Addresses of one of them that are tried, and how many of them a minute on the word of one peer, and of all together: whoever
    /// has the realm key can make any number of keys, and have them sign whose addresses he likes.
    static let exchangedAddresses = 3
    static let exchangesPerPeer = 4
    static let exchangesPerMinute = 16
    /// In a heartbeat: IHAVE messages of one peer, the ids in them that are looked at, the ids of IWANT and IDONTWANT.
    static let ihavesPerHeartbeat = 256
    static let ihaveIDsPerHeartbeat = 5_000
    static let iwantIDsPerHeartbeat = 5_000
    static let idontwantIDsPerHeartbeat = 16_384
    /// Bytes that one peer gets on request in a heartbeat.
    static let iwantBytesPerHeartbeat = 16 * 1024 * 1024
    /// How often one peer gets one message on request.
    static let retransmissions = 3
    /// How long a message may take that was asked for, and how often it is, of all who have it together.
    static let followUp = Duration.seconds(3)
    static let attempts = 4
    /// What a peer that was gone is told of in a heartbeat, so that it can ask for all of it: ids, and bytes of their messages.
    static let recalledIDs = 2_048
    static let recalledBytes = 2 * 1024 * 1024
    /// Ids that are asked for at once.
    static let promises = 8_192
}
