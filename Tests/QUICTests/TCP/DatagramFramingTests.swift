import DeP2PReactor
import DeP2PSimulation
import Testing

@testable import DeP2PQUIC

@Suite struct DatagramFramingTests {
    private let start = NetworkInstant(nanoseconds: 1_000_000_000)

    /// What a splitter hands on, trains taken apart, when `bytes` arrive in pieces of `sizes`; nil when it gives up.
    private func split(_ bytes: [UInt8], pieces: () -> Int) -> [[UInt8]]? {
        var splitter = DatagramSplitter()
        var found: [[UInt8]] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            var piece = Array(rest.prefix(max(1, pieces())))
            rest = rest.dropFirst(piece.count)
            let isSound = piece.withUnsafeMutableBytes { piece in
                splitter.receive(piece) { train, segment in
                    for start in stride(from: 0, to: train.count, by: segment) {
                        found.append(Array(train[start..<min(start + segment, train.count)]))
                    }
                    return true
                }
            }
            if !isSound { return nil }
        }
        return found
    }

    private func framed(_ datagrams: [[UInt8]]) -> [UInt8] {
        datagrams.flatMap { [UInt8($0.count >> 8), UInt8($0.count & 255)] + $0 }
    }

    @Test func datagramsComeOutAsTheyWentInHoweverTheStreamIsCut() {
        var random = SplitMix64(seed: 7)
        for round in 0..<300 {
            let datagrams = (0..<Int(random.next() % 12)).map { _ in
                // Lengths that repeat and first bytes that are relay frames', so that trains form.
                var bytes = pattern([40, 40, 40, 7, 1_300, 1][Int(random.next() % 6)], seed: random.next())
                if random.next() % 2 == 0 { bytes[0] = 0x10 }
                return bytes
            }
            let largest = round % 3 == 0 ? 1 : 3_000
            let result = split(framed(datagrams)) { Int(random.next() % UInt64(largest)) + 1 }
            #expect(result == datagrams)
        }
    }

    @Test func relayFramesOfOneLengthComeAsATrain() {
        let frames = (0..<5).map { [UInt8(0x10)] + pattern($0 == 4 ? 10 : 99, seed: UInt64($0)) }
        var bytes = framed(frames + [[0x40, 1, 2]])
        var trains: [(Int, Int)] = []
        var splitter = DatagramSplitter()
        let isSound = bytes.withUnsafeMutableBytes { bytes in
            splitter.receive(bytes) { train, segment in
                trains.append((train.count, segment))
                return true
            }
        }
        #expect(isSound && trains.map(\.0) == [411, 3] && trains.map(\.1) == [100, 3])
    }

    @Test(arguments: [[0, 0], [0x40, 0x01], [0xff, 0xff]] as [[UInt8]])
    func aLengthThatDoesNotOccurEndsTheStream(_ header: [UInt8]) {
        let good = framed([[1, 2, 3]])
        #expect(split(good + header + [1, 2, 3]) { 100 } == nil)
        #expect(split(good + header + [1, 2, 3]) { 1 } == nil)
    }

    @Test func whatEndsTheDeliveryEndsIt() {
        var splitter = DatagramSplitter()
        var bytes = framed([[1], [2], [3]])
        var count = 0
        let isSound = bytes.withUnsafeMutableBytes { bytes in
            splitter.receive(bytes) { _, _ in
                count += 1
                return count < 2
            }
        }
        #expect(isSound && count == 2)
    }

    /// A relay has a thousand of these, and most of them are idle.
    @Test func nothingIsKeptOfWhatIsOver() {
        var splitter = DatagramSplitter()
        var queue = DatagramQueue()
        var spare: [UInt8] = []
        for _ in 0..<3 {
            for piece in [[0x40, 0], [UInt8](repeating: 7, count: 9_000), [UInt8](repeating: 7, count: 7_384)] {
                var piece = piece
                #expect(piece.withUnsafeMutableBytes { splitter.receive($0) { _, _ in true } })
            }
            while pattern(8_181).withUnsafeBytes({ queue.append($0, now: start) }) {}
            while !queue.isEmpty { queue.drain(16_384, leaving: &spare) { $0.count } }
            #expect(splitter.memory == 0 && queue.memory == 0)
        }
    }

    @Test func randomStreamsAreSurvived() {
        var random = SplitMix64(seed: 21)
        for _ in 0..<500 {
            let bytes = pattern(Int(random.next() % 4_000), seed: random.next())
            _ = split(bytes) { Int(random.next() % 700) + 1 }
        }
    }

    @Test func theQueueGivesBackWhatItTookAndDropsTheRest() {
        var queue = DatagramQueue()
        var spare: [UInt8] = []
        let datagram = pattern(1_000)
        var taken = 0
        while datagram.withUnsafeBytes({ queue.append($0, now: start) }) { taken += 1 }
        #expect(queue.count <= DatagramQueue.limit && queue.count > DatagramQueue.limit - 1_002)
        var stream: [UInt8] = []
        while !queue.isEmpty {
            queue.drain(16_384, leaving: &spare) { bytes in
                let part = min(bytes.count, 5_000)
                stream += bytes[..<part]
                return part
            }
        }
        #expect(stream == framed([[UInt8]](repeating: datagram, count: taken)))
        #expect(datagram.withUnsafeBytes { queue.append($0, now: start) })
    }

    /// Bytes that wait when a stream that takes `rate` bytes a second is offered more all the time.
    private func backlog(rate: Int, for milliseconds: Int) -> [Int] {
        var queue = DatagramQueue()
        var spare: [UInt8] = []
        let datagram = pattern(1_200)
        return (0..<milliseconds).map { millisecond in
            let now = start.advanced(by: .milliseconds(millisecond))
            while datagram.withUnsafeBytes({ queue.append($0, now: now) }) {}
            queue.drain(rate / 1_000, leaving: &spare) { $0.count }
            return queue.count
        }
    }

    @Test func nothingWaitsLongOnASlowStream() {
        let slow = backlog(rate: 1_000_000, for: 3_000)
        // What came before the stream was known to be slow has to leave first.
        #expect(slow.dropFirst(500).allSatisfy { $0 <= 205_000 } && slow.max() ?? 0 > 250_000)
        #expect(backlog(rate: 100_000, for: 5_000).suffix(1_000).allSatisfy { $0 <= DatagramQueue.smallest })
        let fast = backlog(rate: 100_000_000, for: 2_000)
        #expect(fast.dropFirst(100).allSatisfy { $0 > 150_000 && $0 <= DatagramQueue.limit })
    }

    /// Who sends to many that read nothing fills no relay's memory.
    @Test func whereAllHoldTooMuchEachHasWhatTheSlowestHas() {
        var queue = DatagramQueue()
        while pattern(1_000).withUnsafeBytes({ queue.append($0, now: start, isScarce: true) }) {}
        #expect(queue.count <= DatagramQueue.smallest && queue.count > DatagramQueue.smallest - 1_002)
        #expect(pattern(1_000).withUnsafeBytes { queue.append($0, now: start) })
        #expect(pattern(1).withUnsafeBytes { !queue.append($0, now: start, isScarce: true) })
    }

    @Test func memoryGoesFromQueueToQueue() {
        var (first, second) = (DatagramQueue(), DatagramQueue())
        var spare: [UInt8] = []
        while pattern(8_181).withUnsafeBytes({ first.append($0, now: start) }) {}
        let memory = first.memory
        while !first.isEmpty { first.drain(65_536, leaving: &spare) { $0.count } }
        #expect(first.memory == 0 && spare.capacity == memory)
        second.begin(in: &spare)
        #expect(second.memory == memory && spare.capacity == 0)
        #expect(pattern(100).withUnsafeBytes { second.append($0, now: start) })
        // Who waits with little gives back the rest, and has kept what waits.
        second.settle(leaving: &spare)
        #expect(second.memory < 1_000 && spare.capacity == memory && spare.isEmpty)
        var stream: [UInt8] = []
        second.drain(65_536, leaving: &spare) { bytes in
            stream += bytes
            return bytes.count
        }
        #expect(stream == framed([pattern(100)]) && spare.capacity == memory)
    }

    @Test func aHeaderIsPartOfItsDatagram() {
        var queue = DatagramQueue()
        var spare: [UInt8] = []
        let (header, packet) = (pattern(9, seed: 3), pattern(1_000))
        let taken = packet.withUnsafeBytes { packet in
            header.withUnsafeBytes { queue.append(packet, after: $0, now: start) }
        }
        var stream: [UInt8] = []
        queue.drain(65_536, leaving: &spare) { bytes in
            stream += bytes
            return bytes.count
        }
        #expect(taken && stream == framed([header + packet]))
    }

    /// What the socket's side holds of a stream counts as if it were in the queue.
    @Test func whatWaitsOutsideCounts() {
        var queue = DatagramQueue()
        let waiting = 100_000
        #expect(pattern(1_000).withUnsafeBytes { queue.append($0, now: start) })
        while pattern(1_000).withUnsafeBytes({ queue.append($0, now: start, besides: waiting) }) {}
        #expect(queue.count + waiting <= DatagramQueue.limit && queue.count + waiting > DatagramQueue.limit - 1_002)
    }

    @Test func theQueueTakesNoDatagramThatTheOtherSideRefuses() {
        var queue = DatagramQueue()
        let bytes = [UInt8](repeating: 1, count: DatagramFraming.largestDatagram + 1)
        #expect(bytes.withUnsafeBytes { !queue.append($0, now: start) })
        #expect([UInt8]().withUnsafeBytes { !queue.append($0, now: start) })
        #expect(queue.isEmpty)
    }
}
