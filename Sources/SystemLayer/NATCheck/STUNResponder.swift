internal import Identity
public import QUIC

/// Answers STUN Binding requests (RFC 8489 section 6.3.1, RFC 5780 section 6). Pure: the shell sends what it returns.
///
/// Every node runs one on its UDP sockets. It keeps no state about anyone. Against use as a reflector: a response
/// goes only to the address that asked (RESPONSE-PORT may choose another port of it), carries no SOFTWARE and no
/// padding, and all responses together stay within a rate.
public struct STUNResponder: Sendable {
    /// Which of the observer's sockets sends a response (RFC 5780 section 3.1).
    public struct Origin: Hashable, Sendable {
        /// From the alternate address.
        public let changesAddress: Bool
        /// From the alternate port.
        public let changesPort: Bool

        public static let same = Origin(changesAddress: false, changesPort: false)
    }

    public struct Response: Equatable, Sendable {
        public let bytes: [UInt8]
        public let destination: SocketAddress
        public let origin: Origin
    }

    /// Responses a second, for a second's burst.
    public static let responsesPerSecond = 2_000
    /// Of these, responses to another port than the one that asked.
    public static let redirectedPerSecond = 50

    private let alternate: SocketAddress?
    private var responses = TokenBucket(rate: Self.responsesPerSecond, burst: Self.responsesPerSecond)
    private var redirected = TokenBucket(rate: Self.redirectedPerSecond, burst: Self.redirectedPerSecond)

    /// - Parameter alternate: the observer's other address and other port, when it has sockets at all four
    ///   combinations. Without it a CHANGE-REQUEST that changes the address is refused (RFC 5780 section 6.1).
    public init(alternate: SocketAddress? = nil) {
        self.alternate = alternate
    }

    /// The response to `datagram`, or nothing when it is no Binding request or the rate is spent.
    ///
    /// - Parameters:
    ///   - source: where it came from.
    ///   - local: the address of the socket it arrived on; `nil` when that is a wildcard.
    ///   - alternatePort: the port of the other of the observer's two sockets, when it has two at this address.
    public mutating func respond(
        to datagram: [UInt8], from source: SocketAddress, on local: SocketAddress?, alternatePort: UInt16? = nil,
        now: NetworkInstant
    ) -> Response? {
        guard let request = try? STUNMessage(datagram), request.kind == .request,
            request.method == STUNMessage.binding, source.port != 0, responses.takeNow(now: now)
        else { return nil }
        let unknown = unknownAttributes(of: request, changesPort: alternatePort != nil)
        if !unknown.isEmpty {
            return failure(420, "Unknown Attribute", to: request, unknown, source)
        }
        var (origin, port) = (Origin.same, source.port)
        for attribute in request.attributes {
            switch attribute {
            case .changeRequest(let address, let change): origin = Origin(changesAddress: address, changesPort: change)
            case .responsePort(let value): port = value
            default: break
            }
        }
        guard port != 0 else { return failure(400, "Bad Request", to: request, [], source) }
        if port != source.port, !redirected.takeNow(now: now) { return nil }
        let destination = SocketAddress(source.ip, port: port, scope: source.scope)
        var attributes = [STUNAttribute.xorMappedAddress(source)]
        if let local { attributes.append(.responseOrigin(self.local(local, origin, alternatePort))) }
        if let alternate { attributes.append(.otherAddress(alternate)) }
        if let alternatePort { attributes.append(.alternatePort(alternatePort)) }
        let message = STUNMessage(.success, transaction: request.transaction, attributes: attributes)
        return Response(bytes: message.bytes, destination: destination, origin: origin)
    }

    private func local(_ local: SocketAddress, _ origin: Origin, _ alternatePort: UInt16?) -> SocketAddress {
        let ip = origin.changesAddress ? alternate?.ip : nil
        let port = origin.changesPort ? alternate?.port ?? alternatePort : nil
        return SocketAddress(ip ?? local.ip, port: port ?? local.port)
    }

    private func failure(
        _ code: Int, _ reason: String, to request: STUNMessage, _ unknown: [UInt16], _ source: SocketAddress
    ) -> Response {
        var attributes = [STUNAttribute.errorCode(code, reason: reason)]
        if !unknown.isEmpty { attributes.append(.unknownAttributes(unknown)) }
        let message = STUNMessage(.failure, transaction: request.transaction, attributes: attributes)
        return Response(bytes: message.bytes, destination: source, origin: .same)
    }

    /// Comprehension-required attributes that this observer cannot honour, each once.
    private func unknownAttributes(of request: STUNMessage, changesPort: Bool) -> [UInt16] {
        var unknown: [UInt16] = []
        for attribute in request.attributes where attribute.type < 0x8000 && !isUnderstood(attribute, changesPort) {
            if !unknown.contains(attribute.type) { unknown.append(attribute.type) }
        }
        return unknown
    }

    private func isUnderstood(_ attribute: STUNAttribute, _ changesPort: Bool) -> Bool {
        switch attribute {
        case .changeRequest(let address, let port): alternate != nil || !address && (!port || changesPort)
        case .responsePort, .padding: true
        // Credentials: a service without them answers as if they were absent (RFC 8489 section 9.1.3).
        case .other(let type, _):
            [
                STUNAttribute.Code.username, STUNAttribute.Code.messageIntegrity, STUNAttribute.Code.realm,
                STUNAttribute.Code.nonce, STUNAttribute.Code.messageIntegritySHA256,
            ].contains(type)
        default: false
        }
    }
}
