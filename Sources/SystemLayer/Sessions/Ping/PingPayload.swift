internal import DeP2PIdentity

enum PingPayload {
    static func random(from source: RandomSource) -> [UInt8] { source.bytes(Ping.payloadSize) }
}
