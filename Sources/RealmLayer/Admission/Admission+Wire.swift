internal import DeP2PSessions
internal import DeP2PWire
internal import FoundationEssentials
internal import SwiftProtobuf

/// The one message of admission, both ways.
enum AdmissionMessage {
    /// The longest message taken, in bytes.
    static let limit = 128

    static func encode(proof: [UInt8]) throws -> [UInt8] {
        var message = Dep2p_Admission_Proof()
        message.mac = Data(proof)
        return try message.serializedBytes()
    }

    /// A proof of another length is no breach of protocol but a wrong proof: it gets the same answer.
    static func decode(_ frame: [UInt8]) throws -> [UInt8] {
        // The decoder's own words say no more than the error does.
        guard let message = try? Dep2p_Admission_Proof(serializedBytes: frame) else {
            throw SessionError(.violation, detail: "an admission message is malformed")
        }
        return [UInt8](message.mac)
    }
}
