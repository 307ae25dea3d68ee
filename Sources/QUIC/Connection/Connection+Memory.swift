internal import CDeP2PQUICShim
internal import DeP2PReactor
internal import DequeModule

/// What streams' data holds in memory until the peer has acknowledged it, and what arrived until it is read: counted and
/// bounded.
///
/// ngtcp2 points at what it was handed until that is acknowledged or its stream closed, and both are the peer's to do:
/// it can acknowledge later packets only, or stop reading and leave its own side open. Writers wait at the bound. What is
/// kept of streams that were given up has no writer left to wait; a peer that lets half of the bound pile up there is no
/// honest one (it would acknowledge within a round trip, and one window is the most that can be under way): the
/// connection ends.
extension Connection {
    var isOverSendMemory: Bool { sendMemory > allowance.sendMemory }

    /// Whether no writer would have to wait with so many bytes more.
    func hasSendMemory(for more: Int) -> Bool { more <= allowance.sendMemory - sendMemory }

    func sendMemoryChanged(by change: Int, abandoned: Int) {
        guard change != 0 || abandoned != 0 else { return }
        sendMemory += change
        abandonedMemory += abandoned
        if change < 0, !memoryWaiters.isEmpty { wakeMemoryWaiters() }
        guard abandoned > 0, abandonedMemory > allowance.abandonedMemory, !isEndingOverMemory else { return }
        isEndingOverMemory = true
        // Not from within a flush or one of ngtcp2's callbacks.
        NetworkActor.beforeWaiting { [weak self] in
            guard let self else { return }
            close(
                code: endpoint.configuration.limitCloseCode,
                reason: "more than \(allowance.abandonedMemory) bytes of ended streams were not acknowledged")
        }
    }

    /// Has the stream's writer woken once there is room.
    func waitForMemory(_ stream: QUICStream) {
        guard !stream.waitsForMemory else { return }
        stream.waitsForMemory = true
        memoryWaiters.append(stream)
    }

    /// Memory that streams' unread bytes may be given beyond what they need.
    ///
    /// The peer is granted bytes, and what they are kept in may be larger, up to twice the window for all of them
    /// together; beyond that each stream has no more than its bytes and ``ReceiveBuffer/firstChunk``.
    var receiveRoom: Int { max(0, 2 * Int(clamping: receiveWindow.size) + lentBytes - receiveMemory) }

    func wakeMemoryWaiters() {
        guard !isOverSendMemory else { return }
        // Those that have to wait on line up again, behind these.
        for _ in 0..<memoryWaiters.count {
            guard let stream = memoryWaiters.popFirst() else { return }
            stream.waitsForMemory = false
            stream.wakeWriter()
        }
    }
}

/// Sees what ngtcp2 is handed to read, and when it has let go of it: tests look whether the memory stays as it was.
@NetworkActor
protocol SendLedger: AnyObject {
    /// ngtcp2 has taken the first `count` bytes of `vectors`, the stream's next ones.
    func handedOver(
        _ vectors: UnsafeBufferPointer<dep2p_vec>, count: Int, stream: Int64, of connection: Connection)
    func acknowledged(upTo end: UInt64, stream: Int64, of connection: Connection)
    func closed(stream: Int64, of connection: Connection)
    func freed(_ connection: Connection)
}
