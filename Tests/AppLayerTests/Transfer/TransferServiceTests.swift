import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Glibc
import Testing

@testable import DeP2PApp

/// Several senders at one receiving node.
@Suite struct TransferServiceTests {
    private let scratch: Scratch
    private let folder: ReceiveFolder

    init() throws {
        scratch = try Scratch()
        folder = try ReceiveFolder(path: scratch.path + "/inbox")
    }

    @NetworkActor
    private final class Log {
        var events: [(TransferEvent, IncomingTransfer)] = []
        var results: [IncomingTransfer: Result<TransferSummary, any Error>] = [:]
        let ended = Waiter<Void>()
        var wanted = Int.max

        func complete(_ result: Result<TransferSummary, any Error>, _ transfer: IncomingTransfer) {
            results[transfer] = result
            if results.count == wanted { ended.resume(returning: ()) }
        }
    }

    @NetworkActor
    private static func service(
        _ folder: ReceiveFolder, _ log: Log, limits: TransferQueueLimits, offerBytes: Int = 1 << 26,
        policy: ReceivePolicy = ReceivePolicy()
    ) -> TransferService {
        TransferService(
            destination: .folder(folder), policy: policy, limits: limits, offerBytes: offerBytes,
            clock: SystemNetworkClock.shared, events: { log.events.append(($0, $1)) },
            completion: { log.complete($0, $1) })
    }

    /// A whole transfer to `service`.
    @NetworkActor
    private static func send(_ source: SendSource, to service: TransferService, from sender: NodeID) async throws
        -> TransferSummary
    {
        let (left, right) = LightStream.pair()
        let receiving = networkTask { await service.receive(right, from: Sender(sender)) }
        let result = await networkTask {
            try await TransferSender(source: source).run(over: left, clock: SystemNetworkClock.shared)
        }.result
        await receiving.value
        return try result.get()
    }

    private func sources(_ count: Int, bytes: Int = 100_000) throws -> [SendSource] {
        try (0..<count).map {
            try SendSource(paths: [scratch.file("f\($0)", Array(repeating: UInt8($0), count: bytes))])
        }
    }

