import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import FoundationEssentials
import Glibc
import SwiftProtobuf
import Testing

@testable import DeP2PApp
@testable import DeP2PWire

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
        kind: Dep2p_Transfer_Entry.Kind = .file, data: UInt64? = nil
    ) throws -> [UInt8] {
        try sender { frame in
            frame.offer = .with {
                $0.entries = [
                    .with {
                        $0.kind = kind
                        $0.path = ["x"]
                        if let size { $0.size = size }
                        if let modified { $0.modified = modified }
                        if let data { $0.dataSize = data }
                    }
                ]
                $0.count = count
                $0.totalSize = total
            }
        }
    }

    /// What a sender says, all but the first part once it was accepted, and how that may end.
    private struct Flight {
        let first: [UInt8]
        var rest: [UInt8]?
        /// No code: it succeeds.
        let codes: Set<TransferError.Code>
        var isSuccess: Bool { codes.isEmpty }

        init(_ first: [UInt8], then rest: [UInt8]? = nil, _ codes: TransferError.Code...) {
            (self.first, self.rest, self.codes) = (first, rest, Set(codes))
        }
    }

    private static func offers(_ number: UInt64) throws -> [Flight] {
        let isCount = number <= TransferLimits.fileSize
        let other: TransferError.Code = isCount ? .protocolViolation : .badOffer
        return [
            Flight(
                try offer(size: number, total: number), isCount ? .connectionLost : .badOffer,
                isCount ? .noSpace : .badOffer),
            Flight(try offer(size: number, total: 4), number == 4 ? .connectionLost : other),
            Flight(try offer(total: number), number == 4 ? .connectionLost : other),
            Flight(
                try offer(count: number), number == 1 ? .connectionLost : .badOffer,
                number == 1 ? .connectionLost : .protocolViolation),
            Flight(try offer(size: number, total: number, kind: .directory), .badOffer),
            Flight(try offer(data: number), number <= 4 ? .connectionLost : .badOffer),
        ]
    }

    /// Everything that a sender can say with `number` in one of its fields, each where it counts.
    private static func steps(_ number: UInt64) throws -> [Flight] {
        let start = try sender { $0.start = .init() }
        let (file, stream) = (try offer(), try offer(size: nil, total: 0, kind: .stream))
        let fits = (1...UInt64(TransferLimits.frame)).contains(number)
        let most = TransferLimits.fileSize
        let sparse = try offer(size: most, total: most, data: 0)
        let isRun = (TransferLimits.leastZeros...most).contains(number)
        return [
            Flight(
                file, then: try sender { frame in frame.start = .with { $0.index = number } },
                number == 0 ? .connectionLost : .protocolViolation),
            Flight(
                file, then: try sender { frame in frame.start = .with { $0.offset = number } },
                number == 0 ? .connectionLost : .protocolViolation),
            Flight(
                stream, then: try sender { frame in frame.start = .with { $0.offset = number } },
                number == 0 ? .connectionLost : .protocolViolation),
            // Of fewer than four bytes, the others are read as frames.
            Flight(
                file, then: try start + sender { $0.data = number } + [1, 2, 3, 4],
                (1...4).contains(number) ? .connectionLost : .protocolViolation, .protocolViolation),
            Flight(
                stream, then: try start + sender { $0.data = number }, fits ? .connectionLost : .protocolViolation),
            // Beyond what the disk takes, it says so.
            Flight(
                sparse, then: try start + sender { $0.zeros = number },
                isRun ? .connectionLost : .protocolViolation, isRun ? .noSpace : .protocolViolation),
            Flight(stream, then: try start + sender { $0.zeros = number }, .protocolViolation),
            Flight(file, then: try sender { frame in frame.working = .with { $0.bytes = number } }, .connectionLost),
        ]
    }

    private static func ends(_ number: UInt64) throws -> [Flight] {
        let root = Data(SHA256.hash([1, 2, 3, 4]).bytes)
        let file = try offer()
        let good = try sender { $0.start = .init() } + sender { $0.data = 4 } + [1, 2, 3, 4]
        let code = UInt32(truncatingIfNeeded: number)
        func end(_ index: UInt64, _ size: UInt64, _ isRight: Bool) throws -> Flight {
            let rest =
                try good + sender { frame in frame.end = .with { ($0.index, $0.size, $0.root) = (index, size, root) } }
            return isRight ? Flight(file, then: rest) : Flight(file, then: rest, .protocolViolation)
        }
        func failed(_ index: UInt64, _ code: UInt32) throws -> Flight {
            let rest = try sender { frame in frame.failed = .with { ($0.index, $0.code) = (index, code) } }
            return index == 0 ? Flight(file, then: rest) : Flight(file, then: rest, .protocolViolation)
        }
        return [
            try end(number, 4, number == 0), try end(0, number, number == 4), try failed(number, 9),
            try failed(0, code),
            Flight(try sender { frame in frame.cancel = .with { $0.code = code } }, .init(number: code)),
            Flight(
                try sender { frame in frame.cancel = .with { ($0.code, $0.limit, $0.available) = (3, number, number) }
                },
                .noSpace),
        ]
    }

    @Test(arguments: numbers)
    func noNumberOfASenderEndsTheReceiver(number: UInt64) async throws {
        let flights = try Self.offers(number) + Self.steps(number) + Self.ends(number)
        for (place, flight) in flights.enumerated() {
            let outcome = try await receive(
                flight.first, then: flight.rest, ending: !flight.isSuccess, into: folder)
            let text = "flight \(place) with \(number): \(outcome)"
            if flight.isSuccess {
                #expect(outcome.error == nil, "\(text)")
            } else {
                let error = try #require(outcome.error, "\(text)")
                #expect(flight.codes.contains(error.code), "\(text)")
                // An error that nobody thought of is an internal one.
                #expect(error.code != .failed || error.isFromPeer, "\(text)")
            }
        }
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
        let (left, right) = await LightStreamPair.make()
        let sender = try #require(testSender)
        let receiving = networkTask { [folder] in
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
        let reading = networkTask { while let chunk = try? await left.read() { _ = chunk } }
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
            try accept + receiver { frame in frame.refused = .with { ($0.index, $0.code) = (number, exponent) } }
                + receiver { frame in frame.done = .with { $0.files = number } },
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
            let (left, right) = await LightStreamPair.make()
            var timing = TransferTiming()
            timing.farewell = .milliseconds(20)
            let sending = networkTask { [timing] in
                try await TransferSender(source: try SendSource(paths: [path]), timing: timing)
                    .run(over: left, clock: SystemNetworkClock.shared)
            }
            let reading = networkTask { while let chunk = try? await right.read() { _ = chunk } }
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
