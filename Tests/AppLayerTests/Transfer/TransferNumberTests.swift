import FoundationEssentials
import Glibc
import Identity
import QUIC
import SwiftProtobuf
import TestSupport
import Testing

@testable import AppLayer
@testable import Wire

/// The extremes of every number in every frame, and of what a file system says, down to the system calls.
///
/// A number that a peer or a disk chose ends the process where it is counted with before it is looked at: these tests
/// fail by not coming to their end.
@Suite struct TransferNumberTests {
    private let scratch: Scratch
    private let folder: ReceiveFolder

    init() throws {
        scratch = try Scratch()
        folder = try ReceiveFolder(path: scratch.path + "/inbox")
    }

    static let numbers: [UInt64] = [
        0, 1, 2, 19, 20, 51, 52, 63, 64, 255, 1 << 16, 1 << 20, (1 << 20) + 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1,
        1 << 32, 1 << 40, 1 << 51, 1 << 52, 1 << 53, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 63) + 1, .max - 1, .max,
    ]

    private static let times: [Int64] = [
        .min, .min + 1, -9_223_372_036_000_000_001, -1, 0, 1, 9_223_372_036_854_775_000, 9_223_372_036_000_000_000,
        .max,
    ]

    private static func framed(_ message: some Message) throws -> [UInt8] {
        let body: [UInt8] = try message.serializedBytes()
        return Varint.encode(UInt64(body.count)) + body
    }

    private static func sender(_ change: (inout Dep2p_Transfer_SenderFrame) -> Void) throws -> [UInt8] {
        var frame = Dep2p_Transfer_SenderFrame()
        change(&frame)
        return try framed(frame)
    }

    private static func receiver(_ change: (inout Dep2p_Transfer_ReceiverFrame) -> Void) throws -> [UInt8] {
        var frame = Dep2p_Transfer_ReceiverFrame()
        change(&frame)
        return try framed(frame)
    }

    // MARK: To a receiver

    private static func offer(
        size: UInt64? = 4, total: UInt64 = 4, count: UInt64 = 1, modified: Int64? = nil,
        kind: Dep2p_Transfer_Entry.Kind = .file
    ) throws -> [UInt8] {
        try sender { frame in
            frame.offer = .with {
                $0.entries = [
                    .with {
                        $0.kind = kind
                        $0.path = ["x"]
                        if let size { $0.size = size }
                        if let modified { $0.modified = modified }
                    }
                ]
                $0.count = count
                $0.totalSize = total
            }
        }
    }

    /// Everything that a sender can say with `number` in one of its fields, each after what makes it count.
    private static func flights(_ number: UInt64) throws -> [[UInt8]] {
        let root = Data(SHA256.hash([1, 2, 3, 4]).bytes)
        let start = try sender { $0.start = .init() }
        let data = try sender { $0.data = 4 } + [1, 2, 3, 4]
        let good = try offer() + start + data
        return [
            try offer(size: number, total: number), try offer(size: number, total: 4), try offer(total: number),
            try offer(count: number), try offer(size: number, total: number, kind: .directory),
            try offer() + sender { frame in frame.start = .with { $0.index = number } },
            try offer() + sender { frame in frame.start = .with { $0.offset = number } },
            try offer(size: nil, total: 0, kind: .stream)
                + sender { frame in frame.start = .with { $0.offset = number } },
            try offer() + start + sender { $0.data = number } + [1, 2, 3, 4],
            try offer(size: nil, total: 0, kind: .stream) + start + sender { $0.data = number },
            try good + sender { frame in frame.end = .with { ($0.index, $0.size, $0.root) = (number, 4, root) } },
            try good + sender { frame in frame.end = .with { ($0.index, $0.size, $0.root) = (0, number, root) } },
            try offer() + sender { frame in frame.failed = .with { $0.index = number } },
            try offer() + sender { frame in frame.failed = .with { $0.code = UInt32(truncatingIfNeeded: number) } },
            try sender { frame in frame.cancel = .with { $0.code = UInt32(truncatingIfNeeded: number) } },
            try sender { frame in frame.cancel = .with { ($0.code, $0.limit, $0.available) = (3, number, number) } },
            try offer() + sender { frame in frame.working = .with { $0.bytes = number } },
        ]
    }

    @NetworkActor
    private static func receive(_ bytes: [UInt8], into folder: ReceiveFolder) async throws -> TransferError? {
        let (left, right) = PipeStream.pair()
        let sender = try #require(testSender)
        var timing = TransferTiming()
        timing.farewell = .milliseconds(20)
        let receiving = Task { @NetworkActor in
            try await TransferReceiver(destination: .folder(folder), timing: timing)
                .run(over: right, from: sender, clock: SystemNetworkClock.shared)
        }
        let reading = Task { @NetworkActor in while let chunk = try? await left.read() { _ = chunk } }
        try await left.write(Chunk(bytes))
        left.finish()
        let result = await receiving.result
        reading.cancel()
        guard case .failure(let error) = result else { return nil }
        // Whatever a sender says ends in an error of the transfer's own.
        return try #require(error as? TransferError, "\(error)")
    }

    @Test(arguments: numbers)
    func noNumberOfASenderEndsTheReceiver(number: UInt64) async throws {
        // Each ends by itself, in an error of the transfer's own or in none.
        for flight in try Self.flights(number) { _ = try await Self.receive(flight, into: folder) }
    }

    /// A file with each time is stored, and has it as far as the disk can.
    @Test(arguments: times)
    func everyTimeReachesTheDisk(time: Int64) async throws {
        let content: [UInt8] = [1, 2, 3, 4]
        var tree = MerkleHasher()
        Chunk(content).withBytes { tree.update($0) }
        let root = Data(tree.root().bytes)
        let flight =
            try Self.offer(modified: time) + Self.sender { $0.start = .init() } + Self.sender { $0.data = 4 } + content
            + Self.sender { frame in frame.end = .with { ($0.size, $0.root) = (4, root) } }
        // The receiver answers the offer before it takes a file: wait for that, as a sender does.
        let (left, right) = await PipeStreamPair.make()
        let sender = try #require(testSender)
        let receiving = Task { @NetworkActor [folder] in
            try await TransferReceiver(destination: .folder(folder))
                .run(over: right, from: sender, clock: SystemNetworkClock.shared) { event in
                    // The sender ends its side once everything is stored.
                    if case .stored = event { left.finish() }
                }
        }
        let head = try Self.offer(modified: time).count
        try await left.write(Chunk(flight.prefix(head)))
        _ = try await left.read()
        try await left.write(Chunk(flight.dropFirst(head)))
        let reading = Task { @NetworkActor in while let chunk = try? await left.read() { _ = chunk } }
        defer { reading.cancel() }
        #expect(try await receiving.value.bytes == 4)
        var status = stat()
        #expect(stat(scratch.path + "/inbox/x", &status) == 0)
        if (0...4_000_000_000_000_000_000).contains(time) {
            #expect(FileTime(status.st_mtim)?.nanoseconds == time)
        }
    }

    // MARK: To a sender

    private static func answers(_ number: UInt64) throws -> [[UInt8]] {
        let root = Data(SHA256.Digest.zero.bytes)
        let accept = try receiver { $0.accept = .init() }
        let exponent = UInt32(truncatingIfNeeded: number)
        return [
            try receiver { frame in
                frame.accept = .with { $0.held = [.with { ($0.index, $0.root) = (number, root) }] }
            },
            try receiver { frame in
                frame.accept = .with { $0.held = [.with { ($0.pieceExponent, $0.pieces) = (exponent, root) }] }
            },
            try accept + receiver { frame in frame.receipt = .with { ($0.index, $0.root) = (number, root) } },
            try accept + receiver { frame in frame.mismatch = .with { ($0.index, $0.root) = (number, root) } },
            try accept + receiver { frame in frame.done = .with { $0.files = number } },
            try receiver { frame in frame.refuse = .with { ($0.code, $0.limit, $0.available) = (2, number, number) } },
            try receiver { frame in frame.cancel = .with { $0.code = exponent } },
            try receiver { frame in frame.working = .with { $0.bytes = number } }
                + receiver { frame in frame.refuse = .with { $0.code = 1 } },
        ]
    }

    @Test(arguments: numbers)
    func noNumberOfAReceiverEndsTheSender(number: UInt64) async throws {
        let path = try scratch.file("x", Array(repeating: 1, count: 3 << 20))
        for answer in try Self.answers(number) {
            let (left, right) = await PipeStreamPair.make()
            var timing = TransferTiming()
            timing.farewell = .milliseconds(20)
            let sending = Task { @NetworkActor [timing] in
                try await TransferSender(source: try SendSource(paths: [path]), timing: timing)
                    .run(over: left, clock: SystemNetworkClock.shared)
            }
            let reading = Task { @NetworkActor in while let chunk = try? await right.read() { _ = chunk } }
            try await right.write(Chunk(answer))
            await right.finish()
            await #expect(throws: TransferError.self) { try await sending.value }
            reading.cancel()
        }
    }

    // MARK: From the file system

    /// Times that no other file system has, on one that keeps them: what 64 bits of nanoseconds cannot hold is not sent.
    @Test(arguments: [
        timespec(tv_sec: 9_223_372_036, tv_nsec: 999_999_999), timespec(tv_sec: -9_223_372_037, tv_nsec: 0),
        timespec(tv_sec: 1 << 40, tv_nsec: 5), timespec(tv_sec: -(1 << 40), tv_nsec: 999_999_999),
        timespec(tv_sec: 9_223_372_036, tv_nsec: 854_775_807), timespec(tv_sec: -1, tv_nsec: 1),
    ])
    func anHonestFileWithAnOddTimeArrives(time: timespec) async throws {
        let source = "/dev/shm/dep2p-time-\(getpid())"
        try write([1, 2, 3], to: source)
        defer { unlink(source) }
        try #require(utimensat(AT_FDCWD, source, [time, time], 0) == 0)
        let outcome = try await transfer(try SendSource(paths: [source]), to: .folder(folder))
        #expect(try outcome.received.get().bytes == 3)
    }
}
