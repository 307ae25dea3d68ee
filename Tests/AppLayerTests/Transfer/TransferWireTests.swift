import DeP2PIdentity
import DeP2PQUIC
import DeP2PSimulation
import Testing

@testable import DeP2PApp

@Suite struct TransferWireTests {
    private static let root = SHA256.hash(Array("root".utf8))

    private static let senderFrames: [TransferSenderFrame] = [
        .offer(
            OfferPage(
                entries: [
                    TransferEntry(kind: .file, path: ["a", "é"], size: 0, isExecutable: true, modified: -5),
                    TransferEntry(kind: .file, path: ["b"], size: TransferLimits.fileSize),
                    TransferEntry(kind: .directory, path: ["d"], size: 0),
                    TransferEntry(kind: .stream, path: ["stdin"], size: nil),
                    TransferEntry(kind: .file, path: ["e"], size: 5, dataSize: 0),
                ], count: 5, totalSize: TransferLimits.fileSize, more: true, takesRefusals: true)),
        .start(index: TransferLimits.entries, offset: TransferLimits.fileSize), .data(1),
        .data(TransferLimits.frame), .zeros(TransferLimits.leastZeros), .zeros(TransferLimits.fileSize),
        .end(index: 3, size: TransferLimits.fileSize, root: root),
        .failed(index: 1, TransferError(.changedWhileSending, "changed")),
        .cancel(TransferError(.noSpace, "full", limit: 5, available: 4)), .working,
    ]

    private static let receiverFrames: [TransferReceiverFrame] = [
        .accept(HeldPage(files: [], more: false)), .accept(HeldPage(files: [], more: false, takesZeros: true)),
        .accept(
            HeldPage(
                files: [
                    HeldFile(index: 0, content: .pieces(exponent: 20, [root, .zero])),
                    HeldFile(index: 7, content: .whole(root)),
                ], more: true)),
        .refuse(TransferError(.tooLarge, "too large", limit: 1000)),
        .receipt(index: 0, root: root, path: ["a", "b (1)"]),
        .mismatch(index: 1, root: .zero), .refused(index: 2, TransferError(.fileAccess, "closed")), .done(files: 3),
        .cancel(TransferError(.cancelled, "")),
        .working(waiting: 0), .working(waiting: TransferLimits.fileSize),
    ]

    private static func body(_ frame: [UInt8]) throws -> [UInt8] {
        guard case .value(let length, let prefix) = Varint.decode(frame) else { return [] }
        try #require(Int(length) == frame.count - prefix)
        return Array(frame.dropFirst(prefix))
    }

    @Test(arguments: senderFrames.indices)
    func senderFramesComeBack(index: Int) throws {
        let frame = Self.senderFrames[index]
        #expect(try TransferSenderFrame(message: Self.body(frame.encoded())) == frame)
    }

    @Test(arguments: receiverFrames.indices)
    func receiverFramesComeBack(index: Int) throws {
        let frame = Self.receiverFrames[index]
        #expect(try TransferReceiverFrame(message: Self.body(frame.encoded())) == frame)
    }

    // MARK: Frames written by hand

    private static func number(_ generator: inout SplitMix64, upTo most: UInt64) -> UInt64 {
        // Of every length in bits, 0 and the most among them.
        let bits = UInt64.random(in: 0...64, using: &generator)
        return bits == 0 ? 0 : min(most, UInt64.random(in: 0 ... .max, using: &generator) >> (64 - bits))
    }

    private static func path(_ generator: inout SplitMix64) -> [String] {
        let letters = ["a", "é", "𝄞", " ", "\0"]
        return (0..<Int.random(in: 0...4, using: &generator)).map { _ in
            (0..<Int.random(in: 0...130, using: &generator)).map { _ in letters.randomElement(using: &generator) ?? "" }
                .joined()
        }
    }

