import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Glibc
import Testing

@testable import DeP2PApp

/// A folder of its own for one test.
final class Scratch: Sendable {
    private let temporary: TemporaryFolder
    var path: String { temporary.path }

    init() throws { temporary = try TemporaryFolder() }

    func folder(_ name: String) throws -> String {
        let folder = path + "/" + name
        try #require(mkdir(folder, 0o700) == 0 || errno == EEXIST)
        return folder
    }

    @discardableResult
    func file(_ name: String, _ bytes: [UInt8]) throws -> String {
        let file = path + "/" + name
        try write(bytes, to: file)
        return file
    }

    static func names(in folder: String) -> [String] { TemporaryFolder.names(in: folder) }
}

func write(_ bytes: [UInt8], to path: String) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    try #require(descriptor >= 0, "\(path): \(String(cString: strerror(errno)))")
    defer { close(descriptor) }
    try Chunk(bytes).write(to: descriptor, at: 0, range: 0..<bytes.count).get()
}

func read(_ path: String) throws -> [UInt8] {
    let descriptor = open(path, O_RDONLY)
    try #require(descriptor >= 0, "\(path): \(String(cString: strerror(errno)))")
    defer { close(descriptor) }
    var status = stat()
    fstat(descriptor, &status)
    let chunk = Chunk(capacity: Int(status.st_size))
    while case .success(let count) = chunk.read(from: descriptor, at: UInt64(chunk.count)), count > 0 {}
    return chunk.array()
}

/// Counts what is read and breaks the connection after so many bytes, in both directions. With `peerHeardAt` what is read
/// came long ago, and waits a while before each piece.
@NetworkActor
final class CutStream: ByteStream {
    private let inner: LightStream
    private var remaining: Int
    private(set) var bytesRead = 0
    private(set) var isReadInBulk = false
    /// Whether the connection ends where the sender's side of the stream would.
    var closesAtTheEnd = false
    let peerHeardAt: NetworkInstant?

    init(_ inner: LightStream, after bytes: Int = .max, peerHeardAt: NetworkInstant? = nil) {
        self.inner = inner
        self.peerHeardAt = peerHeardAt
        remaining = bytes
    }

    func read() async throws -> Chunk? {
        if peerHeardAt != nil { try await SystemNetworkClock.shared.sleep(for: .milliseconds(40)) }
        guard let chunk = try await inner.read() else {
            if closesAtTheEnd { throw StreamError(.connectionClosed) }
            return nil
        }
        guard chunk.count <= remaining else {
            defer { inner.reset(0) }
            guard remaining > 0 else { throw StreamError(.connectionClosed) }
            defer { remaining = 0 }
            return Chunk(chunk.array(0..<remaining))
        }
        remaining -= chunk.count
        bytesRead += chunk.count
        return chunk
    }

    /// Whoever wants bytes waits for them: they are counted there.
    func readAvailable() -> Chunk? { nil }
    var isAtEnd: Bool { inner.isAtEnd }
    func write(_ chunk: Chunk) async throws { try await inner.write(chunk) }
    func finish() { inner.finish() }
    func reset(_ code: UInt64) { inner.reset(code) }
    func stopReading(_ code: UInt64) { inner.stopReading(code) }
    func readsInBulk() { isReadInBulk = true }
    var acknowledgedBytes: UInt64 { inner.acknowledgedBytes }
}

/// Both sides of one transfer.
struct TransferOutcome: Sendable {
    let sent: Result<TransferSummary, any Error>
    let received: Result<TransferSummary, any Error>
    let bytesOnTheWire: Int
    /// Whether the sender was granted more than any stream's.
    let wasReadInBulk: Bool

    var sendError: TransferError? { Self.error(sent) }
    var receiveError: TransferError? { Self.error(received) }

