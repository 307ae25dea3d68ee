public import DeP2PIdentity
public import DeP2PQUIC
package import DeP2PReactor
package import DeP2PRealm
package import DeP2PSessions
internal import DeP2PWire
internal import SwiftProtobuf

/// One request as its handler sees it.
public struct IncomingMessage: Sendable {
    /// Who sent it: proven by the connection, not taken from the message.
    public let from: NodeID
    public let protocolName: String
    public let body: [UInt8]
    public let path: ConnectionPath
}

/// Takes one request; the bytes it returns are the reply, `nil` just confirms the receipt.
///
/// Runs on the network thread: what computes for long belongs in a task of its own. Of an error that it throws the peer
/// learns nothing but that there was one, unless it is a ``MessageRefusal``.
package typealias MessageHandler = @NetworkActor @Sendable (IncomingMessage) async throws -> [UInt8]?

/// What a handler throws that takes no message now: the peer sees `busy`, and why.
public struct MessageRefusal: Error, Equatable, Sendable {
    /// In words that the peer reads.
    public let reason: String

    public init(_ reason: String) {
        self.reason = reason
    }
}

/// Messaging's limits, each with the desktop value.
package struct MessagingLimits: Hashable, Sendable {
    /// The longest body of a request or a reply, in bytes.
    package var bodySize = 4 * 1024 * 1024
    /// Bytes of request bodies that the node holds at once, from all peers; one has three quarters of what others leave,
    /// and all of one address seven eighths.
    package var bufferedBytes = 64 * 1024 * 1024
    /// Requests served at once, from all peers, shared out likewise.
    package var concurrentRequests = 1024
    /// Handlers registered at once.
    package var handlers = 256
    /// How long a peer may take to send a request's body, and how long to take a reply.
    package var receiveDeadline = Duration.seconds(60)
    /// How long a request waits for its reply when the caller does not say.
    package var requestTimeout = Duration.seconds(30)

    package init() {}
}