    private static func page(_ generator: inout SplitMix64) -> OfferPage {
        let kinds: [TransferEntry.Kind] = [.file, .directory, .stream]
        let entries = (0..<Int.random(in: 0...4, using: &generator)).map { _ in
            let kind = kinds.randomElement(using: &generator) ?? .file
            let size = kind == .file ? number(&generator, upTo: TransferLimits.fileSize) : 0
            let modified = Int64(bitPattern: number(&generator, upTo: .max))
            let dataSize = kind == .file && Bool.random(using: &generator) ? number(&generator, upTo: size) : nil
            return TransferEntry(
                kind: kind, path: path(&generator), size: kind == .stream ? nil : size,
                isExecutable: Bool.random(using: &generator),
                modified: Bool.random(using: &generator) ? modified >> 2 : nil, dataSize: dataSize)
        }
        return OfferPage(
            entries: entries, count: Int(number(&generator, upTo: UInt64(TransferLimits.entries))),
            totalSize: number(&generator, upTo: TransferLimits.fileSize), more: Bool.random(using: &generator),
            takesRefusals: Bool.random(using: &generator))
    }

    @Test func framesOfEachFileHaveTheBytesOfTheSchema() throws {
        var generator = SplitMix64(seed: 32)
        for _ in 0..<2000 {
            let index = Int(Self.number(&generator, upTo: UInt64(TransferLimits.entries)))
            let size = Self.number(&generator, upTo: TransferLimits.fileSize)
            let root = index.isMultiple(of: 7) ? MerkleRoot.zero : SHA256.hash(Varint.encode(size))
            let frames: [TransferSenderFrame] = [
                .offer(Self.page(&generator)), .start(index: index, offset: size),
                .end(index: index, size: size, root: root),
                .data(max(1, Int(Self.number(&generator, upTo: UInt64(TransferLimits.frame))))),
            ]
            for frame in frames {
                let bytes = try frame.encodedBySchema()
                #expect(try frame.encoded() == bytes)
                let body = try Self.body(bytes)
                #expect(try TransferSenderFrame(fileFrame: body) == frame)
                #expect(try TransferSenderFrame(schema: body) == frame)
            }
            let receipt = TransferReceiverFrame.receipt(index: index, root: root, path: Self.path(&generator))
            let bytes = try receipt.encodedBySchema()
            #expect(try receipt.encoded() == bytes)
            let body = try Self.body(bytes)
            #expect(try TransferReceiverFrame(fileFrame: body) == receipt)
            #expect(try TransferReceiverFrame(schema: body) == receipt)
        }
    }

    /// Another implementation may order fields as it likes, write zeros, and have fields that are not known here.
    @Test func framesInAnotherFormAreReadAllTheSame() throws {
        let start = TransferSenderFrame.start(index: 1, offset: 2)
        for body: [UInt8] in [
            [0x12, 4, 0x10, 2, 0x08, 1], [0x12, 4, 0x08, 1, 0x10, 2, 0x78, 9], [0x12, 6, 0x08, 1, 0x10, 2, 0x78, 9],
            [0x12, 6, 0x08, 7, 0x08, 1, 0x10, 2], [0x12, 5, 0x08, 0x81, 0x00, 0x10, 2],
            [0x78, 9, 0x12, 4, 0x08, 1, 0x10, 2],
        ] {
            #expect(try TransferSenderFrame(message: body) == start, "\(body)")
        }
        #expect(try TransferSenderFrame(message: [0x12, 4, 0x08, 0, 0x10, 0]) == .start(index: 0, offset: 0))
        #expect(try TransferSenderFrame(message: [0x18, 5, 0x78, 9]) == .data(5))
        #expect(try TransferSenderFrame(message: [0x12, 2, 0x08, 1, 0x18, 5]) == .data(5))
    }