    @Test func sixtyAtOnceAllArrive() async throws {
        let sources = try sources(60)
        let names = try await networkTask { [folder] in
            let log = Log()
            let service = Self.service(folder, log, limits: TransferQueueLimits(places: 16))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for source in sources {
                    let sender = IdentityKey.generate().nodeID
                    group.addTask { _ = try await Self.send(source, to: service, from: sender) }
                }
                try await group.waitForAll()
            }
            return log.results.count
        }.value
        #expect(names == 60)
        #expect(Scratch.names(in: scratch.path + "/inbox").count == 60)
    }

    /// Two of one sender at once: each event says whose it is.
    @Test func eventsBelongToOneTransfer() async throws {
        let sources = try sources(2, bytes: 3 << 20)
        let sender = try #require(testSender)
        let log = try await networkTask { [folder] in
            let log = Log()
            let service = Self.service(folder, log, limits: TransferQueueLimits(places: 4))
            async let one = Self.send(sources[0], to: service, from: sender)
            async let two = Self.send(sources[1], to: service, from: sender)
            _ = try await (one, two)
            return log
        }.value
        try await networkTask {
            #expect(log.results.keys.allSatisfy { $0.sender == sender } && log.results.count == 2)
            var stored: [IncomingTransfer: [String]] = [:]
            for case (.stored(let file), let transfer) in log.events { stored[transfer, default: []] += file.path }
            #expect(Set(stored.values.flatMap { $0 }) == ["f0", "f1"] && stored.count == 2)
            for (transfer, result) in log.results {
                let paths = try result.get().files.map(\.path)
                #expect(paths == [stored[transfer]])
            }
        }.value
    }

    @Test func whoIsNotAdmittedIsRefusedBeforeAnythingIsRead() async throws {
        let sender = try #require(testSender)
        let (error, read) = try await networkTask { [folder] in
            let log = Log()
            let policy = ReceivePolicy(admit: { _ in .refuse(.notAllowed, "not from you") })
            let service = Self.service(folder, log, limits: TransferQueueLimits(places: 1), policy: policy)
            let (left, right) = LightStream.pair()
            let counting = CutStream(right)
            let receiving = networkTask { await service.receive(counting, from: Sender(sender)) }
            var splitter = FrameSplitter()
            var error: TransferError?
            while error == nil, let chunk = try await left.read() {
                var position = 0
                while case .frame(let bytes)? = try splitter.next(in: chunk, from: &position) {
                    if case .refuse(let refusal) = try TransferReceiverFrame(message: bytes) { error = refusal }
                }
            }
            left.finish()
            await receiving.value
            return (error, counting.bytesRead)
        }.value
        #expect(error?.code == .notAllowed && error?.message == "not from you")
        #expect(read == 0)
    }

    /// A limit says which it is, and how much.
    @Test func whereNobodyMayWaitTheLimitIsNamed() async throws {
        let sources = try sources(1)
        let sender = try #require(testSender)
        let error = await networkTask { [folder] in
            var limits = TransferQueueLimits(places: 1)
            limits.waiting = 0
            let log = Log()
            let service = Self.service(folder, log, limits: limits)
            let (silent, right) = LightStream.pair()
            let holding = networkTask { await service.receive(right, from: Sender(sender)) }
            while service.runningCount == 0 { await Task.yield() }
            var refusal: TransferError?
            do { _ = try await Self.send(sources[0], to: service, from: sender) } catch {
                refusal = error as? TransferError
            }
            silent.reset(0)
            await holding.value
            return refusal
        }.value
        #expect(error?.code == .busy)
        #expect(error.map { "\($0)" } == "the receiver: the limit of 0 waiting transfers is reached")
    }

    /// An offer that does not end is booked as it arrives, and ends at its sender's share.
    @Test func anEndlessOfferEndsAtTheSendersShare() async throws {
        let sender = try #require(testSender)
        let entries = (0..<1000).map { TransferEntry(kind: .file, path: ["file \($0)"], size: 0) }
        let page = try TransferSenderFrame.offer(
            OfferPage(entries: entries, count: TransferLimits.entries, totalSize: 0, more: true)
        ).encoded()
        let (error, sent) = await networkTask { [folder] in
            let log = Log()
            let service = Self.service(
                folder, log, limits: TransferQueueLimits(places: 4), offerBytes: 1 << 20)
            let (left, right) = LightStream.pair()
            let receiving = networkTask { await service.receive(right, from: Sender(sender)) }
            let draining = networkTask { while let chunk = try? await left.read() { _ = chunk } }
            var sent = 0
            while log.results.isEmpty, sent < 16 << 20 {
                do { try await left.write(Chunk(page)) } catch { break }
                sent += page.count
            }
            left.finish()
            await receiving.value
            draining.cancel()
            guard case .failure(let error)? = log.results.values.first else { return (nil as TransferError?, sent) }
            return (error as? TransferError, sent)
        }.value
        #expect(error?.code == .busy && error?.limit == 1 << 19)
        #expect(error?.message.contains("524288 bytes of offers") == true)
        // Who goes on after it has been told is not read on and on.
        let between = (1 << 19) + TransferLimits.farewellBytes + (await LightStream.highWaterMark)
        #expect(sent < between + 2 * page.count, "\(sent) bytes")
    }

    @Test func aFloodOfEmptyFramesIsAViolation() async throws {
        let sender = try #require(testSender)
        let offer = try TransferSenderFrame.offer(
            OfferPage(
                entries: [TransferEntry(kind: .file, path: ["x"], size: 5)], count: 1, totalSize: 5, more: false)
        ).encoded()
        let flood = try offer + (0..<5000).flatMap { _ in try TransferSenderFrame.working.encoded() }
        let error = try await networkTask { [folder] in
            let log = Log()
            let service = Self.service(folder, log, limits: TransferQueueLimits(places: 4))
            let (left, right) = LightStream.pair()
            let receiving = networkTask { await service.receive(right, from: Sender(sender)) }
            let draining = networkTask { while let chunk = try? await left.read() { _ = chunk } }
            try await left.write(Chunk(flood))
            left.finish()
            await receiving.value
            draining.cancel()
            guard case .failure(let error)? = log.results.values.first else { return nil as TransferError? }
            return error as? TransferError
        }.value
        #expect(error?.code == .protocolViolation && error?.message.contains("empty frames") == true)
    }

    /// What is nothing but frames lets others have the thread in between.
    @Test func aFloodOfSmallFramesLetsOthersRun() async throws {
        let sender = try #require(testSender)
        let entry = TransferEntry(kind: .file, path: ["x"], size: 100_000)
        let offer = try TransferSenderFrame.offer(
            OfferPage(entries: [entry], count: 1, totalSize: 100_000, more: false)
        ).encoded()
        let crumb = try TransferSenderFrame.data(1).encoded() + [7]
        let crumbs = try TransferSenderFrame.start(index: 0, offset: 0).encoded() + (0..<20_000).flatMap { _ in crumb }
        let turns = try await networkTask { [folder] in
            let log = Log()
            let service = Self.service(folder, log, limits: TransferQueueLimits(places: 4))
            let (left, right) = LightStream.pair()
            let receiving = networkTask { await service.receive(right, from: Sender(sender)) }
            try await left.write(Chunk(offer))
            _ = try await left.read()
            var turns = 0
            let other = networkTask {
                while !Task.isCancelled {
                    try await SystemNetworkClock.shared.sleep(for: .zero)
                    turns += 1
                }
            }
            let chunk = Chunk(crumbs)
            try await SystemNetworkClock.shared.sleep(for: .milliseconds(20))
            let before = turns
            _ = networkTask { try? await left.write(chunk) }
            while left.acknowledgedBytes < UInt64(offer.count + crumbs.count) { await Task.yield() }
            left.finish()
            await receiving.value
            other.cancel()
            return turns - before
        }.value
        #expect(turns >= 20_000 / 128 / 2)
    }
}
