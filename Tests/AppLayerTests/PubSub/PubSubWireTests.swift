import DeP2PIdentity
import DeP2PWire
import Foundation
import SwiftProtobuf
import Testing

@testable import DeP2PApp

/// What is written and read by hand is what `Wire/Protos/pubsub.proto` says.
@Suite struct PubSubWireTests {
    private let identity = IdentityKey.generate()

    private func body(_ frame: [UInt8]) throws -> [UInt8] {
        guard case .value(let length, let prefix) = Varint.decode(frame) else { return [] }
        try #require(Int(length) == frame.count - prefix)
        return Array(frame[prefix...])
    }

    @Test func aMessageIsReadByTheSchemaAndBack() throws {
        let message = PubSubMessage([1, 2, 3], to: .other, sequence: 0x0102_0304_0506_0708, by: identity)
        let rpc = try Dep2p_Pubsub_RPC(serializedBytes: body(PubSubRPC.frame(of: message)))
        let read = try #require(rpc.publish.first)
        #expect(rpc.publish.count == 1)
        #expect([UInt8](read.from) == identity.nodeID.bytes)
        #expect([UInt8](read.seqno) == [1, 2, 3, 4, 5, 6, 7, 8])
        #expect(read.topic == "o" && [UInt8](read.data) == [1, 2, 3] && !read.hasKey)
        var unsigned = read
        unsigned.clearSignature()
        let signed: [UInt8] = try unsigned.serializedBytes()
        #expect(
            identity.publicKey.isValidSignature(
                [UInt8](read.signature), for: Array("libp2p-pubsub:".utf8) + signed))
        let bytes: [UInt8] = try read.serializedBytes()
        #expect(SHA256.hash(bytes) == message.id)
        let back = try PubSubRPC(rpc.serializedBytes(), from: IdentityKey.generate().nodeID)
        #expect(back.messages == [message] && back.messages.first?.author == identity.nodeID)
    }

    @Test func controlAndSubscriptionsAreReadByTheSchemaAndBack() throws {
        let ids = (0..<3).map { SHA256.hash([UInt8($0)]) }
        var rpc = PubSubRPC()
        rpc.subscriptions = [.init(topic: .other, isSubscribed: true), .init(topic: .other, isSubscribed: false)]
        rpc.control.announce(ids, in: .other)
        (rpc.control.iwant, rpc.control.idontwant) = (ids, [ids[0]])
        (rpc.control.graft, rpc.control.hasExtensions) = ([.other], true)
        rpc.control.prune = [.init(topic: .other, backoff: 60, peers: [.init(nodeID: [1, 2], record: [3])])]
        let bytes = try body(try #require(rpc.encodedFrames.first))
        let read = try Dep2p_Pubsub_RPC(serializedBytes: bytes)
        #expect(read.subscriptions.map(\.subscribe) == [true, false] && read.subscriptions.map(\.topic) == ["o", "o"])
        #expect(read.control.ihave.first?.messageIds.map { [UInt8]($0) } == ids.map(\.bytes))
        #expect(read.control.iwant.first?.messageIds.count == 3 && read.control.idontwant.first?.messageIds.count == 1)
        #expect(read.control.graft.map(\.topic) == ["o"] && read.control.hasExtensions)
        #expect(read.control.prune.first?.backoff == 60)
        #expect(read.control.prune.first?.peers.first.map { [UInt8]($0.peerID) } == [1, 2])
        let back = try PubSubRPC(read.serializedBytes(), from: identity.nodeID)
        #expect(back.control == rpc.control && back.subscriptions == rpc.subscriptions)
    }

    @Test func manyIdsAreSeveralRPCsEachWithinItsBound() throws {
        let ids = (0..<5_000).map { SHA256.hash([UInt8($0 & 255), UInt8($0 >> 8)]) }
        var rpc = PubSubRPC()
        rpc.control.announce(ids, in: .other)
        rpc.control.graft = [.other]
        var found: [PubSubMessage.ID] = []
        let frames = rpc.encodedFrames
        for frame in frames {
            let part = try PubSubRPC(body(frame), from: identity.nodeID)
            #expect(part.control.sentIDs <= PubSubLimits.idsSent)
            found += part.control.ihave.flatMap(\.ids)
        }
        #expect(found == ids && frames.count == 6)
    }

    @Test func whatIsUnknownIsSkipped() throws {
        var bytes = try body(try #require(PubSubRPC.greeting.encodedFrames.first))
        // The extension that the registry knows, and its message.
        bytes += [0x92, 0x8b, 0xe2, 0x18, 0x00]
        #expect(try PubSubRPC(bytes, from: identity.nodeID).control.hasExtensions)
    }
}

extension PubSubRPC {
    fileprivate static var greeting: PubSubRPC {
        var rpc = PubSubRPC()
        rpc.control.hasExtensions = true
        return rpc
    }
}
