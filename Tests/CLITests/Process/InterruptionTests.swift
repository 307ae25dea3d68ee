import Glibc
import Testing

@testable import DeP2PCLI

@Suite struct InterruptionTests {
    @Test func everyWaiterHearsTheFirstWishAndTheSecondIsKnownAsSuch() async {
        let interruption = Interruption()
        async let first = interruption.wait()
        async let second = interruption.wait()
        #expect(interruption.reason == nil)
        #expect(interruption.trigger(.signal(SIGTERM)))
        #expect(!interruption.trigger(.signal(SIGINT)))
        #expect(await first == .signal(SIGTERM))
        #expect(await second == .signal(SIGTERM))
        #expect(await interruption.wait() == .signal(SIGTERM))
    }

    @Test func aWaiterThatIsCancelledHearsNothing() async {
        let interruption = Interruption()
        let waiter = Task { await interruption.wait() }
        waiter.cancel()
        #expect(await waiter.value == nil)
        #expect(interruption.trigger(.brokenPipe))
    }

    @Test func statusesOfTheReasons() {
        #expect(Interruption.Reason.signal(SIGINT).status == .interrupted)
        #expect(Interruption.Reason.signal(SIGTERM).status == .terminated)
        #expect(Interruption.Reason.brokenPipe.status == .brokenPipe)
    }
}
