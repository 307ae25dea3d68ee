internal import DeP2PIdentity

enum PingPayload {
    static func random() -> [UInt8] { SecureRandom.bytes(Ping.payloadSize) }
}
