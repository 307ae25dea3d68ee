import DeP2PIdentity
import DeP2PReactor
import DeP2PTestSupport
import Testing

@testable import DeP2PDiscovery

/// How a node tells of itself on a link (RFC 6762 sections 6 to 8).
@Suite struct ResponderTests {
    private let nodeID = IdentityKey.generate().nodeID
    private let asker = v4(192, 168, 1, 99, 5_353)
    private let service = PeerAnnouncement.service
    private var bench = LANBench()
    private let announcement: PeerAnnouncement

    init() throws {
        announcement = try #require(
            LANBench.announcement("own", LANBench.shown(nodeID, at: v4(192, 168, 1, 10, 4001))))
    }

    private mutating func tell() -> [MDNSMachine.Action] {
        bench.machine.tell([bench.link.id: announcement], now: bench.now) + bench.pass(.seconds(3))
    }

    private func question(_ type: DNSMessage.RecordType = .pointer, of name: DNSName? = nil, unicast: Bool = false)
        -> DNSMessage
    { DNSMessage(asking: [.init(name ?? service, type, wantsUnicast: unicast)], id: 7) }

    @Test mutating func aNodeIsAnnouncedTwiceASecondApart() {
        let first = bench.machine.tell([bench.link.id: announcement], now: bench.now).groups
        #expect(first.count == 1)
        #expect(bench.pass(.milliseconds(999)).groups.isEmpty)
        #expect(bench.pass(.milliseconds(1)).groups == first)
        #expect(bench.pass(.seconds(60)).groups.isEmpty)
        let answers = Set(first.flatMap(\.answers).map(\.data))
        #expect(answers.contains(.pointer(announcement.instance)))
        #expect(answers.contains(.text(announcement.text.strings)))
        #expect(answers.contains(.service(port: 4001, host: announcement.host)))
        #expect(answers.contains(.address(v4(192, 168, 1, 10, 0).ip)))
    }

    @Test mutating func aQuestionIsAnsweredAfterAMoment() {
        _ = tell()
        #expect(bench.receive(question(), from: asker).isEmpty)
        #expect(bench.pass(.milliseconds(19)).groups.isEmpty)
        let answers = bench.pass(.milliseconds(101)).groups
        #expect(answers.count == 1)
        #expect(answers.first?.answers.map(\.data) == [.pointer(announcement.instance)])
        // What is asked for next comes with it (RFC 6763 section 12.1).
        #expect(answers.first?.additional.count == 3)
    }

    @Test mutating func whatIsAskedForIsAnswered() {
        _ = tell()
        let asked: [(DNSMessage, DNSMessage.RecordType)] = [
            (question(of: PeerAnnouncement.services), .pointer), (question(.text, of: announcement.instance), .text),
            (question(.service, of: announcement.instance), .service),
            (question(.address4, of: announcement.host), .address4),
        ]
        for (question, type) in asked {
            _ = bench.receive(question, from: asker)
            #expect(bench.pass(.seconds(2)).groups.first?.answers.first?.data.type == type)
        }
        let nothing = [
            question(.text), question(of: announcement.instance), question(.any, of: service.parent),
        ]
        for question in nothing {
            _ = bench.receive(question, from: asker)
            #expect(bench.pass(.seconds(2)).groups.isEmpty)
        }
    }

    @Test mutating func nothingIsToldTwiceASecond() {
        _ = tell()
        var count = 0
        for _ in 0..<200 {
            _ = bench.receive(question(), from: asker)
            count += bench.pass(.milliseconds(50)).groups.count
        }
        // Ten seconds.
        #expect((10...11).contains(count), "\(count)")
    }

    @Test mutating func whoKnowsTheAnswerIsNotTold() {
        _ = tell()
        var known = question()
        known.answers = [.init(service, lifetime: 60, .pointer(announcement.instance))]
        _ = bench.receive(known, from: asker)
        #expect(bench.pass(.seconds(2)).groups.isEmpty)
        known.answers = [.init(service, lifetime: 59, .pointer(announcement.instance))]
        _ = bench.receive(known, from: asker)
        #expect(bench.pass(.seconds(2)).groups.count == 1)
    }

    /// An asker that knows more than fits in one message (RFC 6762 section 7.2).
    @Test mutating func moreKnownAnswersAreWaitedFor() {
        _ = tell()
        var first = question()
        first.isTruncated = true
        var rest = DNSMessage()
        rest.answers = [.init(service, lifetime: 120, .pointer(announcement.instance))]
        _ = bench.receive(first, from: asker)
        #expect(bench.pass(.milliseconds(399)).groups.isEmpty)
        _ = bench.receive(rest, from: asker)
        #expect(bench.pass(.seconds(2)).groups.isEmpty)
        _ = bench.receive(first, from: asker)
        #expect(bench.pass(.milliseconds(500)).groups.count == 1)
    }

    /// RFC 6762 section 6.7: the question comes back, with its number, and lifetimes are short.
    @Test mutating func whoAsksFromAPortOfItsOwnIsAnsweredThere() throws {
        _ = tell()
        let own = v4(192, 168, 1, 99, 40_000)
        _ = bench.receive(question(unicast: true), from: own)
        let actions = bench.pass(.milliseconds(120))
        #expect(actions.groups.isEmpty)
        let (message, to) = try #require(actions.askers.first)
        #expect(to == own && message.id == 7 && message.questions == [.init(service, .pointer)])
        #expect(message.records.count == 4 && message.records.allSatisfy { $0.lifetime <= 10 })
    }

    @Test mutating func askersThatWaitAndAnswersToThemAreBounded() {
        _ = tell()
        for port in 0..<1_000 { _ = bench.receive(question(), from: v4(192, 168, 1, 99, UInt16(40_000 + port))) }
        #expect(bench.pass(.seconds(1)).askers.count == Responder.waitingLimit)
        var count = 0
        for round in 0..<1_000 {
            _ = bench.receive(question(), from: v4(192, 168, 1, 99, UInt16(40_000 + round)))
            count += bench.pass(.milliseconds(10)).askers.count
        }
        // Ten seconds, and what there was at once.
        #expect(count <= 10 * Responder.unicastRate.perSecond + Responder.unicastRate.burst, "\(count)")
    }

    @Test mutating func goodbyeIsSaidOfEveryRecord() throws {
        _ = tell()
        let actions = bench.machine.tell([:], now: bench.now)
        let records = try #require(actions.groups.first).answers
        #expect(records.count == 4 && records.allSatisfy { $0.lifetime == 0 })
        _ = bench.receive(question(), from: asker)
        #expect(bench.pass(.seconds(5)).isEmpty)
    }

    @Test mutating func anotherNameIsTakenWithAGoodbye() throws {
        _ = tell()
        let other = try #require(LANBench.announcement("other", announcement.text))
        let groups = bench.machine.tell([bench.link.id: other], now: bench.now).groups
        #expect(groups.count == 2)
        #expect(groups.first?.answers.first?.lifetime == 0)
        #expect(groups.last?.answers.first?.data == .pointer(other.instance))
    }

    @Test mutating func whoIsNotOfTheLinkIsNotAnswered() {
        _ = tell()
        for stranger in [v4(192, 168, 2, 1, 5_353), v4(45, 1, 1, 1, 40_000), v4(127, 0, 0, 1, 5_353)] {
            _ = bench.receive(question(), from: stranger)
            #expect(bench.pass(.seconds(2)).isEmpty, "\(stranger)")
        }
    }
}
