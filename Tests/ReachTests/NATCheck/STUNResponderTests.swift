import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach

@Suite struct STUNResponderTests {
    let client = v4(203, 0, 113, 9, 40_000)
    let local = v4(198, 51, 100, 1, 4001)
    let alternate = v4(198, 51, 100, 2, 4002)
    let now = NetworkInstant.milliseconds(0)

    func request(_ attributes: [STUNAttribute] = []) -> [UInt8] {
        STUNMessage.bindingRequest(STUNTransactionID(high: 1, low: 2), attributes).bytes
    }

    func answer(_ responder: inout STUNResponder, _ datagram: [UInt8]) throws -> STUNResponder.Response {
        let response = responder.respond(to: datagram, from: client, on: local, now: now)
        return try #require(response)
    }

    @Test("a Binding request is answered with where it came from")
    func answers() throws {
        var responder = STUNResponder()
        let response = try answer(&responder, request())
        let message = try STUNMessage(response.bytes)
        #expect(response.destination == client)
        #expect(response.origin == .same)
        #expect(message.kind == .success)
        #expect(message.transaction == STUNTransactionID(high: 1, low: 2))
        #expect(message.attributes == [.xorMappedAddress(client), .responseOrigin(local)])
    }

    @Test("responses, indications, other methods, noise and port 0 are left alone")
    func ignores() throws {
        var responder = STUNResponder()
        let id = STUNTransactionID(high: 1, low: 2)
        let others = [
            STUNMessage(.success, transaction: id), STUNMessage(.indication, transaction: id),
            STUNMessage(.failure, transaction: id), STUNMessage(.request, method: 3, transaction: id),
        ]
        for message in others {
            #expect(responder.respond(to: message.bytes, from: client, on: local, now: now) == nil)
        }
        #expect(responder.respond(to: request(), from: v4(1, 1, 1, 1, 0), on: local, now: now) == nil)
        for noise in mutations(of: request([.software("x")]), rounds: 500, seed: 7) {
            let response = responder.respond(to: noise, from: client, on: local, now: now)
            #expect(response == nil || response?.destination.ip == client.ip)
        }
    }

    @Test("an unknown attribute that must be understood is named in a 420 (RFC 8489 section 6.3.1)")
    func unknownAttribute() throws {
        var responder = STUNResponder()
        let bytes = try stunVector("rfc5769-request")
        let response = try answer(&responder, bytes)
        let message = try STUNMessage(response.bytes)
        #expect(message.errorCode == 420)
        #expect(message.attributes.contains(.unknownAttributes([0x0024])))
    }

    @Test("CHANGE-REQUEST needs an alternate address; RESPONSE-ORIGIN tells the socket that answers")
    func changeRequest() throws {
        let change = request([.changeRequest(address: true, port: true)])
        var plain = STUNResponder()
        let refused = try answer(&plain, change)
        #expect(try STUNMessage(refused.bytes).errorCode == 420)

        var rich = STUNResponder(alternate: alternate)
        let response = try answer(&rich, change)
        #expect(response.origin == STUNResponder.Origin(changesAddress: true, changesPort: true))
        let message = try STUNMessage(response.bytes)
        #expect(message.attributes.contains(.responseOrigin(alternate)))
        #expect(message.attributes.contains(.otherAddress(alternate)))
    }

    @Test("with a second port alone, a change of port is honoured, one of the address refused")
    func alternatePort() throws {
        var responder = STUNResponder()
        let change = request([.changeRequest(address: false, port: true)])
        let answer = responder.respond(to: change, from: client, on: local, alternatePort: 4444, now: now)
        let response = try #require(answer)
        #expect(response.origin == STUNResponder.Origin(changesAddress: false, changesPort: true))
        #expect(response.destination == client)
        let message = try STUNMessage(response.bytes)
        #expect(message.attributes.contains(.responseOrigin(SocketAddress(local.ip, port: 4444))))
        #expect(message.attributes.contains(.alternatePort(4444)))
        let both = request([.changeRequest(address: true, port: true)])
        let refused = responder.respond(to: both, from: client, on: local, alternatePort: 4444, now: now)
        #expect(try STUNMessage(#require(refused).bytes).errorCode == 420)
    }

