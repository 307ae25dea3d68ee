import DeP2P
import Testing

@testable import DeP2PCLI

@Suite struct PresenceReportTests {
    private let node = IdentityKey.generate().nodeID
    private let relay = IdentityKey.generate().nodeID

    @Test func theFieldsAreThoseOfTheContract() {
        let online = PeerPresence(node, .online, path: .relay(relay), reason: nil, isMember: true)
        #expect(
            JSONValue.object(online.fields).encoded
                == #"{"node_id":"\#(node)","state":"online","path":"relay(\#(relay))","reason":null,"member":true}"#)
        let offline = PeerPresence(node, .offline, path: nil, reason: .leftRealm, isMember: false)
        #expect(
            JSONValue.object(offline.fields).encoded
                == #"{"node_id":"\#(node)","state":"offline","path":null,"reason":"left_realm","member":false}"#)
    }

    @Test func peopleReadASentence() {
        #expect(
            PeerPresence(node, .online, path: .direct, reason: nil, isMember: true).text
                == "\(node) is online over direct")
        #expect(
            PeerPresence(node, .offline, path: nil, reason: .goodbye, isMember: true).text
                == "\(node) is offline: it said goodbye")
        // Each reason has words of its own.
        let texts = PeerPresence.Reason.allCases.map {
            PeerPresence(node, .unstable, path: nil, reason: $0, isMember: true).text
        }
        #expect(Set(texts).count == PeerPresence.Reason.allCases.count)
    }
}
