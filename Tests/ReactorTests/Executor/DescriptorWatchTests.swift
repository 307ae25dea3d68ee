import DeP2PSimulation
import DeP2PTestSupport
import Glibc
import Testing

@testable import DeP2PReactor

@Suite(.timeLimit(.minutes(1)))
@NetworkActor
struct DescriptorWatchTests {
    /// A pipe's ends; the test closes them.
    private func makePipe() throws -> (read: Int32, write: Int32) {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        return (ends[0], ends[1])
    }

    @Test func tellsOnceATurnAsLongAsItIsReady() async throws {
        let ends = try makePipe()
        let (calls, thrice) = (Box(0), Waiter<Void>())
        let watch = DescriptorWatch(ends.read, for: .readable) { events in
            #expect(events == .readable)
            calls.value += 1
            if calls.value == 3 { thrice.resume(returning: ()) }
        }
        await settle()
        #expect(calls.value == 0)
        #expect(write(ends.write, "x", 1) == 1)
        // Nobody has read it: it is ready still.
        try await thrice.value()
        watch.cancel()
        let last = calls.value
        await settle()
        #expect(calls.value == last)
        for end in [ends.read, ends.write] { close(end) }
    }

    @Test func whatItWatchesForChanges() async throws {
        let ends = try makePipe()
        let (seen, writable) = (Box<[PollEvents]>([]), Waiter<Void>())
        let watch = DescriptorWatch(ends.write, for: []) { events in
            seen.value.append(events)
            writable.resume(returning: ())
        }
        await settle()
        #expect(seen.value.isEmpty)
        watch.change(to: .writable)
        try await writable.value()
        #expect(seen.value.first == .writable)
        watch.cancel()
        for end in [ends.read, ends.write] { close(end) }
    }
}
