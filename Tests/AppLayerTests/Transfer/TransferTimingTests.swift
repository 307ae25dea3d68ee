import Identity
import TestSupport
import Testing

@testable import AppLayer
@testable import QUIC

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
        for _ in 0..<50 { await Task { @NetworkActor in }.value }
    }

    /// Steps until `task` ends.
    func run<Value: Sendable>(_ task: Task<Value, any Error>) async -> Result<Value, any Error> {
        var result: Result<Value, any Error>?
        let waiting = Task { @NetworkActor in result = await task.result }
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
        let (error, after) = try await Task { @NetworkActor in
            let clock = SteppedClock()
            let (left, right) = PipeStream.pair()
            let sending = Task { @NetworkActor in try await TransferSender(source: source).run(over: left, clock: clock)
            }
            try await right.write(Chunk(accept))
            var read = 0
            while read < 2 << 20, let chunk = try await right.read() { read += chunk.count }
            let started = clock.now
            // Alive, but not reading: that is no progress.
            let talking = Task { @NetworkActor in
                while true {
                    try await clock.sleep(for: .seconds(5))
                    try await right.write(Chunk(TransferReceiverFrame.working.encoded()))
                }
            }
            defer { talking.cancel() }
            return (await clock.run(sending).error, clock.now.duration(since: started))
        }.value
        #expect(error?.code == .stalled)
        #expect(after >= .seconds(30))
    }

    @Test func aSenderThatFallsSilentIsAStall() async throws {
        let sender = try #require(testSender)
        let entry = TransferEntry(kind: .file, path: ["x"], size: 100)
        let offer = try TransferSenderFrame.offer(
            OfferPage(entries: [entry], count: 1, totalSize: 100, more: false)
        ).encoded()
        let (error, after) = try await Task { @NetworkActor [folder] in
            let clock = SteppedClock()
            let (left, right) = PipeStream.pair()
            let receiver = TransferReceiver(destination: .folder(folder))
            let receiving = Task { @NetworkActor in try await receiver.run(over: right, from: sender, clock: clock) }
            try await left.write(Chunk(offer))
            _ = try await left.read()
            let started = clock.now
            let reading = Task { @NetworkActor in while try await left.read() != nil {} }
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
        let summary = try await Task { @NetworkActor [folder] in
            let clock = SteppedClock()
            let (asked, decided) = (Waiter<Void>(), Waiter<Void>())
            let policy = ReceivePolicy { _, _ in
                await asked.resume(returning: ())
                _ = try? await decided.value()
                return .accept
            }
            let (left, right) = PipeStream.pair()
            let receiver = TransferReceiver(destination: .folder(folder), policy: policy)
            let receiving = Task { @NetworkActor in try await receiver.run(over: right, from: sender, clock: clock) }
            let sending = Task { @NetworkActor in try await TransferSender(source: source).run(over: left, clock: clock)
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
