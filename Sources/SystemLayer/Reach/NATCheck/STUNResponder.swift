internal import DeP2PIdentity
package import DeP2PReactor

/// Answers STUN Binding requests (RFC 8489 section 6.3.1, RFC 5780 section 6). Pure: the shell sends what it returns.
///
/// Every node runs one on its UDP sockets. The source of a request may be forged, so a response is to be of no use against
/// it: it goes only to the address that asked (RESPONSE-PORT may choose another port of it), and is no longer than the
/// request; what does not fit is left out. Only the reflexive address itself goes over that, 32 bytes (44 for IPv6) for
/// the 20 of a classic client's request: of these an address gets few, and few altogether.
package struct STUNResponder: Sendable {
    /// Which of the observer's sockets sends a response (RFC 5780 section 3.1).
    package struct Origin: Hashable, Sendable {
        /// From the alternate address.
        package let changesAddress: Bool
        /// From the alternate port.
        package let changesPort: Bool

        package static let same = Origin(changesAddress: false, changesPort: false)
    }

    package struct Response: Equatable, Sendable {
        package let bytes: [UInt8]
        package let destination: SocketAddress
        package let origin: Origin
    }

    /// Responses a second, for a second's burst.
    package static let responsesPerSecond = 2_000
    /// Of these, responses to another port than the one that asked.
    package static let redirectedPerSecond = 50
    /// To one IP address (one /64 of IPv6), a second and at once.
    package static let perSource = SubjectBudget.Rate(perSecond: 50, burst: 200)
    /// Of these, responses longer than their request.
    package static let longerPerSource = SubjectBudget.Rate(perSecond: 2, burst: 20)
    /// To everyone.
    package static let longerPerSecond = 200
    /// No response without a proof is longer: over IPv6 with every attribute but OTHER-ADDRESS, which nodes have not.
    static let longestResponse = 84
    /// The same, of one with a proof.
    static let longestProof = longestResponse + 4 + AddressProof.length

    private let alternate: SocketAddress?
    private var responses = TokenBucket(rate: Self.responsesPerSecond, burst: Self.responsesPerSecond)
    private var redirected = TokenBucket(rate: Self.redirectedPerSecond, burst: Self.redirectedPerSecond)
    private var longer = TokenBucket(rate: Self.longerPerSecond, burst: Self.longerPerSecond)
    private var sources = SubjectBudget(Self.perSource)
    private var longerSources = SubjectBudget(Self.longerPerSource)
    private let makeKey: (@Sendable () -> [UInt8])?
    private var proofs: AddressProof?

    /// - Parameters:
    ///   - alternate: the observer's other address and other port, when it has sockets at all four
    ///     combinations. Without it a CHANGE-REQUEST that changes the address is refused (RFC 5780 section 6.1).
    ///   - makeKey: gives the key of address proofs when one is first wanted; without it there are none.
    package init(alternate: SocketAddress? = nil, makeKey: (@Sendable () -> [UInt8])? = nil) {
        (self.alternate, self.makeKey) = (alternate, makeKey)
    }

    /// The response to `datagram`, or nothing when it is no Binding request or the rate is spent.
    ///
    /// - Parameters:
    ///   - source: where it came from.
    ///   - local: the address of the socket it arrived on; `nil` when that is a wildcard.
    ///   - alternatePort: the port of the other of the observer's two sockets, when it has two at this address.
    package mutating func respond(
        to datagram: [UInt8], from source: SocketAddress, on local: SocketAddress?, alternatePort: UInt16? = nil,
        now: NetworkInstant
    ) -> Response? {
        // Anything may come to this port: what is not STUN is nobody's.
        guard let request = try? STUNMessage(datagram), request.kind == .request,
            request.method == STUNMessage.binding, source.port != 0, sources.take(Subject(source.ip), now: now),
            responses.takeNow(now: now)
        else { return nil }
        let unknown = unknownAttributes(of: request, changesPort: alternatePort != nil)
        if !unknown.isEmpty {
            let attributes = [STUNAttribute.errorCode(420, reason: ""), .unknownAttributes(unknown)]
            return failure(attributes, to: request, source, allowed: datagram.count, now: now)
        }
        var (origin, port) = (Origin.same, source.port)
        for attribute in request.attributes {
            switch attribute {
            case .changeRequest(let address, let change): origin = Origin(changesAddress: address, changesPort: change)
            case .responsePort(let value): port = value
            default: break
            }
        }
        guard port != 0 else {
            return failure([.errorCode(400, reason: "")], to: request, source, allowed: datagram.count, now: now)
        }
        if port != source.port, !redirected.takeNow(now: now) { return nil }
        let destination = SocketAddress(source.ip, port: port, scope: source.scope)
        // What is worth most first.
        var extra: [STUNAttribute] = []
        // What goes elsewhere proves nothing of where the request came from.
        if destination == source, let proven = proof(request, source, now: now) { extra.append(proven) }
        if let alternatePort { extra.append(.alternatePort(alternatePort)) }
        if let alternate { extra.append(.otherAddress(alternate)) }
        if let local { extra.append(.responseOrigin(self.local(local, origin, alternatePort))) }
        let message = STUNMessage(
            .success, transaction: request.transaction, attributes: [.xorMappedAddress(source)])
        guard let bytes = fitted(message, extra, to: datagram.count, source.ip, now: now) else { return nil }
        return Response(bytes: bytes, destination: destination, origin: origin)
    }

    /// What is said of a proof, where the request asks for it.
    private mutating func proof(
        _ request: STUNMessage, _ source: SocketAddress, now: NetworkInstant
    ) -> STUNAttribute? {
        guard let asked = AddressProofAttribute(request), let makeKey else { return nil }
        let proofs = proofs ?? AddressProof(key: makeKey())
        self.proofs = proofs
        return switch asked {
        case .wanted(let context):
            AddressProofAttribute.proof(proofs.make(for: source, in: context, now: now)).attribute
        case .question(let address, let context, let proof):
            AddressProofAttribute.verdict(proofs.isValid(proof, for: address, in: context, now: now)).attribute
        case .proof, .verdict: nil
        }
    }

    /// The message with as much of `extra`, and FINGERPRINT, as `allowed` bytes hold; `nil` when it is longer without any
    /// of these, and the budget for that is spent.
    private mutating func fitted(
        _ message: STUNMessage, _ extra: [STUNAttribute], to allowed: Int, _ source: IPAddress, now: NetworkInstant
    ) -> [UInt8]? {
        var (message, best) = (message, message.plainBytes)
        guard best.count <= allowed || longerSources.take(Subject(source), now: now) && longer.takeNow(now: now) else {
            return nil
        }
        for attribute in extra {
            message.attributes.append(attribute)
            let candidate = message.plainBytes
            if candidate.count <= allowed { best = candidate } else { message.attributes.removeLast() }
        }
        let protected = message.bytes
        return protected.count <= allowed ? protected : best
    }

    private func local(_ local: SocketAddress, _ origin: Origin, _ alternatePort: UInt16?) -> SocketAddress {
        let ip = origin.changesAddress ? alternate?.ip : nil
        let port = origin.changesPort ? alternate?.port ?? alternatePort : nil
        return SocketAddress(ip ?? local.ip, port: port ?? local.port)
    }

    private mutating func failure(
        _ attributes: [STUNAttribute], to request: STUNMessage, _ source: SocketAddress, allowed: Int,
        now: NetworkInstant
    ) -> Response? {
        let message = STUNMessage(.failure, transaction: request.transaction, attributes: attributes)
        return fitted(message, [], to: allowed, source.ip, now: now).map {
            Response(bytes: $0, destination: source, origin: .same)
        }
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
