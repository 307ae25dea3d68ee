internal import DeP2PSessions
internal import DeP2PWire
internal import FoundationEssentials
internal import SwiftProtobuf

/// The one message of admission, both ways.
struct AdmissionMessage: Equatable {
    /// The longest message taken, in bytes.
    static let limit = 128

    var mac: [UInt8] = []
    /// The other side has proven itself: to the opener in the handshake, to the acceptor by what this answers.
    var isProven = false

    init(mac: [UInt8] = [], isProven: Bool = false) { (self.mac, self.isProven) = (mac, isProven) }

    /// A proof of another length is no breach of protocol but a wrong proof: it gets the same answer.
    init(_ frame: [UInt8]) throws {
        // The decoder's own words say no more than the error does.
        guard let message = try? Dep2p_Admission_Proof(serializedBytes: frame) else {
            throw SessionError(.violation, detail: "an admission message is malformed")
        }
        self.init(mac: [UInt8](message.mac), isProven: message.proven)
    }

    func encoded() throws -> [UInt8] {
        var message = Dep2p_Admission_Proof()
        message.mac = Data(mac)
        message.proven = isProven
        return try message.serializedBytes()
    }
}
