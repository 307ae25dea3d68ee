internal import DeP2PQUIC
internal import DeP2PReactor

extension Session {
    /// The asking side of a protocol with one exchange a stream: sends `question` as a frame, and waits for the one that
    /// answers it.
    ///
    /// - Parameters:
    ///   - limit: the longest answer taken, in bytes.
    ///   - patience: for all of it, from the opening of the stream on.
    ///   - endsAtOnce: whether the stream ends behind the question, or, where the protocol lets others follow, behind the
    ///     answer: there are implementations that take a stream that has ended for one that says nothing.
    /// - Throws: ``SessionError``; `CancellationError`. The stream is reset then.
    package func ask(
        _ protocolID: String, _ question: [UInt8], limit: Int, within patience: Duration,
        endsAtOnce: Bool = true
    ) async throws -> [UInt8] {
        let start = clock.now
        let stream = try await openStream(protocolID, within: patience)
        do {
            let left = patience - clock.now.duration(since: start)
            let answer = try await clock.withDeadline(left) {
                try await stream.writeFrame(question)
                if endsAtOnce { stream.finish() }
                return try await FrameReader(stream, limit: limit).required()
            }
            if !endsAtOnce { stream.finish() }
            stream.stopReading(StreamCode.done.rawValue)
            return answer
        } catch {
            stream.reset(StreamCode.cancelled.rawValue)
            if error is CancellationError { throw error }
            throw SessionError(error, on: self)
        }
    }
}
