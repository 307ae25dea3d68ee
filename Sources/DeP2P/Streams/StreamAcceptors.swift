internal import DeP2PApp
internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions

/// Who accepts the streams of which name, on one node: for each name there is one.
@NetworkActor
final class StreamAcceptors {
    private struct Acceptor {
        /// Whoever lets go of it accepts no more.
        weak var streams: IncomingStreams?
    }

    private let streams: AppStreams
    private let clock: any NetworkClock
    /// Whether a node may open streams.
    private let admits: @NetworkActor (NodeID) -> Bool
    private var acceptors: [String: Acceptor] = [:]
    private var isFinished = false

    init(_ streams: AppStreams, clock: any NetworkClock, admits: @escaping @NetworkActor (NodeID) -> Bool) {
        (self.streams, self.clock, self.admits) = (streams, clock, admits)
    }

    /// - Throws: ``MessagingError`` `invalidName`; `LimitExceeded`; ``DeP2PError`` `invalidName` for a name that is taken.
    func accept(_ name: String) throws -> IncomingStreams {
        guard acceptors[name]?.streams == nil else {
            throw DeP2PError(.invalidName, "streams called \(name) are accepted already")
        }
        let incoming = IncomingStreams(name, clock: clock, acceptors: self)
        guard !isFinished else {
            incoming.cancel()
            return incoming
        }
        try streams.register(name) { [weak incoming, admits] stream in
            guard admits(stream.peer) else {
                // Where this node dialled; whoever is left out and dials gets no connection.
                return stream.stream.reset(StreamCode.notAllowed.rawValue)
            }
            // Nothing here may hold the streams that the application has let go of, nor the one that it was given.
            guard let place = try incoming?.enqueue(stream) else { throw SessionError(.busy) }
            defer { incoming?.leave(place) }
            try await place.ended.value()
        }
        acceptors[name] = Acceptor(streams: incoming)
        return incoming
    }

    /// Whoever accepted streams of that name does so no more; unless that is somebody else by now.
    func letGo(of name: String) {
        guard let acceptor = acceptors[name], acceptor.streams?.isAccepting != true else { return }
        acceptors[name] = nil
        streams.unregister(name)
    }

    /// The node stops.
    func finish() {
        isFinished = true
        for name in acceptors.keys.sorted() { acceptors[name]?.streams?.cancel() }
    }
}
