import DeP2PReactor
import Testing

@testable import DeP2PQUIC

@Suite struct BlackHoleDetectorTests {
    private func seen(_ acknowledgements: UInt64, inFlight: UInt64 = 10_000, at milliseconds: Int)
        -> BlackHoleDetector.Observation
    {
        BlackHoleDetector.Observation(
            acknowledgements: acknowledgements, bytesInFlight: inFlight, smoothedRTT: .milliseconds(40),
            now: at(milliseconds))
    }

    private func at(_ milliseconds: Int) -> NetworkInstant {
        NetworkInstant(nanoseconds: UInt64(milliseconds) * 1_000_000)
    }

    /// Two probe timeouts at a round trip of 40 ms.
    private let patience = 210

    @Test func silenceCapsTheSizeForAWhile() {
        var detector = BlackHoleDetector()
        detector.timerFired(seen(7, at: 0))  // the seven are new
        detector.timerFired(seen(7, at: 10))
        detector.timerFired(seen(7, at: 10 + patience - 1))
        #expect(detector.cap(now: at(10 + patience)) == nil)
        detector.timerFired(seen(7, at: 10 + patience))
        #expect(detector.cap(now: at(10 + patience)) == 1_200)
        #expect(detector.cap(now: at(10 + patience + 9_999)) == 1_200)
        #expect(detector.cap(now: at(10 + patience + 10_000)) == nil)
    }

    @Test func progressAndIdlenessAreNoSilence() {
        var detector = BlackHoleDetector()
        for round in 0..<100 {
            detector.timerFired(seen(UInt64(round / 3), at: round * 70))
            #expect(detector.cap(now: at(round * 70)) == nil)
        }
        for round in 100..<200 {
            detector.timerFired(seen(33, inFlight: 0, at: round * 70))
            #expect(detector.cap(now: at(round * 70)) == nil)
        }
    }

    @Test func holdsLongerEachTimeAndForgetsOnAnotherPath() {
        var detector = BlackHoleDetector()
        var now = 0
        for expected in [10, 20, 40, 80, 160, 320, 600, 600] {
            while detector.cap(now: at(now)) == nil {
                detector.timerFired(seen(0, at: now))
                now += 50
            }
            let start = now
            while detector.cap(now: at(now)) != nil { now += 50 }
            #expect((now - start + 500) / 1_000 == expected)
        }
        detector.pathChanged()
        #expect(detector.cap(now: at(now)) == nil)
    }
}
