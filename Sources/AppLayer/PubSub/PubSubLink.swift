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
    /// How long who ends is patient with a peer that is there and takes nothing more, or has taken everything and doesn't end
    /// its stream; and how many bytes are something.
    private static let endPatience = Duration.seconds(5)
    private static let leastProgress: UInt64 = 4_096
    /// How long after a stream that broke off the next is opened, at first and at the most: twice as long each time, unless one
    /// lasted.
    private static let firstRetry = Duration.seconds(5)
    private static let longestRetry = Duration.seconds(300)
    private static let lastingTime = Duration.seconds(60)
    /// From so many bytes that wait on a publisher does too: who is far behind others would be taken to be served by nobody.
    static let backlog = 256 * 1024

    private struct Waiting {
        let chunk: Chunk
        let isMessage: Bool
        var cost: Int { isMessage ? chunk.count : chunk.count + PubSubLimits.queuedControlOverhead }
    }

    let key: PubSubRouter.PeerKey
    let nodeID: NodeID
    private(set) var session: Session
    /// Streams on which the peer speaks.
    var inboundStreams = 0
    private let clock: any NetworkClock
    private let room: QueueRoom
    private var stream: NegotiatedStream?
    private var queue = Deque<Waiting>()
    /// With what is being written.
    private(set) var queuedBytes = 0
    /// Of them what is no message.
    private(set) var queuedControl = 0
    /// How often what waited was given up.
    private var emptied = 0
    private var isWriting = false
    private var isFinishing = false
    private var isAbandoned = false
    /// Since when something that it was to be sent may not have come.
    private var behindSince: NetworkInstant?
    /// Does not count for who waits: it was waited for in vain.
    var isSlow = false
    private(set) var sentMessages = 0
    /// What the peer's transport had of the stream when that was last more than before, and when.
    private var progress: (bytes: UInt64, at: NetworkInstant)?
    /// Streams in a row that broke off soon, and when the last one was opened.
    private var failures = 0
    private var openedAt: NetworkInstant?
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
    /// It takes everything again, and since then something may not have come: it found no room, or broke off with a stream.
    var onCatchUp: (@NetworkActor (PubSubLink, NetworkInstant) -> Void)?

    init(key: PubSubRouter.PeerKey, session: Session, room: QueueRoom, clock: any NetworkClock) {
        (self.key, self.room) = (key, room)
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
        // What is being written on the last one is written to its end; `write()` ends it then.
        if let stream, !isWriting { stream.finish() }
        if !self.session.isOpen { lost() }
        (stream, self.session, isOpening) = (nil, session, true)
        openedAt = clock.now
        networkTask { [weak self] in
            do {
                let stream = try await session.openStream(PubSub.protocolID)
                guard let self, self.session === session, !isAbandoned else {
                    return stream.reset(StreamCode.cancelled.rawValue)
                }
                (self.stream, isOpening) = (stream, false)
                let first = greeting.map { Waiting(chunk: Chunk($0), isMessage: false) }
                queue.insert(contentsOf: first, at: 0)
                for waiting in first { count(waiting) }
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
        let hasLasted = openedAt.map { clock.now.duration(since: $0) >= Self.lastingTime } ?? false
        failures = hasLasted ? 1 : failures + 1
        lost()
        empty()
        if isFinishing { onOver?() } else { onFailure?(self) }
    }

    /// How long to wait before another stream is opened.
    var retryDelay: Duration {
        min(Self.firstRetry * (1 << min(max(failures, 1) - 1, 16)), Self.longestRetry)
    }

    /// Until when who ends waits for the peer: for a while after it last took something, or after all is taken. One of which
    /// nothing at all is heard is left to the end of its connection, which is near.
    func patienceEnd(now: NetworkInstant) -> NetworkInstant {
        let bytes = stream?.acknowledgedBytes ?? 0
        if progress.map({ bytes < $0.bytes || bytes - $0.bytes >= Self.leastProgress }) ?? true {
            progress = (bytes, now)
        }
        let end = (progress?.at ?? now).advanced(by: Self.endPatience)
        let heard = stream?.peerHeardAt ?? now
        return now.duration(since: heard) < Self.endPatience ? end : now.advanced(by: Self.endPatience)
    }

    func send(_ chunk: Chunk, isMessage: Bool) {
        guard !isFinishing else { return }
        guard isOpen else { return behindSince = behindSince ?? clock.now }
        if isMessage {
            guard room.takes(chunk.count, behind: queuedBytes) else { return behindSince = behindSince ?? clock.now }
            sentMessages += 1
        }
        let waiting = Waiting(chunk: chunk, isMessage: isMessage)
        if !isMessage, !room.takesControl(waiting.cost, behind: queuedControl) { return overflow() }
        queue.append(waiting)
        count(waiting)
        write()
    }

    private func write() {
        guard !isWriting, let stream else { return }
        isWriting = true
        networkTask { [self] in
            do {
                while self.stream === stream, let waiting = queue.popFirst() {
                    let turn = emptied
                    try await stream.write(waiting.chunk)
                    if emptied == turn { relieve(waiting) }
                }
                if isFinishing || self.stream !== stream { stream.finish() }
            } catch {
                brokeOff(stream)
            }
            isWriting = false
            // There may be another by now, on which nobody could begin while this one was written on.
            if self.stream !== stream { write() }
        }
    }

    private func brokeOff(_ stream: NegotiatedStream) {
        if self.stream === stream { return failed(on: session) }
        // It was the last one's, and with it went what was being written.
        lost()
        giveBack()
        for waiting in queue { count(waiting) }
    }

    private func count(_ waiting: Waiting, times: Int = 1) {
        queuedBytes += times * waiting.cost
        if !waiting.isMessage { queuedControl += times * waiting.cost }
        room.take(times * waiting.cost)
    }

    private func giveBack() {
        room.giveBack(queuedBytes)
        (queuedBytes, queuedControl) = (0, 0)
    }

    private func relieve(_ waiting: Waiting) {
        count(waiting, times: -1)
        guard queuedBytes <= Self.backlog / 2 else { return }
        isSlow = false
        onRelief?(self)
        catchUp()
    }

    /// Tells what may not have come, once nothing waits any more.
    func catchUp() {
        guard let since = behindSince, queuedBytes == 0, stream != nil else { return }
        behindSince = nil
        onCatchUp?(self, since)
    }

    /// What was sent of late may not have come: the stream, or its connection, has gone.
    private func lost() {
        guard sentMessages > 0 else { return }
        let now = clock.now.nanoseconds
        let since = NetworkInstant(nanoseconds: now - min(now, ReturningPeers.slack.clampedNanoseconds))
        behindSince = min(since, behindSince ?? since)
    }

    /// The peer takes not even what little it has to be told: begun with anew, it is told all of it again.
    private func overflow() {
        guard let stream else { return failed(on: session) }
        stream.reset(StreamCode.cancelled.rawValue)
        failed(on: session)
    }

    private func empty() {
        queue.removeAll()
        giveBack()
        emptied += 1
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
