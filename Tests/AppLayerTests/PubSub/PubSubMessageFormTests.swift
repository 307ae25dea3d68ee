import DeP2PIdentity
import DeP2PWire
import Testing

@testable import DeP2PApp

/// A message has one form, one key and one id: whoever could write it otherwise could have it taken for another.
@Suite struct PubSubMessageFormTests {
    private let topic = Topic.other

    @Test func aMessageHasOneForm() throws {
        let identity = IdentityKey.generate()
        let message = PubSubMessage([1], to: topic, sequence: 5, by: identity)
        let keys = AuthorKeys()
        let read = try #require(PubSubMessage(message.encoded, 0..<message.encoded.count, from: identity.nodeID))
        #expect(read.id == message.id && read.isSigned(knowing: keys) && read.data == [1])
        // A field twice, out of order, or a length that is longer than it needs to be.
        let twice = message.encoded + message.encoded
        #expect(PubSubMessage(twice, 0..<twice.count, from: identity.nodeID) == nil)
        var unsigned = message.encoded
        unsigned.removeLast(66)
        #expect(PubSubMessage(unsigned, 0..<unsigned.count, from: identity.nodeID) == nil)
        var longer = message.encoded
        longer[1] |= 0x80
        longer.insert(0, at: 2)
        #expect(PubSubMessage(longer, 0..<longer.count, from: identity.nodeID) == nil)
        // The signature's own length, which it does not cover.
        longer = message.encoded
        let length = longer.count - 65
        longer[length] |= 0x80
        longer.insert(0, at: length + 1)
        #expect(PubSubMessage(longer, 0..<longer.count, from: identity.nodeID) == nil)
    }

    /// A key that is not the author's had the message's own id, and did not verify: the message was taken to be forged.
    @Test func aMessageHasOneKeyAndOneID() throws {
        let identity = IdentityKey.generate()
        let message = PubSubMessage([1], to: topic, sequence: 5, by: identity)
        func read(_ key: [UInt8], behind: [UInt8] = []) -> PubSubMessage? {
            var bytes = message.encoded
            ProtobufBytes.append(6, key, to: &bytes)
            bytes += behind
            return PubSubMessage(bytes, 0..<bytes.count, from: identity.nodeID)
        }
        #expect(read([1, 2, 3]) == nil)
        #expect(read(Array(IdentityKey.generate().nodeID.bytes.dropFirst(2))) == nil)
        // Its own is in the NodeID; said again it makes no other message.
        let own = Array(identity.nodeID.bytes.dropFirst(2))
        let again = try #require(read(own))
        #expect(again.id == message.id && again.isSigned(knowing: AuthorKeys()))
        // What stands behind it does.
        var unknown: [UInt8] = []
        ProtobufBytes.append(7, [1], to: &unknown)
        let other = try #require(read(own, behind: unknown))
        #expect(other.id != message.id)
    }

    /// Nobody could verify it, and it had the id of what could be.
    @Test func whereTheNodeIDIsAHashTheKeyIsThere() {
        let key: [UInt8] = [1, 2, 3]
        var bytes: [UInt8] = []
        let fields = [
            [0x12, 0x20] + SHA256.hash(key).bytes, [1], [UInt8](repeating: 0, count: 8), topic.bytes,
            [UInt8](repeating: 7, count: 64),
        ]
        for (index, field) in fields.enumerated() { ProtobufBytes.append(UInt8(index + 1), field, to: &bytes) }
        let sender = IdentityKey.generate().nodeID
        #expect(PubSubMessage(bytes, 0..<bytes.count, from: sender) == nil)
        let id = SHA256.hash(bytes)
        ProtobufBytes.append(6, key, to: &bytes)
        #expect(PubSubMessage(bytes, 0..<bytes.count, from: sender)?.id == id)
    }
}
