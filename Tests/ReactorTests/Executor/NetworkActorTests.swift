import DeP2PReactor
import DeP2PTestSupport
import Testing

@Suite struct NetworkActorTests {
    @Test func whatFollowsATaskRunsBeforeTheNextOne() async {
        await networkTask {
            let order = Box<[String]>([])
            let first = networkTask {
                NetworkActor.beforeWaiting { order.value.append("turn") }
                NetworkActor.afterThisTask { order.value.append("after") }
                order.value.append("first")
            }
            let second = networkTask { order.value.append("second") }
            await first.value
            await second.value
            await settle()
            #expect(order.value == ["first", "after", "second", "turn"])
        }.value
    }
}
