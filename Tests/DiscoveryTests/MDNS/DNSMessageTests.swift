import DeP2PIdentity
import DeP2PSimulation
import Testing

@testable import DeP2PDiscovery

/// Messages as they travel (RFC 1035 section 4, RFC 6762 section 18).
@Suite struct DNSMessageTests {
    private let service = PeerAnnouncement.service

    private func name(_ labels: String...) throws -> DNSName {
        try #require(DNSName(labels: labels.map { Array($0.utf8) }))
    }

    /// Of a header with these counts, and what follows.
    private func bytes(_ counts: [UInt8], flags: [UInt8] = [0x84, 0], _ rest: [UInt8]) -> [UInt8] {
        [0, 0] + flags + counts.flatMap { [0, $0] } + rest
    }

    @Test func aMessageIsReadAsItWasWritten() throws {
        let instance = try #require(service.child(Array("peer".utf8)))
        let host = try name("peer", "p2p", "local")
        var message = DNSMessage(
            answering: [
                .init(service, lifetime: 120, .pointer(instance)),
                .init(instance, lifetime: 120, .text([Array("dnsaddr=/ip4/192.0.2.1".utf8), [1]])),
                .init(host, lifetime: 120, .text([])),
            ],
            additional: [
                .init(instance, lifetime: 10, .service(port: 4001, host: host)),
                .init(host, lifetime: 0, .address(IPAddress(v4: 0xc000_0201))),
                .init(host, lifetime: .max, .address(.v6Loopback)),
            ])
        message.id = 0xbeef
        message.questions = [.init(service, .pointer, wantsUnicast: true), .init(host, .any)]
        #expect(DNSMessage(message.encoded) == message)
        // `_p2p._udp.local` stands there once, and `local` of the host once more.
        #expect(message.encoded.count < 200)
    }

    /// The question of RFC 6762's own kind, byte by byte.
    @Test func aQuestionHasTheBytesOfTheSpecification() {
        let question = DNSMessage(asking: [.init(service, .pointer)])
        let expected: [UInt8] =
            [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 4] + Array("_p2p".utf8) + [4] + Array("_udp".utf8) + [5]
            + Array("local".utf8) + [0, 0, 12, 0, 1]
        #expect(question.encoded == expected)
        #expect(DNSMessage(expected) == question)
    }

    @Test func namesAreEqualWhateverTheirCase() throws {
        #expect(try name("_P2P", "_Udp", "LOCAL") == service)
        #expect(service.parent?.parent == DNSName(labels: [Array("local".utf8)]))
    }

    @Test func namesHaveTheBoundsOfDNS() {
        let label = [UInt8](repeating: 0x61, count: 63)
        #expect(DNSName(labels: [label]) != nil)
        #expect(DNSName(labels: [label + [0x61]]) == nil)
        #expect(DNSName(labels: [[]]) == nil)
        #expect(DNSName(labels: [label, label, label, Array(label.prefix(61))]) != nil)
        #expect(DNSName(labels: [label, label, label, Array(label.prefix(62))]) == nil)
    }

    @Test func pointersThatLeadForwardsOrInCirclesAreRefused() {
        // A question whose name points to itself, to what comes after it, and to another that points back to it.
        for rest: [UInt8] in [
            [0xc0, 12, 0, 12, 0, 1], [0xc0, 14, 0, 12, 0, 1], [0xc0, 18, 0, 12, 0, 1, 0xc0, 12, 0, 12, 0, 1],
            [1, 0x61, 0xc0, 12, 0, 12, 0, 1],
        ] {
            #expect(DNSMessage(bytes([UInt8(rest.count > 8 ? 2 : 1), 0, 0, 0], rest)) == nil, "\(rest)")
        }
    }

    /// Names of names of names: each may lead backwards so many times.
    @Test func pointersAreFollowedSoManyTimes() throws {
        func chained(_ count: Int) -> [UInt8] {
            // The first question's name is `a`; each further one's points to the one before.
            var all: [UInt8] = [1, 0x61, 0, 0, 12, 0, 1]
            var last = 12
            for _ in 0..<count {
                let here = 12 + all.count
                all += [0xc0, UInt8(last), 0, 12, 0, 1]
                last = here
            }
            return bytes([UInt8(count + 1), 0, 0, 0], all)
        }
        #expect(DNSMessage(chained(DNSMessage.pointerLimit))?.questions.count == DNSMessage.pointerLimit + 1)
        #expect(DNSMessage(chained(DNSMessage.pointerLimit + 1)) == nil)
    }

