import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Glibc
import Testing

@testable import DeP2PApp
@testable import DeP2PQUIC

/// Time that moves only when a test says so, and lets everything on the network thread settle in between.
@NetworkActor
private final class SteppedClock: NetworkClock {
    private var timers: [(token: TimerToken, deadline: NetworkInstant, action: @NetworkActor () -> Void)] = []
    private var nextID: UInt64 = 0
    private(set) var now = NetworkInstant(nanoseconds: 1_000_000_000)

    func schedule(at deadline: NetworkInstant, _ action: @escaping @NetworkActor () -> Void) -> TimerToken {
        nextID += 1
        timers.append((TimerToken(id: nextID), deadline, action))
        return TimerToken(id: nextID)
    }

    func cancel(_ token: TimerToken) { timers.removeAll { $0.token == token } }

    /// Half a second, then as many turns of the network thread as a frame needs from one side to the other.
    func step() async {
        now = now.advanced(by: .milliseconds(500))
        let due = timers.filter { $0.deadline <= now }
        timers.removeAll { $0.deadline <= now }
        for timer in due { timer.action() }
        for _ in 0..<50 { await networkTask {}.value }
    }

    /// Steps until `task` ends.
    func run<Value: Sendable>(_ task: Task<Value, any Error>) async -> Result<Value, any Error> {
        var result: Result<Value, any Error>?
        let waiting = networkTask { result = await task.result }
        while result == nil { await step() }
        await waiting.value
        return result ?? .failure(CancellationError())
    }
}

/// Waits of a transfer.
@Suite struct TransferTimingTests {
    private let scratch: Scratch
    private let folder: ReceiveFolder

    init() throws {
        scratch = try Scratch()
        folder = try ReceiveFolder(path: scratch.path + "/inbox")
    }

    @Test func aReceiverThatStopsReadingIsAStall() async throws {
        let source = try SendSource(paths: [scratch.file("x", Array(repeating: 1, count: 4 << 20))])
        let accept = try TransferReceiverFrame.accept(HeldPage(files: [], more: false)).encoded()
        let (error, after) = try await networkTask {
            let clock = SteppedClock()
            let (left, right) = LightStream.pair()
            let sending = networkTask {
                try await TransferSender(source: source).run(over: left, clock: clock)
            }
            try await right.write(Chunk(accept))
            var read = 0
            while read < 2 << 20, let chunk = try await right.read() { read += chunk.count }
            let started = clock.now
            // Alive, but not reading: that is no progress.
            let talking = networkTask {
                while true {
                    try await clock.sleep(for: .seconds(5))
                    try await right.write(Chunk(TransferReceiverFrame.working(waiting: 0).encoded()))
                }
            }
            defer { talking.cancel() }
            return (await clock.run(sending).error, clock.now.duration(since: started))
        }.value
        #expect(error?.code == .stalled)
        #expect(after >= .seconds(30))
    }

    /// Five minutes in which the receiver's disk or pipe takes nothing are no stall while it says that it has bytes to
    /// write: the next step is its own.
    @Test func aReceiverThatIsBusyWritingIsNoStall() async throws {
        let source = try SendSource(paths: [scratch.file("x", Array(repeating: 1, count: 4 << 20))])
        let accept = try TransferReceiverFrame.accept(HeldPage(files: [], more: false)).encoded()
        let error = try await networkTask {
            let clock = SteppedClock()
            let (left, right) = LightStream.pair()
            let sending = networkTask {
                try await TransferSender(source: source).run(over: left, clock: clock)
            }
            try await right.write(Chunk(accept))
            var read = 0
            while read < 2 << 20, let chunk = try await right.read() { read += chunk.count }
            for _ in 0..<60 {
                for _ in 0..<10 { await clock.step() }
                try await right.write(Chunk(TransferReceiverFrame.working(waiting: 8 << 20).encoded()))
            }
            let cancel = TransferReceiverFrame.cancel(TransferError(.fileAccess, "the disk failed"))
            try await right.write(Chunk(cancel.encoded()))
            return await clock.run(sending).error
        }.value
        #expect(error?.code == .fileAccess)
        #expect(error.map { "\($0)" } == "the receiver: the disk failed")
    }

    /// Who reads standard output pauses for minutes: the receiver says that it is busy, and goes on when it can.
    @Test func aConsumerThatPausesCostsNothing() async throws {
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        let (readEnd, writeEnd) = (ends[0], ends[1])
        let content = Array(repeating: UInt8(7), count: 12 << 20)
        let source = try SendSource(paths: [scratch.file("x", content)])
        let sender = try #require(testSender)
        let summaries = try await networkTask {
            let clock = SteppedClock()
            let (left, right) = LightStream.pair()
            let receiver = TransferReceiver(destination: .descriptor(writeEnd))
            let receiving = networkTask {
                defer { close(writeEnd) }
                return try await receiver.run(over: right, from: sender, clock: clock)
            }
            let sending = networkTask {
                try await TransferSender(source: source).run(over: left, clock: clock)
            }
            for _ in 0..<600 { await clock.step() }
            let consuming = Task.detached {
                var buffer = [UInt8](repeating: 0, count: 1 << 16)
                var total = 0
                while case let count = Glibc.read(readEnd, &buffer, buffer.count), count > 0 { total += count }
                return total
            }
            let received = await clock.run(receiving)
            let sent = await clock.run(sending)
            return (try received.get().bytes, try sent.get().bytes, await consuming.value)
        }.value
        close(readEnd)
        #expect(summaries.0 == 12 << 20 && summaries.1 == 12 << 20 && summaries.2 == 12 << 20)
    }