    @Test("RESPONSE-PORT moves the response to another port of the asker's own address, and nowhere else")
    func responsePort() throws {
        var responder = STUNResponder()
        let response = try answer(&responder, request([.responsePort(7777)]))
        #expect(response.destination == v4(203, 0, 113, 9, 7777))
        let zero = try answer(&responder, request([.responsePort(0)]))
        #expect(try STUNMessage(zero.bytes).errorCode == 400)
        #expect(zero.destination == client)
    }

    /// A request of a classic client: 20 bytes, no attribute.
    private var classic: [UInt8] { STUNMessage(.request, transaction: STUNTransactionID(high: 1, low: 2)).plainBytes }

    @Test("a response is no longer than its request, but for the reflexive address alone", arguments: [true, false])
    func amplification(isV6: Bool) throws {
        let source = isV6 ? v6(0x2600_0000_0000_0001, 9, 40_000) : client
        let here = isV6 ? v6(0x2600_0000_0000_0002, 1, 4001) : local
        var responder = STUNResponder()
        for count in 0..<100 {
            let filler = STUNAttribute.other(STUNAttribute.Code.filler, [UInt8](repeating: 0, count: count * 4))
            var message = STUNMessage(.request, transaction: STUNTransactionID(high: 1, low: UInt64(count)))
            if count > 0 { message.attributes = [filler] }
            let datagram = message.plainBytes
            let response = responder.respond(
                to: datagram, from: source, on: here, alternatePort: 9, now: now.advanced(by: .seconds(count)))
            let bytes = try #require(response).bytes
            #expect(bytes.count <= max(datagram.count, isV6 ? 44 : 32), "\(datagram.count)")
            #expect(try STUNMessage(bytes).attributes.first == .xorMappedAddress(source))
        }
        // Ours are long enough for all that there is to say.
        let whole = responder.respond(
            to: request(), from: source, on: here, alternatePort: 9, now: now.advanced(by: .seconds(200)))
        let full = try #require(whole)
        #expect(full.bytes.count <= STUNResponder.longestResponse && request().count == STUNResponder.longestResponse)
        #expect(try STUNMessage(full.bytes).attributes.count == 3)
    }

    @Test("a classic client of 20 bytes is answered, as often as one asks and no more")
    func classicClients() throws {
        var responder = STUNResponder()
        let first = try answer(&responder, classic)
        #expect(first.bytes.count == 32)
        #expect(try STUNMessage(first.bytes).attributes == [.xorMappedAddress(client)])
        let more = (0..<100).count { _ in
            responder.respond(to: classic, from: client, on: local, now: now) != nil
        }
        #expect(more == STUNResponder.longerPerSource.burst - 1)
        // Others are answered all the same, up to the limit of all.
        let others = (0..<1_000).count { host in
            let source = v4(45, 1, UInt8(host / 250), UInt8(host % 250), 9)
            return responder.respond(to: classic, from: source, on: local, now: now) != nil
        }
        #expect((100...STUNResponder.longerPerSecond).contains(others))
        // A request that is long enough takes nothing of that.
        #expect(responder.respond(to: request(), from: client, on: local, now: now) != nil)
    }

    @Test("the rate limits hold and refill with time")
    func rates() {
        var responder = STUNResponder()
        func answered(_ count: Int, _ bytes: [UInt8], at time: NetworkInstant) -> Int {
            (0..<count).count { index in
                let source = v4(45, UInt8(index / 62_500), UInt8(index / 250 % 250), UInt8(index % 250), 9)
                return responder.respond(to: bytes, from: source, on: nil, now: time) != nil
            }
        }
        var other = STUNResponder()
        let one = (0..<5_000).count { _ in other.respond(to: request(), from: client, on: nil, now: now) != nil }
        #expect(one == STUNResponder.perSource.burst)
        let redirect = request([.responsePort(10)])
        #expect(answered(200, redirect, at: now) == STUNResponder.redirectedPerSecond)
        #expect(answered(5000, request(), at: now) == STUNResponder.responsesPerSecond - 200)
        #expect(answered(5000, request(), at: now.advanced(by: .milliseconds(500))) == 1000)
        #expect(answered(5000, request(), at: now.advanced(by: .seconds(3600))) == STUNResponder.responsesPerSecond)
    }
}