    @Test func everyLengthIsChecked() {
        let instance = service.child(Array("peer".utf8)) ?? service
        let whole = DNSMessage(answering: [
            .init(service, lifetime: 120, .pointer(instance)),
            .init(instance, lifetime: 120, .text([Array("dnsaddr=/ip4/192.0.2.1".utf8)])),
            .init(instance, lifetime: 120, .service(port: 1, host: service)),
            .init(service, lifetime: 120, .address(.v4Loopback)),
        ]).encoded
        for length in 0..<whole.count { #expect(DNSMessage(Array(whole.prefix(length))) == nil, "\(length)") }
        #expect(DNSMessage(whole) != nil)
        #expect(DNSMessage(whole + [UInt8](repeating: 0, count: DNSMessage.longest)) == nil)
    }

    /// A record's data may not reach beyond the length that it gives, however long the message is.
    @Test func dataThatIsLongerThanItSaysIsRefused() {
        let record: (UInt8, [UInt8]) -> [UInt8] = { type, data in
            [1, 0x61, 0, 0, type, 0, 1, 0, 0, 0, 9] + data
        }
        let bad: [[UInt8]] = [
            record(1, [0, 3, 127, 0, 0]), record(28, [0, 4, 127, 0, 0, 1]), record(16, [0, 2, 9, 0x61]),
            record(12, [0, 1, 1, 0x61, 0]), record(33, [0, 6, 0, 0, 0, 0, 0, 1, 1, 0x61, 0]), record(16, [0xff, 0xff]),
        ]
        for rest in bad { #expect(DNSMessage(bytes([0, 1, 0, 0], rest)) == nil, "\(rest)") }
    }

    /// Probes carry what they ask for among the authorities; other types and classes are nothing to us.
    @Test func whatIsOfNoInterestIsLeftOut() throws {
        let other: [UInt8] = [0, 0, 47, 0x80, 1, 0, 0, 0, 9, 0, 2, 1, 2]
        let chaos: [UInt8] = [0, 0, 1, 0, 3, 0, 0, 0, 9, 0, 4, 127, 0, 0, 1]
        let good: [UInt8] = [0, 0, 1, 0x80, 1, 0, 0, 0, 9, 0, 4, 127, 0, 0, 1]
        let message = try #require(DNSMessage(bytes([0, 3, 1, 1], other + chaos + good + good + good)))
        #expect(message.answers.count == 1 && message.additional.count == 1)
        #expect(message.records.allSatisfy { $0.data == .address(.v4Loopback) })
    }

    @Test func codesOtherThanZeroAreIgnored() {
        #expect(DNSMessage(bytes([0, 0, 0, 0], flags: [0x84, 0], [])) != nil)
        for flags: [UInt8] in [[0x84, 3], [0x88, 0], [0xc0, 0]] {
            #expect(DNSMessage(bytes([0, 0, 0, 0], flags: flags, [])) == nil, "\(flags)")
        }
    }

    @Test func soManyEntriesAreReadAndNoMore() throws {
        let question: [UInt8] = [0, 0, 12, 0, 1]
        let many = [UInt8]([0, 0, 0, 0, 0x03, 0xe8, 0, 0, 0, 0, 0, 0]) + (0..<1_000).flatMap { _ in question }
        #expect(try #require(DNSMessage(many)).questions.count == DNSMessage.entryLimit)
    }

    /// Whatever bytes come, reading ends; what was read can be written and is then the same.
    @Test func noBytesAreTooMuch() {
        var random = SplitMix64(seed: 11)
        let seeds = [
            DNSMessage(asking: [.init(service, .pointer)]).encoded,
            DNSMessage(answering: [
                .init(service, lifetime: 120, .pointer(service)), .init(service, lifetime: 1, .text([[1, 2], [3]])),
                .init(service, lifetime: 1, .service(port: 9, host: service)),
            ]).encoded,
        ]
        for round in 0..<20_000 {
            var bytes = seeds[round % seeds.count]
            for _ in 0...Int(random.next() % 4) {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            guard let message = DNSMessage(bytes) else { continue }
            #expect(DNSMessage(message.encoded) == message)
        }
    }
}
