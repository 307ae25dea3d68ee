internal import Identity

enum PingPayload {
    static func random() -> [UInt8] { SecureRandom.bytes(Ping.payloadSize) }
}
