package import DeP2PIdentity

/// A message of Multicast DNS (RFC 1035 section 4, RFC 6762 section 18): what matters here of it. Records of other types
/// and classes are left out when one is read.
package struct DNSMessage: Hashable, Sendable {
    package struct RecordType: RawRepresentable, Hashable, Sendable {
        package let rawValue: UInt16

        package init(rawValue: UInt16) { self.rawValue = rawValue }

        package static let address4 = Self(rawValue: 1)
        package static let pointer = Self(rawValue: 12)
        package static let text = Self(rawValue: 16)
        package static let address6 = Self(rawValue: 28)
        package static let service = Self(rawValue: 33)
        package static let any = Self(rawValue: 255)
    }

    package struct Question: Hashable, Sendable {
        package let name: DNSName
        package let type: RecordType
        /// The asker would rather be answered alone (RFC 6762 section 5.4).
        package var wantsUnicast = false

        package init(_ name: DNSName, _ type: RecordType, wantsUnicast: Bool = false) {
            (self.name, self.type, self.wantsUnicast) = (name, type, wantsUnicast)
        }
    }

    package enum RecordData: Hashable, Sendable {
        case pointer(DNSName)
        /// Each of at most 255 bytes.
        case text([[UInt8]])
        /// Priority and weight are 0.
        case service(port: UInt16, host: DNSName)
        case address(IPAddress)

        package var type: RecordType {
            switch self {
            case .pointer: .pointer
            case .text: .text
            case .service: .service
            case .address(let ip): ip.family == .v4 ? .address4 : .address6
            }
        }
    }

    package struct Record: Hashable, Sendable {
        package let name: DNSName
        /// Seconds; 0 says that the record is no more.
        package var lifetime: UInt32
        package let data: RecordData

        package init(_ name: DNSName, lifetime: UInt32, _ data: RecordData) {
            (self.name, self.lifetime, self.data) = (name, lifetime, data)
        }
    }

    package var id: UInt16 = 0
    package var isResponse = false
    /// More known answers follow (RFC 6762 section 7.2).
    package var isTruncated = false
    package var questions: [Question] = []
    package var answers: [Record] = []
    package var additional: [Record] = []

    package init() {}

    package init(asking questions: [Question], id: UInt16 = 0) {
        (self.questions, self.id) = (questions, id)
    }

    package init(answering answers: [Record], additional: [Record] = []) {
        isResponse = true
        (self.answers, self.additional) = (answers, additional)
    }

    /// The answers and what came with them.
    package var records: [Record] { answers + additional }
}
