import Identity
import QUIC
import TestSupport
import Testing

@testable import AppLayer

/// The machine's clock, fifty times as fast.
@NetworkActor
private final class FastClock: NetworkClock {
    private static let factor: UInt64 = 50
    private let clock = SystemNetworkClock.shared
    private let start = SystemNetworkClock.shared.now

    var now: NetworkInstant {
        NetworkInstant(nanoseconds: start.nanoseconds + (clock.now.nanoseconds - start.nanoseconds) * Self.factor)
    }

    func schedule(at deadline: NetworkInstant, _ action: @escaping @NetworkActor () -> Void) -> TimerToken {
        let delay = deadline.duration(since: start) / Int(Self.factor)
        return clock.schedule(at: start.advanced(by: delay), action)
    }

    func cancel(_ token: TimerToken) { clock.cancel(token) }
}

/// Waits of a transfer.
@Suite struct TransferTimingTests {
    private let scratch: Scratch
    private let folder: ReceiveFolder

    init() throws {
        scratch = try Scratch()
        folder = try ReceiveFolder(path: scratch.path + "/inbox")
    }

    private struct Stalled: Sendable {
        let error: TransferError?
        let after: Duration
    }

    /// A pipe whose other end is read only while `limit` lasts.
    @NetworkActor
    private static func drain(_ stream: PipeStream, limit: Int) async {
        var read = 0
        while read < limit, let chunk = try? await stream.read() { read += chunk.count }
    }

    @Test func aReceiverThatStopsReadingIsAStall() async throws {
        let source = try SendSource(paths: [scratch.file("x", Array(repeating: 1, count: 4 << 20))])
        let clock = await FastClock()
        let accept = try TransferReceiverFrame.accept(HeldPage(files: [], more: false)).encoded()
        let stalled = await Task { @NetworkActor in
            let (left, right) = PipeStream.pair()
            let started = clock.now
            let reader = Task { @NetworkActor in
                try await right.write(Chunk(accept))
                await Self.drain(right, limit: 2 << 20)
                // Alive, but not reading: that is no progress.
                while true {
                    try await clock.sleep(for: .seconds(5))
                    try await right.write(Chunk(TransferReceiverFrame.working.encoded()))
                }
            }
            defer { reader.cancel() }
            do {
                _ = try await TransferSender(source: source).run(over: left, clock: clock)
                return Stalled(error: nil, after: .zero)
            } catch {
                return Stalled(error: error as? TransferError, after: clock.now.duration(since: started))
            }
        }.value
        #expect(stalled.error?.code == .stalled)
        #expect(stalled.after >= .seconds(30))
    }

    @Test func aSenderThatFallsSilentIsAStall() async throws {
        let clock = await FastClock()
        let sender = try #require(testSender)
        let entry = TransferEntry(kind: .file, path: ["x"], size: 100)
        let offer = try TransferSenderFrame.offer(
            OfferPage(entries: [entry], count: 1, totalSize: 100, more: false)
        ).encoded()
        let stalled = try await Task { @NetworkActor [folder] in
            let (left, right) = PipeStream.pair()
            let started = clock.now
            try await left.write(Chunk(offer))
            let reader = Task { @NetworkActor in await Self.drain(left, limit: .max) }
            defer { reader.cancel() }
            let receiver = TransferReceiver(destination: .folder(folder))
            do {
                _ = try await receiver.run(over: right, from: sender, clock: clock)
                return Stalled(error: nil, after: .zero)
            } catch {
                return Stalled(error: error as? TransferError, after: clock.now.duration(since: started))
            }
        }.value
        #expect(stalled.error?.code == .stalled)
        #expect(stalled.after >= .seconds(30))
    }

    /// A minute of thinking about an offer is no stall: the receiver says that it is at work.
    @Test func aSlowDecisionIsNotAStall() async throws {
        let source = try SendSource(paths: [scratch.file("x", [1, 2, 3])])
        let clock = await FastClock()
        let sender = try #require(testSender)
        let policy = ReceivePolicy { _, _ in
            try? await clock.sleep(for: .seconds(60))
            return .accept
        }
        let summary = try await Task { @NetworkActor [folder] in
            let (left, right) = PipeStream.pair()
            let receiving = Task { @NetworkActor in
                try await TransferReceiver(destination: .folder(folder), policy: policy)
                    .run(over: right, from: sender, clock: clock)
            }
            let summary = try await TransferSender(source: source).run(over: left, clock: clock)
            _ = try await receiving.value
            return summary
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