    /// The sender goes while the consumer pauses: the receiver need not wait for the consumer, and says who went.
    @Test func aSenderThatLeavesIsNotTheReceiversWish() async throws {
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        let (readEnd, writeEnd) = (ends[0], ends[1])
        defer {
            close(readEnd)
            close(writeEnd)
        }
        let source = try SendSource(paths: [scratch.file("x", Array(repeating: 7, count: 12 << 20))])
        let sender = try #require(testSender)
        let error = await networkTask {
            let clock = SystemNetworkClock.shared
            let (left, right) = LightStream.pair()
            // Before so much waits for the consumer that nothing more is read.
            let cut = CutStream(right, after: TransferLimits.writeBehind / 4 * 3)
            let receiver = TransferReceiver(destination: .descriptor(writeEnd))
            let receiving = networkTask { try await receiver.run(over: cut, from: sender, clock: clock) }
            let sending = networkTask {
                try await TransferSender(source: source).run(over: left, clock: clock)
            }
            let result = await receiving.result
            sending.cancel()
            _ = await sending.result
            return result.error
        }.value
        #expect(error?.code == .connectionLost)
    }

    /// A session's end cancels the transfer's task as well: still the connection's end, not a wish of this side.
    @Test func anEndedSessionIsNoCancellation() async throws {
        let sender = try #require(testSender)
        let entry = TransferEntry(kind: .file, path: ["x"], size: 100)
        let offer = try TransferSenderFrame.offer(
            OfferPage(entries: [entry], count: 1, totalSize: 100, more: false)
        ).encoded()
        let error = try await networkTask { [folder] in
            let (left, right) = LightStream.pair()
            let cut = CutStream(right, after: offer.count)
            let receiving = networkTask {
                try await TransferReceiver(destination: .folder(folder))
                    .run(over: cut, from: sender, clock: SystemNetworkClock.shared)
            }
            try await left.write(Chunk(offer))
            _ = try await left.read()
            try await left.write(Chunk([1]))
            receiving.cancel()
            return await receiving.result.error
        }.value
        #expect(error?.code == .connectionLost)
    }

    @Test func aSenderThatFallsSilentIsAStall() async throws {
        let sender = try #require(testSender)
        let entry = TransferEntry(kind: .file, path: ["x"], size: 100)
        let offer = try TransferSenderFrame.offer(
            OfferPage(entries: [entry], count: 1, totalSize: 100, more: false)
        ).encoded()
        let (error, after) = try await networkTask { [folder] in
            let clock = SteppedClock()
            let (left, right) = LightStream.pair()
            let receiver = TransferReceiver(destination: .folder(folder))
            let receiving = networkTask { try await receiver.run(over: right, from: sender, clock: clock) }
            try await left.write(Chunk(offer))
            _ = try await left.read()
            let started = clock.now
            let reading = networkTask { while try await left.read() != nil {} }
            defer { reading.cancel() }
            return (await clock.run(receiving).error, clock.now.duration(since: started))
        }.value
        #expect(error?.code == .stalled)
        #expect(after >= .seconds(30))
    }

    /// Five minutes of thinking about an offer are no stall: the receiver says that it is at work.
    @Test func aSlowDecisionIsNotAStall() async throws {
        let source = try SendSource(paths: [scratch.file("x", [1, 2, 3])])
        let sender = try #require(testSender)
        let summary = try await networkTask { [folder] in
            let clock = SteppedClock()
            let (asked, decided) = (Waiter<Void>(), Waiter<Void>())
            let policy = ReceivePolicy { _, _ in
                await asked.resume(returning: ())
                _ = try? await decided.value()
                return .accept
            }
            let (left, right) = LightStream.pair()
            let receiver = TransferReceiver(destination: .folder(folder), policy: policy)
            let receiving = networkTask { try await receiver.run(over: right, from: sender, clock: clock) }
            let sending = networkTask {
                try await TransferSender(source: source).run(over: left, clock: clock)
            }
            try await asked.value()
            for _ in 0..<600 { await clock.step() }
            decided.resume(returning: ())
            _ = await clock.run(receiving)
            return try await clock.run(sending).get()
        }.value
        #expect(summary.bytes == 3)
    }

    @Test func progressIsWhatTheReceiverAcknowledged() {
        var monitor = SendMonitor(
            acknowledgedBefore: 40, now: NetworkInstant(nanoseconds: 0), stall: .seconds(30), total: 1000)
        monitor.resumed = 200
        monitor.handleWrite(500, now: NetworkInstant(nanoseconds: 0))
        #expect(monitor.progress(acknowledged: 40)?.bytes == 200)
        #expect(monitor.progress(acknowledged: 140)?.bytes == 300)
        #expect(monitor.progress(acknowledged: 140) == nil)
        #expect(monitor.progress(acknowledged: 540)?.bytes == 700)
        monitor.handleWrite(400, now: NetworkInstant(nanoseconds: 0))
        #expect(monitor.progress(acknowledged: 940)?.bytes == 1000)
    }
}

extension Result {
    fileprivate var error: TransferError? {
        guard case .failure(let error) = self else { return nil }
        return error as? TransferError
    }
}
