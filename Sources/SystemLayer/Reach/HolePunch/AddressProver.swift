internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions

/// Gets proofs of where this node's socket is, and has those of others checked (``AddressProof``); and asks where further
/// sockets are seen.
@NetworkActor
final class AddressProver {
    /// When, after the first time, a question is repeated, and how long the answer is waited for.
    static let repetitions: [Duration] = [150, 400].map { .milliseconds($0) }
    static let leastDeadline = Duration.milliseconds(1_000)
    /// Datagrams of one question at most.
    static let questions = 1 + repetitions.count

    private let endpoint: Endpoint
    private let stun: STUNService

    init(_ endpoint: Endpoint, stun: STUNService) { (self.endpoint, self.stun) = (endpoint, stun) }

    /// This node's address as `witness` sees it, with what that has written for it, in that context.
    ///
    /// - Parameter patience: how long the answer may take where that is long.
    func proof(
        by witness: SocketAddress, in context: [UInt8], within patience: Duration = .zero
    ) async throws -> HolePunchMessage.Proven {
        let answer = try await ask(witness, .wanted(context), within: patience)
        guard case .proof(let proof) = AddressProofAttribute(answer.message),
            let mapped = STUNBinding(answer.message, from: witness, elapsed: .zero)?.mapped,
            AddressRule.isPlausible(mapped.ip, by: witness.ip)
        else { throw SessionError(.unsupported, detail: "\(witness) writes no proofs of addresses") }
        return HolePunchMessage.Proven(address: mapped, proof: proof)
    }

    /// Where `observer` sees that further socket of the endpoint's.
    func mapped(_ socket: SocketAddress, by observer: SocketAddress) async throws -> SocketAddress {
        let answer = try await ask(observer, nil, from: socket)
        guard let mapped = STUNBinding(answer.message, from: observer, elapsed: .zero)?.mapped,
            AddressRule.isPlausible(mapped.ip, by: observer.ip)
        else { throw SessionError(.violation) }
        return mapped
    }

    /// - Throws: when it is not `witness` who has written that, in that context.
    func check(
        _ proven: HolePunchMessage.Proven, by witness: SocketAddress, in context: [UInt8],
        within patience: Duration = .zero
    ) async throws {
        let answer = try await ask(witness, .question(proven.address, context, proven.proof), within: patience)
        guard AddressProofAttribute(answer.message) == .verdict(true) else {
            throw SessionError(.violation, detail: "the peer's address is not proven")
        }
    }

    private struct Answer: Sendable { let message: STUNMessage }

    private func ask(
        _ witness: SocketAddress, _ attribute: AddressProofAttribute?, from socket: SocketAddress? = nil,
        within patience: Duration = .zero
    ) async throws -> Answer {
        var random = endpoint.configuration.random
        let request = STUNMessage.bindingRequest(
            .random(using: &random), [attribute?.attribute].compactMap(\.self),
            longest: attribute == nil ? STUNResponder.longestResponse : STUNResponder.longestProof)
        let waiter = Waiter<Answer>()
        if socket == nil { stun.wrote(to: witness) }
        stun.expect(request.transaction) { message, datagram in
            guard message.kind == .success, datagram.remote == witness else { return }
            waiter.resume(returning: Answer(message: message))
        }
        let clock = endpoint.clock
        let tokens = Self.repetitions.map { pause in
            clock.schedule(after: pause) { [weak endpoint] in
                endpoint?.sendForeign(request.bytes, to: witness, from: socket)
            }
        }
        let limit = clock.schedule(after: max(Self.leastDeadline, patience)) {
            waiter.resume(throwing: SessionError(.timeout))
        }
        defer {
            stun.forget(request.transaction)
            for token in tokens + [limit] { clock.cancel(token) }
        }
        endpoint.sendForeign(request.bytes, to: witness, from: socket)
        return try await waiter.value()
    }
}
