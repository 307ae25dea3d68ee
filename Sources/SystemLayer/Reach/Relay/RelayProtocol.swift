internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions

/// The door of /dep2p/sys/relay/1.0.0: what a stream is about follows from its first message.
@NetworkActor
enum RelayProtocol {
    nonisolated static let id = "/dep2p/sys/relay/1.0.0"
    /// The same for members alone, by a node that relays for its realm: that it is listed says so.
    nonisolated static let realmID = "/dep2p/realm/relay/1.0.0"
    /// How long the first message may take.
    nonisolated static let firstMessageDeadline = Duration.seconds(5)

    /// - Parameter service: `nil` is the client's.
    static func serve(
        _ name: String = id, on connections: Connections, service: RelayService?, client: RelayClient?
    ) {
        connections.registry.register(
            name, deadline: .unlimited(because: "the first message has one, then it stands for a circuit")
        ) { [weak service, weak client] session, stream in
            let service = service ?? client?.service
            let reader = FrameReader(stream, limit: RelayMessage.limit)
            let first = try await session.clock.withDeadline(firstMessageDeadline) { try await reader.required() }
            // What can't be read is answered like what is not expected.
            switch try? RelayMessage(decoding: first) {
            case .reserve where service != nil: try await service?.reserve(session, stream)
            case .connect(let target) where service != nil:
                try await service?.connect(session, to: target, stream, reader)
            case .reserve, .connect: try await stream.write(.refusal(RelayError(.notARelay)))
            case .incoming(let source, let grant) where client != nil:
                try await client?.accept(source, grant, from: session, stream, reader)
            case .incoming: try await stream.write(.answer(false))
            default: try await stream.write(.refusal(RelayError(.malformed)))
            }
        }
    }
}

extension ByteStream {
    func write(_ message: RelayMessage) async throws { try await writeFrame(message.encoded()) }
}

extension FrameReader {
    /// The next message; `nil` at the end of the stream.
    func nextMessage() async throws -> RelayMessage? {
        guard let frame = try await next() else { return nil }
        return try RelayMessage(decoding: frame)
    }

    /// Waits for the end of a circuit: what the other side says, or `closed` when it just goes away.
    ///
    /// - Parameter onConfirm: called when the other side confirms it meanwhile, which it does once: a flood of small
    ///   messages would take the thread.
    func circuitEnd(onConfirm: @NetworkActor () -> Void = {}) async -> CircuitEnd {
        var isConfirmed = false
        // A stream that breaks off ends the circuit as one that ends does.
        while let message = try? await nextMessage() {
            switch message {
            case .confirm where !isConfirmed:
                isConfirmed = true
                onConfirm()
            case .ended(let end): return end
            default: return .closed
            }
        }
        return .closed
    }
}
