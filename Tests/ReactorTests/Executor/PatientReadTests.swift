import Dispatch
import Testing

@testable import DeP2PReactor

@Suite(.timeLimit(.minutes(1)))
@NetworkActor
struct PatientReadTests {
    @Test func whoWaitsGetsWhatIsFound() async {
        let read = PatientRead<Int>()
        #expect(await read.value { 7 } == 7)
        #expect(await read.value { 8 } == 8)
    }

    /// A disk that stands still: nobody waits for ever, and one thread is all that it takes.
    @Test func oneReadAtATimeAndNobodyWaitsForEver() async throws {
        let read = PatientRead<Int>(patience: .milliseconds(20))
        let disk = DispatchSemaphore(value: 0)
        let found = Waiter<Int>()
        for round in 0..<3 {
            let value = await read.value(found: { found.resume(returning: $0) }) {
                disk.wait()
                return round
            }
            #expect(value == nil)
        }
        disk.signal()
        // The first of them, after all.
        #expect(try await found.value() == 0)
        #expect(await read.value { 9 } == 9)
    }

    @Test func whoIsCancelledDoesNotWait() async {
        let read = PatientRead<Int>(patience: .seconds(3_600))
        let disk = DispatchSemaphore(value: 0)
        let task = networkTask {
            await read.value {
                disk.wait()
                return 1
            }
        }
        task.cancel()
        #expect(await task.value == nil)
        disk.signal()
    }
}