/// `/dep2p/app/messaging/1.0.0`: a request by named protocol, answered with a reply or a receipt; a stream a request.
@NetworkActor
package final class Messaging {
    package nonisolated static let protocolID = "/dep2p/app/messaging/1.0.0"
    /// The longest name of a protocol, in bytes.
    package nonisolated static let nameLimit = 256

    private let clock: any NetworkClock
    private let limits: MessagingLimits
    private let realm: Realm
    private var handlers: [String: MessageHandler] = [:]
    private var fallback: MessageHandler?
    /// Of these the one that was asked for last.
    private var recent: (name: String, handler: MessageHandler)?
    private var quota: MessagingQuota
    /// The name of the last request: it is one.
    private var checked = ""
    /// The node's own: told of what handlers throw, beside the ``MessageRefusal`` that the peer gets.
    package var onHandlerFailure: (@NetworkActor @Sendable (any Error, IncomingMessage) -> Void)?

    package init(connections: Connections, realm: Realm, limits: MessagingLimits) {
        clock = connections.clock
        self.limits = limits
        self.realm = realm
        quota = MessagingQuota(limits)
        connections.registry.register(
            Self.protocolID, deadline: .unlimited(because: "header and body have one; a handler may take its time")
        ) { [weak self] session, stream in
            guard let self else { throw SessionError(.busy) }
            try await serve(stream, of: session)
        }
    }

    // MARK: Handlers

    /// Serves requests of the protocol `name`, instead of whoever served it before.
    ///
    /// - Throws: ``MessagingError`` `invalidName`; `LimitExceeded` for too many handlers.
    package func register(_ name: String, handler: @escaping MessageHandler) throws {
        try Self.check(name)
        guard handlers[name] != nil || handlers.count < limits.handlers else {
            throw LimitExceeded(name: "message handlers", value: handlers.count, limit: limits.handlers)
        }
        handlers[name] = handler
        recent = nil
    }

    package func unregister(_ name: String) {
        handlers[name] = nil
        recent = nil
    }

    /// Serves requests of every protocol that has no handler of its own; `nil` serves them no more.
    package func registerFallback(_ handler: MessageHandler?) { fallback = handler }

    /// Printable ASCII without spaces, so that a name reads the same everywhere.
    static func check(_ name: String) throws(MessagingError) {
        guard (1...nameLimit).contains(name.utf8.count), name.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            throw MessagingError(.invalidName, detail: "use 1 to \(nameLimit) printable ASCII characters")
        }
    }

    // MARK: Requests

    /// Sends `body` to the handler `name` of the session's peer and waits for what it says.
    ///
    /// - Parameter timeout: how long to wait; `nil` takes the limit's.
    /// - Returns: the reply, or `nil` for a receipt: the handler has taken the message.
    /// - Throws: ``MessagingError``.
    package func request(
        _ body: [UInt8], protocol name: String, on session: Session, timeout: Duration? = nil
    ) async throws -> [UInt8]? {
        // Texts that are not the same ones may count as equal, but no other of so many bytes as one of ASCII.
        if checked.utf8.count != name.utf8.count || checked != name {
            try Self.check(name)
            checked = name
        }
        guard body.count <= limits.bodySize else {
            throw MessagingError(.tooLarge(limit: UInt64(limits.bodySize)), detail: "it has \(body.count)")
        }
        guard realm.id != nil else { throw MessagingError(.notMember, detail: "join a realm first") }
        var isExpired = false
        do {
            let timeout = timeout ?? limits.requestTimeout
            let start = clock.now
            var opened = try session.openStreamAtOnce(Self.protocolID)
            if opened == nil { opened = try await session.openStream(Self.protocolID, within: timeout) }
            guard let stream = opened else { throw SessionError(.timeout) }
            let timer = clock.schedule(at: start.advanced(by: timeout)) {
                isExpired = true
                stream.reset(StreamCode.timeout.rawValue)
            }
            defer { clock.cancel(timer) }
            return try await exchange(body, protocol: name, over: stream)
        } catch {
            if isExpired { throw MessagingError(.timeout) }
            throw Self.error(error, on: session)
        }
    }

    @inline(__always)
    private func exchange(
        _ body: [UInt8], protocol name: String, over stream: NegotiatedStream
    ) async throws -> [UInt8]? {
        do {
            let header = RequestHeader(protocolName: name, bodySize: body.count)
            let request = Chunk(frame: header.frame, body: body, on: stream)
            do {
                if try !stream.writeAtOnce(request) { try await stream.write(request) }
                stream.finish()
            } catch let error as StreamError {
                // A peer that wants no more of the request has said why on its own side of the stream.
                guard case .stopped = error.code else { throw error }
            }
            while true {
                switch try stream.progress() {
                case .wait(let waiter): try await waiter.value()
                case .bytes(let chunk, let start):
                    guard let (header, body) = ReplyHeader.whole(in: chunk, from: start) else {
                        return try await reply(on: stream, first: Chunk(chunk, after: start))
                    }
                    try check(header)
                    stream.stopReading(StreamCode.done.rawValue)
                    return header.status == .reply ? chunk.array(body..<chunk.count) : nil
                case .end, .unknown: return try await reply(on: stream, first: nil)
                }
            }
        } catch {
            stream.reset(StreamCode.cancelled.rawValue)
            throw error
        }
    }

    private func reply(on stream: NegotiatedStream, first: Chunk?) async throws -> [UInt8]? {
        let reader = FrameReader(stream, limit: ReplyHeader.frameLimit, first: first)
        let header = try await Self.decode(ReplyHeader.self, reader.required())
        try check(header)
        let body = try await reader.raw(count: Int(header.bodySize))
        stream.stopReading(StreamCode.done.rawValue)
        return header.status == .reply ? body : nil
    }

    /// - Throws: what the peer says instead of an answer.
    private func check(_ header: ReplyHeader) throws(MessagingError) {
        switch header.status {
        case .receipt, .reply:
            guard header.bodySize <= UInt64(limits.bodySize) else {
                throw MessagingError(.replyTooLarge(limit: UInt64(limits.bodySize)))
            }
        case .unknownProtocol: throw MessagingError(.unknownProtocol)
        case .handlerFailed: throw MessagingError(.handlerFailed, detail: header.detail)
        case .tooLarge: throw MessagingError(.tooLarge(limit: header.limit), detail: "on the other node")
        case .replyTooLarge: throw MessagingError(.replyTooLarge(limit: header.limit))
        case .busy: throw MessagingError(.busy, detail: header.detail)
        case .unspecified, .UNRECOGNIZED: throw MessagingError(.violation, detail: header.detail)
        }
    }

    // MARK: Serving

    /// A request as far as it has come.
    private enum Arrival {
        /// All of it, with where in the bytes its body begins.
        case whole(RequestHeader, Chunk, body: Int)
        case begun(RequestHeader, FrameReader)

        var header: RequestHeader {
            switch self {
            case .whole(let header, _, _), .begun(let header, _): header
            }
        }
    }

    @inline(__always)
    private func serve(_ stream: NegotiatedStream, of session: Session) async throws {
        let arrival = if let whole = whole(on: stream) { whole } else { try await beginning(of: stream) }
        let sender = Sender(nodeID: session.remoteNodeID, subject: session.subject)
        if let refusal = refusal(of: arrival.header, from: sender) { return try await refuse(stream, refusal) }
        let account = quota.begin(from: sender)
        var booked = 0
        defer { quota.end(account, bytes: booked) }
        let body: [UInt8]
        do {
            switch arrival {
            case .whole(_, let chunk, let start):
                try quota.book(chunk.count - start, for: account)
                booked = chunk.count - start
                body = chunk.array(start..<chunk.count)
            case .begun(let header, let reader):
                // The size was checked against the limit in `refusal`.
                body = try await receive(Int(header.bodySize), from: reader) { [self] count throws(LimitExceeded) in
                    try quota.book(count, for: account)
                    booked += count
                }
            }
        } catch let limit as LimitExceeded {
            return try await refuse(stream, ReplyHeader(limit))
        }
        let message = IncomingMessage(
            from: sender.nodeID, protocolName: arrival.header.protocol, body: body, path: session.path)
        var outcome = Result<[UInt8]?, any Error>.failure(MessagingError(.unknownProtocol))
        // It may be gone meanwhile.
        let handler = handler(of: message.protocolName)
        if let handler { do { outcome = .success(try await handler(message)) } catch { outcome = .failure(error) } }
        let (header, reply) = handler == nil ? (ReplyHeader(.unknownProtocol), []) : answer(to: message, outcome)
        let answer = Chunk(frame: header.frame, body: reply, on: stream)
        if try !stream.writeAtOnce(answer) { try await write(answer, to: stream) }
        stream.finish()
    }

    private func beginning(of stream: NegotiatedStream) async throws -> Arrival {
        let reader = FrameReader(stream, limit: RequestHeader.frameLimit)
        return .begun(try await Self.decode(RequestHeader.self, reader.required()), reader)
    }

    /// A request that has come whole with its proposal.
    private func whole(on stream: NegotiatedStream) -> Arrival? {
        guard let (chunk, start) = stream.leftover,
            let (header, body) = RequestHeader.whole(in: chunk, from: start)
        else { return nil }
        stream.dropLeftover()
        return .whole(header, chunk, body: body)
    }

    /// A share of the quota is held as long as the peer takes nothing.
    private func write(_ answer: Chunk, to stream: NegotiatedStream) async throws {
        let timer = clock.schedule(after: limits.receiveDeadline) { stream.reset(StreamCode.timeout.rawValue) }
        defer { clock.cancel(timer) }
        try await stream.write(answer)
    }

    private func refuse(_ stream: NegotiatedStream, _ refusal: ReplyHeader) async throws {
        try await write(Chunk(frame: refusal.frame, body: [], on: stream), to: stream)
        stream.finish()
        stream.stopReading(StreamCode.done.rawValue)
    }

    /// Who serves requests of that name; asked for each, of one name after the other.
    private func handler(of name: String) -> MessageHandler? {
        if let recent, recent.name == name { return recent.handler }
        guard let handler = handlers[name] else { return fallback }
        recent = (name, handler)
        return handler
    }

    private func refusal(of header: RequestHeader, from sender: Sender) -> ReplyHeader? {
        refusal(of: header) ?? quota.refusal(of: header.bodySize, from: sender).map(ReplyHeader.init)
    }

    private func refusal(of header: RequestHeader) -> ReplyHeader? {
        if header.bodySize > UInt64(limits.bodySize) {
            return ReplyHeader(.tooLarge, limit: UInt64(limits.bodySize))
        }
        if recent?.name == header.protocol || handlers[header.protocol] != nil { return nil }
        // What can be no name is nobody's, also where everything has a handler.
        if fallback != nil, (try? Self.check(header.protocol)) != nil { return nil }
        return ReplyHeader(.unknownProtocol)
    }

    /// What came with the header needs no timer.
    private func receive(
        _ size: Int, from reader: FrameReader, book: (Int) throws(LimitExceeded) -> Void
    ) async throws -> [UInt8] {
        let timer =
            reader.bufferedBytes >= size
            ? nil
            : clock.schedule(after: limits.receiveDeadline) { reader.stream.reset(StreamCode.timeout.rawValue) }
        defer { timer.map(clock.cancel) }
        var bytes: [UInt8] = []
        while bytes.count < size {
            guard let chunk = try await reader.nextRaw() else { throw FrameError(.truncated) }
            guard chunk.count <= size - bytes.count else {
                throw FrameError(.oversized(length: UInt64(bytes.count + chunk.count), limit: size))
            }
            try book(chunk.count)
            bytes.append(contentsOf: chunk.array())
        }
        return bytes
    }

    private func answer(
        to message: IncomingMessage, _ outcome: Result<[UInt8]?, any Error>
    ) -> (header: ReplyHeader, body: [UInt8]) {
        switch outcome {
        case .success(nil): return (ReplyHeader(.receipt), [])
        case .success(let reply?) where reply.count > limits.bodySize:
            return (ReplyHeader(.replyTooLarge, limit: UInt64(limits.bodySize)), [])
        case .success(let reply?): return (ReplyHeader(.reply, bodySize: reply.count), reply)
        case .failure(let refusal as MessageRefusal): return (ReplyHeader(.busy, detail: refusal.reason), [])
        case .failure(let error):
            // Its words are this node's own affair: paths, names, numbers.
            onHandlerFailure?(error, message)
            return (ReplyHeader(.handlerFailed), [])
        }
    }

    // MARK: Errors

    private static func decode<Header: SwiftProtobuf.Message>(
        _ type: Header.Type, _ frame: [UInt8]
    ) throws -> Header {
        // The decoder's own words say no more than the error does.
        guard let header = try? Header(serializedBytes: frame) else {
            throw SessionError(.violation, detail: "a header is malformed")
        }
        return header
    }

    private static func error(_ error: any Error, on session: Session) -> any Error {
        switch error {
        case is MessagingError: return error
        case is CancellationError: return MessagingError(.cancelled)
        case is FrameError: return MessagingError(.violation, detail: "\(error)")
        default: break
        }
        let error = SessionError(error, on: session)
        return switch error.code {
        case .closed(let end): MessagingError(.offline(end))
        case .notMember: MessagingError(.notMember, detail: error.detail)
        case .busy: MessagingError(.busy, detail: error.detail)
        case .timeout: MessagingError(.timeout)
        case .unsupported, .violation, .reset: MessagingError(.violation, detail: error.detail)
        }
    }
}
