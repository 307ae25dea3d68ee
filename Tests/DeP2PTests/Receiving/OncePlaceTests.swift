import DeP2PReactor
import Testing

@testable import DeP2P

@Suite @NetworkActor struct OncePlaceTests {
    @Test func withoutOnceThereIsRoomForEverything() async {
        let place = OncePlace(once: false)
        for _ in 0..<3 { #expect(await place.take()) }
        place.leave(filled: true)
        #expect(await place.take() && !place.isTaken)
    }

    @Test func whatBreaksOffGivesThePlaceBack() async {
        let place = OncePlace(once: true)
        #expect(await place.take())
        var second: Bool?
        let waiting = networkTask { second = await place.take() }
        for _ in 0..<20 { await Task.yield() }
        #expect(second == nil)
        place.leave(filled: false)
        await waiting.value
        #expect(second == true && place.isTaken)
    }

    @Test func whatComesWholeIsTheLast() async throws {
        let place = OncePlace(once: true)
        #expect(await place.take())
        let waiting = (0..<3).map { _ in networkTask { await place.take() } }
        let free = networkTask { try await place.waitUntilFree() }
        for _ in 0..<20 { await Task.yield() }
        place.leave(filled: true)
        for task in waiting { #expect(await task.value == false) }
        try await free.value
        #expect(await place.take() == false)
    }

    @Test func notEverybodyMayWait() async {
        let place = OncePlace(once: true)
        #expect(await place.take())
        let waiting = (0..<OncePlace.waiterLimit).map { _ in networkTask { await place.take() } }
        for _ in 0..<200 { await Task.yield() }
        #expect(await place.take() == false)
        place.leave(filled: true)
        for task in waiting { _ = await task.value }
    }

    @Test func aCancelledWaiterTakesNothing() async {
        let place = OncePlace(once: true)
        #expect(await place.take())
        let waiting = networkTask { await place.take() }
        for _ in 0..<20 { await Task.yield() }
        waiting.cancel()
        #expect(await waiting.value == false)
        place.leave(filled: false)
        #expect(await place.take())
    }
}
