/// Bytes in both directions, as this side sees them.
public struct ByteTotals: Hashable, Sendable, AdditiveArithmetic {
    public var sent: UInt64
    public var received: UInt64

    public init(sent: UInt64 = 0, received: UInt64 = 0) {
        (self.sent, self.received) = (sent, received)
    }

    public static let zero = ByteTotals()

    /// Both directions together.
    public var both: UInt64 { sent &+ received }

    public static func + (left: Self, right: Self) -> Self {
        Self(sent: left.sent &+ right.sent, received: left.received &+ right.received)
    }

    public static func - (left: Self, right: Self) -> Self {
        Self(sent: left.sent &- right.sent, received: left.received &- right.received)
    }
}

/// What went over connections, counted twice: as their streams have it, and as the network has it.
public struct Traffic: Hashable, Sendable, AdditiveArithmetic {
    /// What streams carried, each byte once: the frames of their protocols, and the agreement on a protocol's name that
    /// each stream begins with. No headers of QUIC, no handshakes, no repetitions.
    ///
    /// What is sent counts when QUIC takes it, what is received when it is there in order. So when streams have ended in
    /// good order, each end has received to the byte what the other has sent; of one that was reset on its way, less.
    public var payload: ByteTotals
    /// What datagrams of QUIC carried, which is UDP's payload: handshakes, headers, acknowledgements, repetitions, signs of
    /// life and closes included, headers of UDP and IP not; through a relay with the relay's header, as the relay counts.
    /// Over TCP it is the same datagrams, without their framing.
    public var wire: ByteTotals

    public init(payload: ByteTotals = .zero, wire: ByteTotals = .zero) {
        (self.payload, self.wire) = (payload, wire)
    }

    public static let zero = Traffic()

    public static func + (left: Self, right: Self) -> Self {
        Self(payload: left.payload + right.payload, wire: left.wire + right.wire)
    }

    public static func - (left: Self, right: Self) -> Self {
        Self(payload: left.payload - right.payload, wire: left.wire - right.wire)
    }
}

/// The kinds of path that bytes are counted by.
public enum PathClass: String, Hashable, Sendable, CaseIterable {
    case direct
    case punched
    case relay

    package init(_ kind: ConnectionPath.Kind) {
        self =
            switch kind {
            case .direct: .direct
            case .punched: .punched
            case .relay: .relay
            }
    }
}
