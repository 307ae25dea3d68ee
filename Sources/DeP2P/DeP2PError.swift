internal import DeP2PApp
public import DeP2PIdentity
internal import DeP2PReactor
internal import DeP2PRealm
public import DeP2PSessions

/// What went wrong, for an application: a code to act on, a sentence why, what to do, and every attempt to connect.
public struct DeP2PError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Open: a transfer's codes travel under their own names.
    public struct Code: RawRepresentable, Hashable, Sendable {
        public let rawValue: String

        public init(rawValue: String) {
            self.rawValue = rawValue
        }

        fileprivate init(_ known: Known) { rawValue = known.rawValue }

        /// The code as a case, for whoever must have an answer to each; `nil` for one of another protocol's.
        package var known: Known? { Known(rawValue: rawValue) }

        package enum Known: String, CaseIterable, Sendable {
            case noAddress, nameUnknown, resolverFailed, timeout, refused, unreachable, wrongPeer, handshakeFailed
            case dialledSelf, udpBlocked, relayRefused, peerOffline, notAllowed, notMember, alreadyInRealm, realmRefused
            case tooLarge, unknownProtocol, handlerFailed, streamReset, invalidName, busy, protocolViolation,
                unsupported
            case nobodyListens
            case addressInUse, cannotListen, limit, cancelled, internalError
        }
    }

    public let code: Code
    /// One sentence, lower case, without a full stop. May quote remote text: escape it before it meets a terminal.
    public let message: String
    /// What can be done about it.
    public let remedy: Remedy?
    public let attempts: [ConnectAttempt]
    /// Who was asked where the node is, and what came of it.
    public let sources: [SourceReport]
    public let underlying: (any Error)?

    package init(
        _ code: Code, _ message: String, remedy: Remedy? = nil, attempts: [ConnectAttempt] = [],
        sources: [SourceReport] = [], underlying: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.remedy = remedy
        self.attempts = attempts
        self.sources = sources
        self.underlying = underlying
    }

    public static func == (left: Self, right: Self) -> Bool { left.code == right.code }

    public var description: String { message }
}

extension DeP2PError.Code {
    // Connecting
    public static let noAddress = Self(.noAddress)
    public static let nameUnknown = Self(.nameUnknown)
    public static let resolverFailed = Self(.resolverFailed)
    public static let timeout = Self(.timeout)
    public static let refused = Self(.refused)
    public static let unreachable = Self(.unreachable)
    public static let wrongPeer = Self(.wrongPeer)
    public static let handshakeFailed = Self(.handshakeFailed)
    public static let dialledSelf = Self(.dialledSelf)
    public static let udpBlocked = Self(.udpBlocked)
    public static let relayRefused = Self(.relayRefused)
    public static let peerOffline = Self(.peerOffline)
    /// The other node does not let this one in.
    public static let notAllowed = Self(.notAllowed)
    // Realm
    public static let notMember = Self(.notMember)
    public static let alreadyInRealm = Self(.alreadyInRealm)
    public static let realmRefused = Self(.realmRefused)
    // Messages and streams
    public static let tooLarge = Self(.tooLarge)
    public static let unknownProtocol = Self(.unknownProtocol)
    public static let handlerFailed = Self(.handlerFailed)
    /// The other side gave a stream up: ``StreamReset`` has what it said.
    public static let streamReset = Self(.streamReset)
    public static let invalidName = Self(.invalidName)
    public static let busy = Self(.busy)
    public static let protocolViolation = Self(.protocolViolation)
    public static let unsupported = Self(.unsupported)
    /// Nobody is subscribed to the topic, or fewer than were waited for.
    public static let nobodyListens = Self(.nobodyListens)
    // This node
    public static let addressInUse = Self(.addressInUse)
    public static let cannotListen = Self(.cannotListen)
    public static let limit = Self(.limit)
    public static let cancelled = Self(.cancelled)
    public static let internalError = Self(.internalError)
}

extension DeP2PError {
    /// The one place where the floors' errors become the façade's.
    package init(_ error: any Error) {
        switch error {
        case let error as DeP2PError: self = error
        case let error as ConnectError: self.init(error)
        case let error as RealmError: self.init(error)
        case let error as MessagingError: self.init(error)
        case let error as PubSubError: self.init(error)
        case let error as SessionError: self.init(error)
        case let error as TransferError:
            self.init(Code(rawValue: error.code.name), error.description, underlying: error)
        case let error as LimitExceeded:
            self.init(.limit, error.description, remedy: .raisePreset, underlying: error)
        case let end as SessionEnd: self.init(Self.code(end), end.description, underlying: end)
        case let error as BindError: self.init(error)
        case let error as HTTPError: self.init(.cannotListen, error.description, underlying: error)
        case is CancellationError: self.init(.cancelled, "it was cancelled")
        case is DeadlineExceeded: self.init(.timeout, "no answer in time", underlying: error)
        default: self.init(.internalError, "\(error)", underlying: error)
        }
    }

