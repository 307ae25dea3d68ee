import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import Testing

@testable import DeP2PDiscovery

@Suite struct KRPCTests {
    private let transaction = Array("aa".utf8)

    private func id(_ text: String) throws -> MainlineID { try #require(MainlineID(bytes: Array(text.utf8))) }

    @Test func vectors() throws {
        let lines = Dictionary(uniqueKeysWithValues: try vectorLines("bep5.txt").map { ($0[0], Array($0[1].utf8)) })
        let (sender, target) = (try id("abcdefghij0123456789"), try id("mnopqrstuvwxyz123456"))
        let findNode = KRPCQuery.findNode(target)
        #expect(findNode.encoded(transaction: transaction, from: sender, naming: .v4) == lines["find_node"])
        #expect(KRPCQuery.get(target).encoded(transaction: transaction, from: sender, naming: .v4) == lines["get"])
        // Nine bytes of nodes are none: the example abridges.
        let answer = KRPCAnswer(id: try id("0123456789abcdefghij"))
        let read = try ["answer", "error"].map { KRPCReply(decoding: try #require(lines[$0])) }
        #expect(read[0] == KRPCReply(transaction: transaction, body: .answer(answer)))
        #expect(read[1] == KRPCReply(transaction: transaction, body: .error(201)))
    }

    /// BEP 32: each family is asked for its own, and both may be in one answer.
    @Test func nodesOfBothFamiliesAreAskedForAndRead() throws {
        let (sender, target) = (try id("abcdefghij0123456789"), try id("mnopqrstuvwxyz123456"))
        for (family, name) in [(IPAddress.Family.v4, "n4"), (.v6, "n6")] {
            let bytes = KRPCQuery.get(target).encoded(transaction: transaction, from: sender, naming: family)
            #expect(Bencode(decoding: bytes)?["a"]?["want"] == .list([.text(name)]))
        }
        let four = Array("0123456789abcdefghij".utf8) + [45, 0, 0, 1, 0x1a, 0xe1]
        let six = Array("jihgfedcba9876543210".utf8) + [0x2a, 1] + [UInt8](repeating: 0, count: 13) + [9, 0xff, 0xfe]
        let read = answer(
            reply(["id": .text("0123456789abcdefghij"), "nodes": .bytes(four), "nodes6": .bytes(six + six)]))
        let contacts = try #require(read?.contacts)
        #expect(
            contacts.map(\.compact) == [four, six, six] && contacts.map(\.address.port) == [6_881, 0xfffe, 0xfffe])
        #expect(contacts.map(\.address.ip.family) == [.v4, .v6, .v6])
        // Neither may be as long as the other, and each is bounded by itself.
        for (count, wanted) in [(six.count - 1, 0), (26 * 19, 13), (38 * (KRPCReply.contactLimit + 9), 16)] {
            let nodes = [UInt8](repeating: 5, count: count)
            let read = answer(reply(["id": .text("0123456789abcdefghij"), "nodes6": .bytes(nodes)]))
            #expect(read?.contacts.count == wanted)
        }
    }

    private func item(salt: [UInt8] = []) throws -> MutableItem {
        try MutableItem(by: .generate(), salt: salt, seq: 7, value: Array("5:hello".utf8))
    }

    @Test func whatIsPutIsWhatWasSigned() throws {
        for salt in [[], Array("salt".utf8)] {
            let item = try item(salt: salt)
            let bytes = KRPCQuery.put(item, token: [1, 2]).encoded(
                transaction: transaction, from: try id("abcdefghij0123456789"), naming: .v6)
            let message = try #require(Bencode(decoding: bytes))
            let arguments = try #require(message["a"])
            #expect(message["q"] == .text("put") && message["ro"] == .integer(1))
            #expect(arguments["token"] == .bytes([1, 2]) && arguments["seq"] == .integer(7))
            #expect(arguments["k"] == .bytes(item.publicKey) && arguments["sig"] == .bytes(item.signature))
            #expect(arguments["v"]?.encoded == item.value && arguments["salt"]?.asBytes == (salt.isEmpty ? nil : salt))
        }
    }

    private func reply(_ entries: Bencode) -> KRPCReply? {
        let message: Bencode = ["r": entries, "t": .bytes(transaction), "y": .text("r")]
        return KRPCReply(decoding: message.encoded)
    }

    private func answer(_ reply: KRPCReply?) -> KRPCAnswer? {
        if case .answer(let answer)? = reply?.body { answer } else { nil }
    }

    @Test func anItemIsReadAsItIsAndChecked() throws {
        let item = try item(salt: [9])
        let entries: Bencode = [
            "id": .text("0123456789abcdefghij"), "k": .bytes(item.publicKey), "seq": .integer(7),
            "sig": .bytes(item.signature), "token": .bytes([3]), "v": .text("hello"),
        ]
        let read = try #require(answer(reply(entries)))
        #expect(read.token == [3])
        let found = try #require(read.item?.item(of: item.publicKey + [9]))
        #expect(found == item && found.isSigned)
        // Of another key, or with another salt.
        #expect(try read.item?.item(of: self.item().publicKey + [9]) == nil)
        #expect(read.item?.item(of: item.publicKey)?.isSigned == false)
        #expect(read.item?.item(of: []) == nil && read.item?.item(of: Array(item.publicKey.prefix(31))) == nil)
    }

    @Test func lengthsAreBounded() throws {
        let self20 = Bencode.text("0123456789abcdefghij")
        let nodes = [UInt8](repeating: 7, count: 26 * (KRPCReply.contactLimit + 4))
        #expect(answer(reply(["id": self20, "nodes": .bytes(nodes)]))?.contacts.count == KRPCReply.contactLimit)
        #expect(answer(reply(["id": self20, "nodes": .bytes(nodes.dropLast())]))?.contacts.isEmpty == true)
        let longest = [UInt8](repeating: 1, count: KRPCReply.tokenLimit)
        #expect(answer(reply(["id": self20, "token": .bytes(longest)]))?.token == longest)
        #expect(answer(reply(["id": self20, "token": .bytes(longest + [1])]))?.token == nil)
        #expect(answer(reply(["id": self20, "token": .bytes([])]))?.token == nil)
        #expect(reply(["id": .text("short")]) == nil && reply([:]) == nil && reply(.integer(1)) == nil)
        let full = [UInt8](repeating: 1, count: KRPCReply.messageLimit)
        #expect(reply(["id": self20, "x": .bytes(full)]) == nil)
    }

    @Test func whatIsNoAnswerIsPassedOver() {
        for text in [
            "", "d", "de", "i1e", "d1:t2:aae", "d1:t2:aa1:y1:re", "d1:eli201ee1:t2:aae", "d1:e0:1:t2:aa1:y1:ee",
            "d1:ele1:t2:aa1:y1:ee", "d1:el1:xe1:t2:aa1:y1:ee",
            "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe",
        ] {
            #expect(KRPCReply(decoding: Array(text.utf8)) == nil)
        }
    }

    /// Nothing that somebody sends ends the process.
    @Test func changedMessagesAreReadOrNot() throws {
        let item = try item()
        let entries: Bencode = [
            "id": .text("0123456789abcdefghij"), "k": .bytes(item.publicKey), "seq": .integer(.max),
            "nodes": .bytes([UInt8](repeating: 3, count: 208)), "sig": .bytes(item.signature), "token": .bytes([3]),
            "v": .list([.integer(.min), .text("x")]),
        ]
        let message: Bencode = ["r": entries, "t": .bytes(transaction), "y": .text("r")]
        var random = SplitMix64(seed: 5)
        var read = 0
        for _ in 0..<3_000 {
            var bytes = message.encoded
            for _ in 0...random.next() % 3 {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            if random.next() % 4 == 0 { bytes = Array(bytes.prefix(Int(random.next() % UInt64(bytes.count)))) }
            if let answer = answer(KRPCReply(decoding: bytes)) {
                read += 1
                _ = answer.item?.item(of: item.publicKey)
            }
        }
        #expect(read > 150)
    }

    @Test func anAnswerCountsOnceAndFromWhereItWasAsked() throws {
        let random = RandomSource(replaying: SplitMix64(seed: 6))
        let there = SocketAddress(IPAddress(v4: 0x2d00_0001), port: 6_881)
        let elsewhere = SocketAddress(IPAddress(v4: 0x2d00_0002), port: 6_881)
        let now = NetworkInstant(nanoseconds: 1)
        var open = KRPCTransactions()
        let first = open.begin(to: there, for: 4, now: now, random: random)
        let number = try #require(first)
        #expect(number.count == KRPCTransactions.length)
        #expect(open.end(number, from: elsewhere, now: now) == nil)
        #expect(open.end([1] + number.dropFirst(), from: there, now: now) == nil)
        #expect(open.end(number, from: there, now: now) == 4)
        #expect(open.end(number, from: there, now: now) == nil)
        let second = open.begin(to: there, for: 4, now: now, random: random)
        let late = try #require(second)
        let end = now.advanced(by: KRPCTransactions.lifetime)
        #expect(open.end(late, from: there, now: end) == nil)
        for _ in 0..<KRPCTransactions.limit { #expect(open.begin(to: there, for: 5, now: now, random: random) != nil) }
        #expect(open.begin(to: there, for: 5, now: now, random: random) == nil)
        #expect(open.begin(to: there, for: 6, now: end, random: random) != nil)
        #expect(open.count == 1 && open.isAsked(there) && !open.isAsked(elsewhere))
        open.forget(6)
        #expect(open.count == 0)
    }
}
