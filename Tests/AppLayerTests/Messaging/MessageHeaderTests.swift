import DeP2PQUIC
import DeP2PSimulation
import DeP2PWire
import SwiftProtobuf
import Testing

@testable import DeP2PApp

@Suite struct MessageHeaderTests {
    private static let sizes: [UInt64] = [0, 1, 127, 128, 300, 1_024, 1 << 32, .max]

    private func protobuf(_ header: some SwiftProtobuf.Message) throws -> [UInt8] {
        let bytes: [UInt8] = try header.serializedBytes()
        return Frame.encode(bytes)
    }

    // MARK: Written

    @Test(arguments: ["", "a", "message", "ü", String(repeating: "n", count: 127), String(repeating: "n", count: 256)])
    func requestsAreWrittenAsProtobufWritesThem(_ name: String) throws {
        for size in Self.sizes {
            var header = RequestHeader(protocolName: name, bodySize: 0)
            header.bodySize = size
            #expect(header.frame == (try protobuf(header)))
        }
    }

    @Test(arguments: ReplyHeader.Status.allCases)
    func repliesAreWrittenAsProtobufWritesThem(_ status: ReplyHeader.Status) throws {
        for size in Self.sizes {
            for detail in ["", "out of paper", String(repeating: "d", count: ReplyHeader.detailLimit)] {
                var header = ReplyHeader(status, detail: detail, limit: size)
                header.bodySize = size
                #expect(header.frame == (try protobuf(header)))
            }
        }
    }

    // MARK: Read

    @Test func whatCameWholeIsRead() throws {
        for name in ["a", "message", String(repeating: "n", count: 127)] {
            for size in [0, 1, 200, 1_024] {
                let body = [UInt8](repeating: 7, count: size)
                let chunk = Chunk(RequestHeader(protocolName: name, bodySize: size).frame + body)
                let (header, start) = try #require(RequestHeader.whole(in: chunk))
                #expect(header == RequestHeader(protocolName: name, bodySize: size))
                #expect(chunk.array(start..<chunk.count) == body)
            }
        }
        for header in [ReplyHeader(.receipt), ReplyHeader(.reply), ReplyHeader(.reply, bodySize: 900)] {
            let body = [UInt8](repeating: 7, count: Int(header.bodySize))
            let (read, start) = try #require(ReplyHeader.whole(in: Chunk(header.frame + body)))
            #expect(read == header && start == header.frame.count)
        }
    }

    @Test func everythingElseIsLeftToProtobuf() {
        let request = RequestHeader(protocolName: "message", bodySize: 3).frame
        for bytes in [
            [], request, request + [1, 2], request + [1, 2, 3, 4], [0x80, 0x00], [0xff, 0xff], [0x7f, 0x0a, 0x7d],
            RequestHeader(protocolName: "", bodySize: 0).frame, RequestHeader(protocolName: "a b", bodySize: 0).frame,
            RequestHeader(protocolName: "ü", bodySize: 0).frame,
            RequestHeader(protocolName: String(repeating: "n", count: 128), bodySize: 0).frame,
            // A field twice, one that is not known, and a number that does not end.
            Frame.encode([0x0a, 1, 0x61, 0x0a, 1, 0x62]), Frame.encode([0x0a, 1, 0x61, 0x18, 1]),
            Frame.encode([0x0a, 1, 0x61, 0x10] + [UInt8](repeating: 0xff, count: 10)),
        ] {
            #expect(RequestHeader.whole(in: Chunk(bytes)) == nil)
        }
        for header in [ReplyHeader(.busy), ReplyHeader(.unspecified), ReplyHeader(.reply, bodySize: 1)] {
            #expect(ReplyHeader.whole(in: Chunk(header.frame)) == nil)
        }
        #expect(ReplyHeader.whole(in: Chunk(ReplyHeader(.receipt, detail: "x").frame)) == nil)
    }

    /// Of whatever comes, what is read by hand is what protobuf reads.
    @Test(arguments: 0..<20)
    func bothReadTheSame(_ seed: Int) throws {
        var random = SplitMix64(seed: UInt64(seed))
        for _ in 0..<2_000 {
            let header = RequestHeader(protocolName: "abc", bodySize: Int(random.next() % 3))
            var bytes = header.frame + random.bytes(upTo: 3)
            for _ in 0..<random.next() % 3 {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            guard let (header, start) = RequestHeader.whole(in: Chunk(bytes)) else { continue }
            #expect(try RequestHeader(serializedBytes: Array(bytes[1..<start])) == header)
        }
    }
}
