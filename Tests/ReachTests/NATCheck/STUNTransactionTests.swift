import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach

@Suite struct STUNTransactionTests {
    let observer = v4(198, 51, 100, 1, 3478)
    let request = STUNMessage(.request, transaction: STUNTransactionID(high: 1, low: 2))

    /// Milliseconds at which something happens when no response ever comes.
    func schedule(_ timing: STUNTransaction.Timing) -> (sent: [UInt64], end: UInt64) {
        var transaction = STUNTransaction(request, timing: timing, now: .milliseconds(0))
        var sent: [UInt64] = [0]
        while let deadline = transaction.deadline {
            let elapsed = UInt64(deadline.duration(since: .milliseconds(0)).milliseconds)
            switch transaction.handleTimer(now: deadline) {
            case .retransmit: sent.append(elapsed)
            case .timedOut: return (sent, elapsed)
            case .wait: Issue.record("nothing was due at its own deadline")
            }
        }
        return (sent, 0)
    }

    @Test("RFC 8489 section 6.2.1: the times of its example")
    func standardTimes() {
        let (sent, end) = schedule(.standard)
        #expect(sent == [0, 500, 1500, 3500, 7500, 15500, 31500])
        #expect(end == 39500)
    }

    @Test("a user does not wait that long")
    func interactiveTimes() {
        let (sent, end) = schedule(.interactive)
        #expect(sent == [0, 200, 600, 1400])
        #expect(end == 2200)
    }

    @Test("one transmission waits once")
    func singleTransmission() {
        let once = STUNTransaction.Timing(initialTimeout: .milliseconds(100), transmissions: 1, finalFactor: 3)
        let (sent, end) = schedule(once)
        #expect(sent == [0])
        #expect(end == 300)
    }

    @Test("only its own transaction's response ends it, once")
    func matching() {
        var transaction = STUNTransaction(request, now: .milliseconds(0))
        let mapped = v4(203, 0, 113, 7, 1234)
        let later = NetworkInstant.milliseconds(42)
        let foreign = STUNMessage(
            .success, transaction: STUNTransactionID(high: 1, low: 3), attributes: [.xorMappedAddress(mapped)])
        let empty = STUNMessage(.success, transaction: request.transaction)
        #expect(transaction.handle(foreign, from: observer, now: later) == .ignore)
        #expect(transaction.handle(empty, from: observer, now: later) == .ignore)
        #expect(transaction.handle(request, from: observer, now: later) == .ignore)
        #expect(transaction.handleTimer(now: later) == .wait)

        let good = STUNMessage(.success, transaction: request.transaction, attributes: [.xorMappedAddress(mapped)])
        guard case .succeeded(let binding) = transaction.handle(good, from: observer, now: later) else {
            Issue.record("the response was not taken")
            return
        }
        #expect(binding.mapped == mapped)
        #expect(binding.source == observer)
        #expect(binding.elapsed == .milliseconds(42))
        #expect(transaction.deadline == nil)
        #expect(transaction.handle(good, from: observer, now: later) == .ignore)
    }

    @Test("an error response ends it with its code; a plain MAPPED-ADDRESS serves when there is no other")
    func errorsAndOldServers() {
        var refused = STUNTransaction(request, now: .milliseconds(0))
        let failure = STUNMessage(
            .failure, transaction: request.transaction, attributes: [.errorCode(420, reason: "")])
        #expect(refused.handle(failure, from: observer, now: .milliseconds(1)) == .failed(420))

        var old = STUNTransaction(request, now: .milliseconds(0))
        let mapped = v4(9, 9, 9, 9, 9)
        let plain = STUNMessage(.success, transaction: request.transaction, attributes: [.mappedAddress(mapped)])
        guard case .succeeded(let binding) = old.handle(plain, from: observer, now: .milliseconds(1)) else {
            Issue.record("MAPPED-ADDRESS was not taken")
            return
        }
        #expect(binding.mapped == mapped)
    }
}
