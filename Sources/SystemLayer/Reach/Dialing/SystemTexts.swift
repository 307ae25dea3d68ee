internal import CDeP2PCares
internal import DeP2PReactor
internal import DeP2PSessions

/// Text records from the resolvers of this machine, by c-ares: getaddrinfo(3) knows none.
enum SystemTexts {
    /// Records of one name, and bytes of one, that are looked at.
    static let recordLimit = 64
    static let lengthLimit = 1_024

    static func lookUp(_ name: String, _ patience: Duration) -> Result<[[UInt8]], TransportFailure> {
        let found = Found()
        let status = withExtendedLifetime(found) {
            // The pointer counts for this call alone, while `found` is held.
            dep2p_dns_text(
                name, Int32(clamping: Int64(patience.milliseconds)), recordLimit, lengthLimit,
                Unmanaged.passUnretained(found).toOpaque()
            ) { context, bytes, length in
                guard let context, let bytes else { return }
                let text = Array(UnsafeBufferPointer(start: bytes, count: length))
                Unmanaged<Found>.fromOpaque(context).takeUnretainedValue().texts.append(text)
            }
        }
        guard status != 0 else { return .success(found.texts) }
        let isAbsent = dep2p_dns_is_absent(status) != 0
        let detail = dep2p_dns_message(status).map { String(cString: $0) } ?? "error \(status)"
        return .failure(TransportFailure(isAbsent ? .nameUnknown : .resolverFailed, detail: detail))
    }

    private final class Found {
        var texts: [[UInt8]] = []
    }
}
