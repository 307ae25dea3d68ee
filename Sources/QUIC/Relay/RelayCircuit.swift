package import DeP2PReactor

/// One circuit of a relay: two connections whose frames it exchanges, each under an id of its own.
@NetworkActor
package final class RelayCircuit {
    /// What a circuit may carry, both directions together.
    package struct Limits: Hashable, Sendable {
        /// Bytes of frames in the circuit's whole life; `nil` is no limit.
        package var bytes: UInt64?
        /// Bytes of frames a second; what exceeds it is dropped, as a narrow path would. `nil` is no limit.
        package var bytesPerSecond: UInt64?

        package init(bytes: UInt64? = nil, bytesPerSecond: UInt64? = nil) {
            self.bytes = bytes
            self.bytesPerSecond = bytesPerSecond
        }
    }

    /// One end: what it writes in front of its packets, and where its frames come from.
    final class Side {
        /// The id in the frames that this side sends and receives.
        let id: UInt64
        let connection: Connection
        unowned let circuit: RelayCircuit

        init(id: UInt64, connection: Connection, circuit: RelayCircuit) {
            self.id = id
            self.connection = connection
            self.circuit = circuit
        }
    }

    private(set) var sides: [Side] = []
    package let limits: Limits
    /// Bytes of frames passed on, headers included.
    package private(set) var forwardedBytes: UInt64 = 0
    /// Datagrams dropped because the rate was exceeded.
    package private(set) var droppedDatagrams: UInt64 = 0
    /// Called once, when the limit of bytes is reached: nothing is passed on any more.
    package var onExhausted: (@NetworkActor () -> Void)?
    private var bucket: ByteBucket?
    private var isExhausted = false

    init(_ first: Connection, _ second: Connection, ids: (UInt64, UInt64), limits: Limits, now: NetworkInstant) {
        self.limits = limits
        bucket = limits.bytesPerSecond.map { ByteBucket(rate: $0, now: now) }
        sides = [
            Side(id: ids.0, connection: first, circuit: self), Side(id: ids.1, connection: second, circuit: self),
        ]
    }

    /// The ids that the first and the second connection use.
    package var ids: (first: UInt64, second: UInt64) { (sides[0].id, sides[1].id) }

    func other(_ side: Side) -> Side { sides[0] === side ? sides[1] : sides[0] }

    /// Whether `bytes` in `datagrams` may pass now; counts them.
    func admit(bytes: Int, datagrams: Int, now: NetworkInstant) -> Bool {
        guard !isExhausted else { return false }
        if let limit = limits.bytes, forwardedBytes >= limit || UInt64(bytes) > limit - forwardedBytes {
            isExhausted = true
            let tell = onExhausted
            onExhausted = nil
            tell?()
            return false
        }
        guard bucket?.take(bytes, now: now) ?? true else {
            droppedDatagrams &+= UInt64(datagrams)
            return false
        }
        forwardedBytes += UInt64(bytes)
        return true
    }
}