    /// What the hand reads, the schema reads as the same; damaged in every way.
    @Test func damagedFramesOfFilesReadAsTheSchemaReadsThem() throws {
        var generator = SplitMix64(seed: 33)
        let frames: [TransferSenderFrame] = [
            .start(index: 300, offset: 70_000), .data(20), .end(index: 5, size: 20, root: Self.root),
            .offer(
                OfferPage(
                    entries: [
                        TransferEntry(kind: .file, path: ["a", "é"], size: 300, isExecutable: true, modified: -5),
                        TransferEntry(kind: .file, path: ["b"], size: 300, dataSize: 20),
                        TransferEntry(kind: .directory, path: ["d"], size: 0),
                    ], count: 3, totalSize: 600, more: true, takesRefusals: true)),
        ]
        let bodies =
            try frames.map { try Self.body($0.encoded()) }
            + [try Self.body(TransferReceiverFrame.receipt(index: 9, root: Self.root, path: ["a", "é"]).encoded())]
        for _ in 0..<20_000 {
            var body = bodies.randomElement(using: &generator) ?? []
            body[Int.random(in: body.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            if Bool.random(using: &generator) { body.removeLast(Int.random(in: 0...1, using: &generator)) }
            if let frame = try? TransferSenderFrame(fileFrame: body) {
                #expect(try TransferSenderFrame(schema: body) == frame, "\(body)")
            }
            if let frame = try? TransferReceiverFrame(fileFrame: body) {
                #expect(try TransferReceiverFrame(schema: body) == frame, "\(body)")
            }
        }
    }

    @Test func limitsTravelWithTheirErrors() throws {
        let frame = TransferReceiverFrame.refuse(TransferError(.noSpace, "full", limit: 10, available: 3))
        guard case .refuse(let error) = try TransferReceiverFrame(message: Self.body(frame.encoded())) else { return }
        #expect(error.isFromPeer && error.limit == 10 && error.available == 3 && error.message == "full")
        #expect(error.speaker == .receiver && "\(error)" == "the receiver: full")
    }

    @Test func longReasonsAreCutAtACharacter() throws {
        let frame = TransferSenderFrame.cancel(TransferError(.cancelled, String(repeating: "é", count: 5000)))
        guard case .cancel(let error) = try TransferSenderFrame(message: Self.body(frame.encoded())) else { return }
        #expect(error.message == String(repeating: "é", count: TransferLimits.reasonBytes / 2))
    }

    /// Every prefix and every changed byte either reads or throws; none traps.
    @Test func damagedFramesNeverTrap() throws {
        var generator = SplitMix64(seed: 31)
        let bodies =
            try Self.senderFrames.map { try Self.body($0.encoded()) }
            + Self.receiverFrames.map { try Self.body($0.encoded()) }
        for body in bodies {
            for length in 0..<body.count {
                _ = try? TransferSenderFrame(message: Array(body.prefix(length)))
                _ = try? TransferReceiverFrame(message: Array(body.prefix(length)))
            }
            for _ in 0..<2000 {
                var damaged = body
                for _ in 0..<Int.random(in: 1...3, using: &generator) where !damaged.isEmpty {
                    damaged[Int.random(in: damaged.indices, using: &generator)] = .random(
                        in: 0...255, using: &generator)
                }
                _ = try? TransferSenderFrame(message: damaged)
                _ = try? TransferReceiverFrame(message: damaged)
            }
        }
    }

    @Test func theSplitterDoesNotCareWhereChunksEnd() throws {
        var generator = SplitMix64(seed: 32)
        let frames: [TransferSenderFrame] = [.working, .start(index: 1, offset: 70_000), .working]
        var stream: [UInt8] = []
        var payload: [UInt8] = []
        for frame in frames {
            stream += try frame.encoded()
            let data = generator.bytes(Int.random(in: 1...5000, using: &generator))
            stream += try TransferSenderFrame.data(data.count).encoded() + data
            payload += data
        }
        for _ in 0..<200 {
            var splitter = FrameSplitter()
            var (seen, data): ([TransferSenderFrame], [UInt8]) = ([], [])
            var rest = stream[...]
            while !rest.isEmpty {
                let chunk = Chunk(rest.prefix(Int.random(in: 1...700, using: &generator)))
                rest = rest.dropFirst(chunk.count)
                var position = 0
                while let piece = try splitter.next(in: chunk, from: &position) {
                    switch piece {
                    case .data(let range): data += chunk.array(range)
                    case .frame(let bytes):
                        let frame = try TransferSenderFrame(message: bytes)
                        if case .data(let length) = frame { splitter.expectData(length) } else { seen.append(frame) }
                    }
                }
            }
            #expect(seen == frames && data == payload && splitter.isBetweenFrames)
        }
    }

    @Test func theSplitterRefusesLongFramesAtOnce() {
        for prefix in [[0x81, 0x80, 0x40], [0x80, 0x80, 0x80, 0x80], [0x80, 0x00], [0xff, 0xff, 0xff, 0xff, 0x7f]]
            as [[UInt8]]
        {
            var splitter = FrameSplitter()
            var position = 0
            let chunk = Chunk(prefix + Array(repeating: 0x80, count: 12))
            #expect(throws: TransferError(.protocolViolation, "")) {
                while try splitter.next(in: chunk, from: &position) != nil {}
            }
        }
    }
}
