package import DeP2PIdentity

/// What a node tells of itself on one link, as records.
///
/// They are all shared ones in the sense of RFC 6762 section 2: nobody else can have the name of 128 random bits, so
/// that nothing is probed for (section 8.1), and no record claims to be the only one of its name (section 10.2). When
/// anything changes, the node takes another name, and says goodbye under the old one.
package struct PeerAnnouncement: Hashable, Sendable {
    /// `_p2p._udp.local`, as libp2p has it.
    package static let service = DNSName(trusted: "_p2p", "_udp", "local")
    /// What services there are is asked for under this name (RFC 6763 section 9).
    package static let services = DNSName(trusted: "_services", "_dns-sd", "_udp", "local")
    private static let hostDomain = DNSName(trusted: "p2p", "local")

    /// Records of ours count for two minutes, as RFC 6762 section 10 has it for what names addresses: a name lives no longer
    /// than the run.
    package static let lifetime: UInt32 = 120
    /// For askers that keep no cache (RFC 6762 section 6.7).
    package static let lifetimeAlone: UInt32 = 10

    /// Which records.
    package struct Kinds: OptionSet, Hashable, Sendable {
        package let rawValue: UInt8

        package init(rawValue: UInt8) { self.rawValue = rawValue }

        /// That the peer is one.
        package static let pointer = Self(rawValue: 1)
        package static let text = Self(rawValue: 2)
        package static let service = Self(rawValue: 4)
        package static let addresses = Self(rawValue: 8)
        /// That there are peers at all.
        package static let services = Self(rawValue: 16)
        /// All that is told unasked.
        package static let announced: Self = [.pointer, .text, .service, .addresses]
    }

    package let peerName: [UInt8]
    package let text: PeerText
    package let port: UInt16
    package let hosts: [IPAddress]
    package let instance: DNSName
    package let host: DNSName

    /// `nil` when the name is none.
    package init?(peerName: [UInt8], text: PeerText, port: UInt16, hosts: [IPAddress]) {
        guard let instance = Self.service.child(peerName), let host = Self.hostDomain.child(peerName) else {
            return nil
        }
        (self.peerName, self.text, self.port, self.hosts) = (peerName, text, port, hosts)
        (self.instance, self.host) = (instance, host)
    }

    /// The kinds of records that a question asks for.
    func kinds(asked question: DNSMessage.Question) -> Kinds {
        let wants = { (type: DNSMessage.RecordType) in question.type == type || question.type == .any }
        switch question.name {
        case Self.service: return wants(.pointer) ? .pointer : []
        case Self.services: return wants(.pointer) ? .services : []
        case instance:
            return (wants(.text) ? .text : Kinds()).union(wants(.service) ? .service : [])
        case host: return wants(.address4) || wants(.address6) ? .addresses : []
        default: return []
        }
    }

    func records(_ kinds: Kinds, lifetime: UInt32) -> [DNSMessage.Record] {
        var data: [(DNSName, DNSMessage.RecordData)] = []
        if kinds.contains(.services) { data.append((Self.services, .pointer(Self.service))) }
        if kinds.contains(.pointer) { data.append((Self.service, .pointer(instance))) }
        if kinds.contains(.text) { data.append((instance, .text(text.strings))) }
        if kinds.contains(.service) { data.append((instance, .service(port: port, host: host))) }
        if kinds.contains(.addresses) { data += hosts.map { (host, .address($0)) } }
        return data.map { DNSMessage.Record($0.0, lifetime: lifetime, $0.1) }
    }

    /// What answers a question for `kinds`, with what the asker will want to know next (RFC 6763 section 12).
    func message(_ kinds: Kinds, lifetime: UInt32 = Self.lifetime) -> DNSMessage {
        let more = kinds.contains(.pointer) ? Kinds.announced : kinds.contains(.service) ? .addresses : []
        return DNSMessage(
            answering: records(kinds, lifetime: lifetime),
            additional: records(more.subtracting(kinds), lifetime: lifetime))
    }

    /// Whether an asker says that it knows that the peer is one, for at least half of the time that it may
    /// (RFC 6762 section 7.1).
    func isKnown(in answers: [DNSMessage.Record]) -> Bool {
        answers.contains { answer in
            answer.name == Self.service && answer.data == .pointer(instance) && answer.lifetime >= Self.lifetime / 2
        }
    }
}