    /// Both sides tell of the same files; where they lie is the receiver's own, and it knows of each.
    func expectBothSidesAgree() throws {
        let (sent, received) = (try sent.get(), try received.get())
        var told = received
        told.files = TransferredFiles()
        for var file in received.files {
            #expect(file.location != nil)
            file.folder = nil
            told.files.append(file)
        }
        #expect(sent == told)
    }

    private static func error(_ result: Result<TransferSummary, any Error>) -> TransferError? {
        guard case .failure(let error) = result else { return nil }
        return error as? TransferError
    }
}

let testSender = try? NodeID("12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN")

extension Sender {
    /// A node that has an address to itself.
    init(_ nodeID: NodeID) {
        self.init(nodeID: nodeID, subject: .relay(UInt64(bitPattern: Int64(nodeID.hashValue))))
    }
}

@NetworkActor
func transfer(
    _ source: SendSource, to destination: TransferReceiver.Destination, policy: ReceivePolicy = ReceivePolicy(),
    from sender: NodeID? = testSender, timing: TransferTiming = TransferTiming(), cutAfter: Int = .max,
    closesAtTheEnd: Bool = false,
    descriptors: DescriptorBudget? = nil,
    senderEvents: @escaping @NetworkActor @Sendable (TransferEvent) -> Void = { _ in },
    receiverEvents: @escaping @NetworkActor @Sendable (TransferEvent) -> Void = { _ in }
) async throws -> TransferOutcome {
    let (left, right) = LightStream.pair()
    let cut = CutStream(right, after: cutAfter)
    cut.closesAtTheEnd = closesAtTheEnd
    let sender = try #require(sender)
    let clock = SystemNetworkClock.shared
    let budget = descriptors ?? .shared
    async let sent = networkTask {
        try await TransferSender(source: source, timing: timing, descriptors: budget)
            .run(over: left, clock: clock, events: senderEvents)
    }.result
    async let received = networkTask {
        let receiver = TransferReceiver(destination: destination, policy: policy, timing: timing)
        receiver.descriptors = budget
        return try await receiver.run(over: cut, from: sender, clock: clock, events: receiverEvents)
    }.result
    return TransferOutcome(
        sent: await sent, received: await received, bytesOnTheWire: cut.bytesRead, wasReadInBulk: cut.isReadInBulk)
}

/// Sends raw bytes to a receiver, `rest` of them once it has accepted, and gives back how it ended and what it
/// answered. The sending side ends at once with `ending`, otherwise when the receiver has had its last word.
@NetworkActor
func receive(
    _ bytes: [UInt8], then rest: [UInt8]? = nil, ending: Bool = false, into folder: ReceiveFolder
) async throws -> (error: TransferError?, frames: [TransferReceiverFrame]) {
    let (left, right) = LightStream.pair()
    let sender = try #require(testSender)
    var timing = TransferTiming()
    timing.farewell = .milliseconds(200)
    let receiving = networkTask {
        try await TransferReceiver(destination: .folder(folder), timing: timing)
            .run(over: right, from: sender, clock: SystemNetworkClock.shared)
    }
    let accepted = Waiter<Void>()
    let answers = networkTask {
        var splitter = FrameSplitter()
        var frames: [TransferReceiverFrame] = []
        while let chunk = try? await left.read() {
            var position = 0
            while case .frame(let bytes)? = try splitter.next(in: chunk, from: &position) {
                frames.append(try TransferReceiverFrame(message: bytes))
                switch frames[frames.count - 1] {
                case .refuse, .cancel, .done: left.finish()
                case .accept: accepted.resume(returning: ())
                case .receipt, .mismatch, .refused, .working: break
                }
            }
        }
        accepted.resume(returning: ())
        return frames
    }
    try await left.write(Chunk(bytes))
    if let rest {
        try await accepted.value()
        _ = try? await left.write(Chunk(rest))
    }
    if ending { left.finish() }
    let result = await receiving.result
    left.reset(0)
    let frames = (try? await answers.value) ?? []
    guard case .failure(let error) = result else { return (nil, frames) }
    return (error as? TransferError, frames)
}