    private init(_ error: ConnectError) {
        let code: Code =
            switch error.code {
            case .noAddress: .noAddress
            case .nameUnknown: .nameUnknown
            case .resolverFailed: .resolverFailed
            case .timeout: .timeout
            case .refused: .refused
            case .unreachable: .unreachable
            case .wrongPeer: .wrongPeer
            case .handshakeFailed: .handshakeFailed
            case .closed, .peerAbsent: .peerOffline
            case .relayBusy: .busy
            case .relayRefused: .relayRefused
            case .udpBlocked: .udpBlocked
            case .limit: .limit
            case .dialledSelf: .dialledSelf
            case .cancelled: .cancelled
            }
        self.init(
            code, error.reason, remedy: error.remedy, attempts: error.attempts,
            sources: error.sources, underlying: error)
    }

    private init(_ error: RealmError) {
        switch error.code {
        case .alreadyInRealm:
            self.init(.alreadyInRealm, error.description, remedy: .leaveRealm, underlying: error)
        case .notMember:
            self.init(.notMember, error.description, remedy: .joinRealm, underlying: error)
        case .refused:
            self.init(
                .realmRefused, error.description, remedy: .shareRealmKey, underlying: error)
        case .busy: self.init(.busy, error.description, remedy: .tryLater, underlying: error)
        case .timeout: self.init(.timeout, error.description, remedy: .tryAgain, underlying: error)
        case .closed(let end):
            self.init(Self.code(end), error.description, remedy: .tryAgain, underlying: error)
        case .violation:
            self.init(.protocolViolation, error.description, remedy: .advice("is it a dep2p node?"), underlying: error)
        }
    }

    private init(_ error: MessagingError) {
        let (code, remedy): (Code, Remedy?) =
            switch error.code {
            case .notMember: (.notMember, .joinRealm)
            case .invalidName: (.invalidName, nil)
            case .tooLarge, .replyTooLarge: (.tooLarge, .sendAsFile)
            case .unknownProtocol: (.unknownProtocol, .advice("the other side has to handle this protocol"))
            case .handlerFailed: (.handlerFailed, nil)
            case .busy: (.busy, .tryLater)
            case .offline(let end): (end.map(Self.code) ?? .peerOffline, .advice("try again when the other side is up"))
            case .timeout: (.timeout, .waitLonger)
            case .violation: (.protocolViolation, .advice("check the other side's version"))
            case .cancelled: (.cancelled, nil)
            }
        self.init(code, error.description, remedy: remedy, underlying: error)
    }

    private init(_ error: PubSubError) {
        let (code, remedy): (Code, Remedy?) =
            switch error.code {
            case .notMember: (.notMember, .joinRealm)
            case .invalidTopic: (.invalidName, nil)
            case .tooLarge: (.tooLarge, .sendAsFile)
            case .nobodyListens: (.nobodyListens, .advice("somebody has to subscribe to the topic first"))
            }
        self.init(code, error.description, remedy: remedy, underlying: error)
    }

    private init(_ error: SessionError) {
        let code: Code =
            switch error.code {
            case .closed(let end): Self.code(end)
            case .notMember: .notMember
            case .unsupported: .unsupported
            case .busy: .busy
            case .reset(let code): Self.code(code)
            case .violation: .protocolViolation
            case .timeout: .timeout
            }
        self.init(code, error.description, underlying: error)
    }

    // Without a default in either: a code on the wire that has no answer here does not compile.

    /// What a connection was closed with says more than that the peer is gone.
    private static func code(_ end: SessionEnd) -> Code {
        guard case .closedByPeer(let code) = end.cause, let known = code.known else { return .peerOffline }
        return switch known {
        case .notAllowed: .notAllowed
        case .leftRealm: .notMember
        case .limit: .busy
        case .normal, .goodbye, .duplicate, .relayEnded: .peerOffline
        }
    }

    private static func code(_ code: StreamCode) -> Code {
        switch code.known {
        case .notMember: .notMember
        case .busy: .busy
        case .notAllowed: .notAllowed
        case .timeout: .timeout
        case .failed, .cancelled, .done: .handlerFailed
        case .violation, nil: .protocolViolation
        }
    }

    private init(_ error: BindError) {
        let isTaken = error.errno == Listening.addressInUse
        self.init(
            isTaken ? .addressInUse : .cannotListen, error.description,
            remedy: isTaken ? .changePort : nil,
            underlying: error)
    }
}
