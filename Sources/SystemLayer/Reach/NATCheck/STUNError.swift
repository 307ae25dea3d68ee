internal import DeP2PIdentity

/// Why a datagram is not a STUN message that can be used.
package struct STUNError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Code: Equatable, Sendable {
        case truncated
        case tooLong
        case notSTUN
        case wrongLength
        case tooManyAttributes
        case malformed(UInt16)
        case wrongFingerprint
    }

    package let code: Code

    package init(_ code: Code) { self.code = code }

    package var description: String {
        switch code {
        case .truncated: "the STUN message is cut short"
        case .tooLong: "the STUN message is longer than \(STUNMessage.maximumLength) bytes"
        case .notSTUN: "not a STUN message"
        case .wrongLength: "the STUN message's length field is wrong"
        case .tooManyAttributes: "the STUN message has more than \(STUNMessage.maximumAttributes) attributes"
        case .malformed(let type): "STUN attribute 0x\(String(type, radix: 16)) is malformed"
        case .wrongFingerprint: "the STUN message's fingerprint is wrong"
        }
    }
}
