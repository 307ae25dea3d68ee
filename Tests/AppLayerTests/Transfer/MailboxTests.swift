import DeP2PReactor
import Testing

@testable import DeP2PApp

@Suite struct MailboxTests {
    @Test func whatIsTakenInPartsComesInOrderAndOnce() async throws {
        try await Self.check()
    }

    @NetworkActor private static func check() async throws {
        let mailbox = Mailbox<Int>()
        var (pushed, taken) = (0, [Int]())
        for round in 1...200 {
            for _ in 0..<round % 7 {
                mailbox.push(pushed, weight: 2)
                pushed += 1
            }
            guard pushed > taken.count else { continue }
            let some = try #require(try await mailbox.take(atMost: 1 + round % 5))
            taken += some
            mailbox.release(2 * some.count)
            #expect(mailbox.weight == 2 * (pushed - taken.count))
        }
        mailbox.close()
        while let rest = try await mailbox.take(atMost: 3) {
            #expect(!rest.isEmpty && rest.count <= 3)
            taken += rest
        }
        #expect(taken == Array(0..<pushed))
    }

    @Test func fewWaitForMoreUntilTheyAreFlushed() async throws {
        try await Self.checkThreshold()
    }

    @NetworkActor private static func checkThreshold() async throws {
        let mailbox = Mailbox<Int>()
        for number in 0..<4 { mailbox.push(number) }
        #expect(try await mailbox.take(atLeast: 4, atMost: 3) == [0, 1, 2])
        // One is left, which is too little, and a second is still: both come with the flush.
        mailbox.push(4)
        let rest = Waiter<[Int]?>()
        let taking = networkTask { rest.resume(returning: try await mailbox.take(atLeast: 4)) }
        await Task.yield()
        #expect(!rest.isResolved)
        mailbox.flush()
        #expect(try await rest.value() == [3, 4])
        try await taking.value
    }

    @Test func everybodyWhoWaitsForRoomIsWoken() async throws {
        try await Self.checkRoom()
    }

    @NetworkActor private static func checkRoom() async throws {
        let mailbox = Mailbox<Int>()
        mailbox.push(1, weight: 2)
        let waiting = (0..<3).map { _ in networkTask { try await mailbox.waitForRoom(below: 2) } }
        await Task.yield()
        mailbox.release(1)
        for task in waiting { try await task.value }
    }
}
