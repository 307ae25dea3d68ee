import DeP2PReactor
import Testing

@testable import DeP2PQUIC

struct WideDatagramsTests {
    private let start = NetworkInstant(nanoseconds: 1_000_000_000)

    /// Whether they are due after each MiB, when every one of them takes `times`' time.
    private func due(_ wide: inout WideDatagrams, from sent: UInt64, _ times: [Duration], isOverTCP: Bool = true)
        -> [Bool]
    {
        var (now, sent) = (start, sent)
        return times.map { time in
            now = now.advanced(by: time)
            sent += WideDatagrams.stretch
            wide.look(sent: sent, now: now) { isOverTCP }
            return wide.areDue
        }
    }

    @Test func aFastPathHasThemOnceItHasCarriedMuch() {
        var wide = WideDatagrams()
        let seen = due(&wide, from: 0, [Duration](repeating: .milliseconds(10), count: 20))
        #expect(seen == [Bool](repeating: false, count: 15) + [Bool](repeating: true, count: 5))
    }

    @Test func aSlowOneHasThemNot() {
        var wide = WideDatagrams()
        #expect(due(&wide, from: 0, [Duration](repeating: .milliseconds(300), count: 40)).allSatisfy { !$0 })
    }

    @Test func whatHasBecomeSlowHasThemNoMore() {
        var wide = WideDatagrams()
        let proof = [Duration](repeating: .milliseconds(10), count: 16)
        let seen = due(&wide, from: 0, proof + [.milliseconds(10), .milliseconds(400), .milliseconds(20)])
        #expect(seen.suffix(4) == [true, true, false, true])
    }

    @Test func anotherPathBeginsAnew() {
        var wide = WideDatagrams()
        _ = due(&wide, from: 0, [Duration](repeating: .milliseconds(10), count: 30))
        #expect(wide.areDue)
        let sent = 30 * WideDatagrams.stretch
        wide.pathChanged(sent: sent)
        #expect(!wide.areDue)
        let seen = due(&wide, from: sent, [Duration](repeating: .milliseconds(10), count: 17))
        #expect(seen == [Bool](repeating: false, count: 15) + [true, true])
    }

    @Test func theyAreForTCPAlone() {
        var wide = WideDatagrams()
        #expect(due(&wide, from: 0, [Duration](repeating: .zero, count: 30), isOverTCP: false).allSatisfy { !$0 })
    }
}
