import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import Glibc
import Testing

@testable import DeP2PApp

@Suite struct DescriptorQueueTests {
    @Test func firstComeFirstServed() {
        var queue = DescriptorQueue(capacity: 10)
        #expect(queue.request(1, atLeast: 8, upTo: 8) == 8)
        #expect(queue.request(2, atLeast: 4, upTo: 4) == nil)
        // There is room for one that wants little, but it came later.
        #expect(queue.request(3, atLeast: 1, upTo: 1) == nil)
        #expect(queue.release(8) == [.init(id: 2, count: 4), .init(id: 3, count: 1)])
        #expect(queue.free == 5 && queue.waitingCount == 0)
    }

    @Test func halfOfWhatIsLeftStaysForOthers() {
        var queue = DescriptorQueue(capacity: 100)
        #expect(queue.request(1, atLeast: 10, upTo: 100) == 50)
        #expect(queue.request(2, atLeast: 10, upTo: 100) == 25)
        #expect(queue.request(3, atLeast: 20, upTo: 100) == 20)
        #expect(queue.request(4, atLeast: 10, upTo: 100) == nil)
    }

    @Test func moreThanThereAreInAllIsAllOfThem() {
        var queue = DescriptorQueue(capacity: 5)
        #expect(queue.request(1, atLeast: 50, upTo: 100) == 5)
    }

    /// One sender with transfers that say that they are at work, and no more.
    @Test func anOwnerLeavesAQuarterToOthers() {
        let (greedy, other) = (IdentityKey.generate().nodeID, IdentityKey.generate().nodeID)
        var queue = DescriptorQueue(capacity: 384)
        var held = 0
        for id in DescriptorQueue.ID(0)..<20 { held += queue.request(id, atLeast: 16, upTo: 272, of: greedy) ?? 0 }
        #expect(held <= 288 && queue.free >= 96 && queue.waitingCount > 0)
        // Those who wait for their own share are not in the way.
        #expect(queue.request(20, atLeast: 16, upTo: 272, of: other) == 52)
        let waiting = queue.waitingCount
        #expect(queue.release(52, of: other).isEmpty)
        #expect(queue.release(held, of: greedy).count > 0 && queue.waitingCount < waiting)
    }

    @Test func theFirstOfAnOwnerMayBeAllThereIs() {
        var queue = DescriptorQueue(capacity: 12)
        #expect(queue.request(1, atLeast: 16, upTo: 272, of: IdentityKey.generate().nodeID) == 12)
    }

    @Test func whoWithdrawsLetsTheNextPass() {
        var queue = DescriptorQueue(capacity: 4)
        #expect(queue.request(1, atLeast: 2, upTo: 2) == 2)
        #expect(queue.request(2, atLeast: 4, upTo: 4) == nil)
        #expect(queue.request(3, atLeast: 2, upTo: 2) == nil)
        #expect(queue.withdraw(2) == [.init(id: 3, count: 2)])
    }

    @Test(arguments: 1...20)
    func neverMoreThanThereAreAndEveryoneComes(seed: Int) {
        var generator = SplitMix64(seed: UInt64(seed))
        var queue = DescriptorQueue(capacity: .random(in: 1...64, using: &generator))
        var held: [DescriptorQueue.ID: Int] = [:]
        var order: [DescriptorQueue.ID] = []
        for id in DescriptorQueue.ID(1)...500 {
            let least = Int.random(in: 1...32, using: &generator)
            if let count = queue.request(id, atLeast: least, upTo: least + 16) {
                held[id] = count
                order.append(id)
            }
            while held.count > 3, let done = held.keys.randomElement(using: &generator) {
                for grant in queue.release(held.removeValue(forKey: done) ?? 0) {
                    held[grant.id] = grant.count
                    order.append(grant.id)
                }
            }
            #expect(queue.free + held.values.reduce(0, +) == queue.capacity)
        }
        while let done = held.keys.min() {
            for grant in queue.release(held.removeValue(forKey: done) ?? 0) {
                held[grant.id] = grant.count
                order.append(grant.id)
            }
        }
        #expect(order == order.sorted() && order.count == 500 && queue.free == queue.capacity)
    }
}

@Suite struct DescriptorBudgetTests {
    @Test func socketsComeFirstAndSendingHasItsOwnShare() {
        for limit in [64, 256, 1024, 4096, 1 << 20] {
            let files = min(limit / 2, DescriptorBudget.most)
            let receiving = ReceivingDescriptors(files - files / 4)
            #expect(receiving.files >= 1 && receiving.partials >= 1 && receiving.smallFiles >= 1)
            #expect(2 * (receiving.files + receiving.partials + receiving.smallFiles) + 8 <= files - files / 4)
        }
        let least = ReceivingDescriptors(ReceivingDescriptors.least)
        #expect(2 * (least.files + least.partials + least.smallFiles) + 8 <= ReceivingDescriptors.least)
    }

    @Test func whoIsCancelledWhileWaitingKeepsNothing() async throws {
        try await cancelling()
    }

    @NetworkActor private func cancelling() async throws {
        let budget = DescriptorBudget(limit: 64)
        let waiter = Waiter<Void>()
        let first = networkTask {
            try await budget.withDescriptors(for: .sending, atLeast: 8, upTo: 8) { _ in try await waiter.value() }
        }
        await Task.yield()
        let second = networkTask {
            try await budget.withDescriptors(for: .sending, atLeast: 4, upTo: 4) { _ in }
        }
        let third = networkTask {
            try await budget.withDescriptors(for: .sending, atLeast: 8, upTo: 8) { $0 }
        }
        await Task.yield()
        second.cancel()
        waiter.resume(returning: ())
        try await first.value
        _ = await second.result
        #expect(try await third.value == 8)
    }

    /// Issue 7.13: at `ulimit -n 1024` 13 of 14 parallel folders failed; at 64 one of 600 files never arrived.
    @Test func manyFoldersAtOnceShareAFewDescriptors() async throws {
        let scratch = try Scratch()
        let folder = try ReceiveFolder(path: scratch.path + "/inbox")
        let budget = await DescriptorBudget(limit: 64)
        for number in 0..<14 {
            _ = try scratch.folder("many\(number)")
            for file in 0..<50 { try scratch.file("many\(number)/\(file)", Array("\(number) \(file)".utf8)) }
        }
        let before = Scratch.names(in: "/proc/self/fd").count
        let most = Most()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<14 {
                let path = scratch.path + "/many\(number)"
                group.addTask {
                    let outcome = try await transfer(
                        try SendSource(paths: [path]), to: .folder(folder), descriptors: budget,
                        receiverEvents: { if case .stored = $0 { most.look() } })
                    #expect(try outcome.sent.get().files.count == 50)
                }
            }
            try await group.waitForAll()
        }
        let highest = await most.descriptors
        #expect(highest - before <= 32, "\(highest) descriptors, \(before) of them before")
        for number in 0..<14 { #expect(Scratch.names(in: scratch.path + "/inbox/many\(number)").count == 50) }
    }

    @NetworkActor private final class Most {
        nonisolated init() {}
        private(set) var descriptors = 0
        func look() { descriptors = max(descriptors, Scratch.names(in: "/proc/self/fd").count) }
    }
}
