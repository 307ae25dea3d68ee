internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions
internal import DequeModule

/// One peer, as it is reached: the stream on which it is told what it is told, and what waits for that.
///
/// Calling order: ``open(on:greeting:)``, then ``send(_:isMessage:)`` as often as there is something; ``finish()`` or
/// ``abandon()`` once. Opened on another session, it goes on there.
@NetworkActor
final class PubSubLink {
    /// Bytes that wait for the peer; a message beyond is left out, and offered again when those have been taken.
    static let queueLimit = 8 * 1024 * 1024
    /// From so many on a publisher waits.
    static let backlog = 1024 * 1024

    let key: PubSubRouter.PeerKey
    let nodeID: NodeID
    private(set) var session: Session
    /// Streams on which the peer speaks.
    var inboundStreams = 0
    private let clock: any NetworkClock
    private var stream: NegotiatedStream?
    private var queue = Deque<Chunk>()
    private(set) var queuedBytes = 0
    private var isWriting = false
    private var isFinishing = false
    private var isAbandoned = false
    private var behindSince: NetworkInstant?
    /// Does not count for who waits: it was waited for in vain.
    var isSlow = false
    private(set) var sentMessages = 0
    /// Whether the peer has read everything, to the end.
    private(set) var isSettled = false
    /// Whether nothing more will come of it.
    var isOver: Bool { isSettled || !isOpen }
    /// It is.
    var onOver: (@NetworkActor () -> Void)?
    /// What was queued is being taken again.
    var onRelief: (@NetworkActor (PubSubLink) -> Void)?
    /// The peer does not take it, or does not speak the protocol.
    var onFailure: (@NetworkActor (PubSubLink) -> Void)?
    /// Everything was left out since then that did not find room.
    var onCatchUp: (@NetworkActor (PubSubLink, NetworkInstant) -> Void)?

    init(key: PubSubRouter.PeerKey, session: Session, clock: any NetworkClock) {
        self.key = key
        (self.session, nodeID) = (session, session.remoteNodeID)
        self.clock = clock
    }

    var isOpen: Bool { stream != nil || isOpening }
    private var isOpening = false
    var isBacklogged: Bool { queuedBytes > Self.backlog && !isSlow }

    /// Streams of its own on `session` that are to stay.
    func streamsKeptOpen(on session: Session) -> Int {
        stream != nil && !isFinishing && self.session === session ? 1 : 0
    }

    /// Speaks on `session` from now on.
    func open(on session: Session, greeting: [[UInt8]]) {
        if let stream { stream.finish() }
        (stream, self.session, isOpening) = (nil, session, true)
        networkTask { [weak self] in
            do {
                let stream = try await session.openStream(PubSub.protocolID)
                guard let self, self.session === session, !isAbandoned else {
                    return stream.reset(StreamCode.cancelled.rawValue)
                }
                (self.stream, isOpening) = (stream, false)
                queue.insert(contentsOf: greeting.map { Chunk($0) }, at: 0)
                queuedBytes += greeting.reduce(0) { $0 + $1.count }
                write()
                await watch(stream)
            } catch {
                self?.failed(on: session)
            }
        }
    }

    /// The peer says nothing on this stream but that it speaks the protocol, or not.
    private func watch(_ stream: NegotiatedStream) async {
        do {
            // Whatever it says instead is dropped.
            while try await stream.read() != nil {}
            if isFinishing, self.stream === stream { isSettled = true }
            onOver?()
        } catch {
            if self.stream === stream { failed(on: session) }
        }
    }

    private func failed(on session: Session) {
        guard self.session === session else { return }
        (stream, isOpening) = (nil, false)
        empty()
        if isFinishing { onOver?() } else { onFailure?(self) }
    }

    func send(_ chunk: Chunk, isMessage: Bool) {
        guard isOpen, !isFinishing else { return }
        if isMessage, queuedBytes + chunk.count > Self.queueLimit {
            if behindSince == nil { behindSince = clock.now }
            return
        }
        if isMessage { sentMessages += 1 }
        queue.append(chunk)
        queuedBytes += chunk.count
        write()
    }

    private func write() {
        guard !isWriting, let stream else { return }
        isWriting = true
        networkTask { [self] in
            defer { isWriting = false }
            do {
                while self.stream === stream, let chunk = queue.popFirst() {
                    try await stream.write(chunk)
                    relieve(chunk.count)
                }
                if isFinishing { stream.finish() }
            } catch {
                if self.stream === stream { failed(on: session) }
            }
        }
    }

    private func relieve(_ count: Int) {
        queuedBytes = max(0, queuedBytes - count)
        guard queuedBytes <= Self.backlog / 2 else { return }
        isSlow = false
        onRelief?(self)
        if let since = behindSince, queuedBytes == 0 {
            behindSince = nil
            onCatchUp?(self, since)
        }
    }

    private func empty() {
        queue.removeAll()
        queuedBytes = 0
    }

    /// Sends what waits, and then no more.
    func finish() {
        guard !isFinishing else { return }
        isFinishing = true
        // One that is being opened is ended when it has said what waits.
        if !isWriting, queue.isEmpty { stream?.finish() } else { write() }
    }

    /// Gives up what waits.
    func abandon() {
        (isFinishing, isAbandoned) = (true, true)
        stream?.reset(StreamCode.cancelled.rawValue)
        stream = nil
        empty()
    }
}
