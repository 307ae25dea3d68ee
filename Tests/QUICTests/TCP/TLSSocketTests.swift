import DeP2PReactor
import Glibc
import Testing

@testable import DeP2PQUIC

/// TLS over a pair of sockets that take little: what is written comes out as it went in, whatever waits on the way.
@Suite(.serialized, .timeLimit(.minutes(1)))
@NetworkActor
struct TLSSocketTests {
    private let client: TLSSocket
    private let server: TLSSocket

    init() throws {
        var pair: [Int32] = [-1, -1]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0, &pair) == 0)
        var size: Int32 = 4_096
        setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        client = try TLSSocket(descriptor: pair[0], context: .client())
        server = try TLSSocket(descriptor: pair[1], context: .ephemeralServer())
        var (progress, steps) = ((TLSSocket.Progress.wantsRead, TLSSocket.Progress.wantsRead), 0)
        while progress != (.done, .done) {
            progress = (client.handshake(), server.handshake())
            steps += 1
            try #require(steps < 20)
        }
    }

    private func close() {
        client.close()
        server.close()
    }

    private func read() throws -> [UInt8] {
        var result: [UInt8] = []
        let room = Memory(byteCount: 16_384)
        while case .bytes(let count) = server.read(into: room.bytes) { result += room.bytes[..<count] }
        return result
    }

    @Test func whatTheSocketDoesNotTakeWaitsAndGoesFirst() throws {
        defer { close() }
        let data = pattern(1_000_000)
        var (sent, received, waited): (Int, [UInt8], Int) = (0, [], 0)
        while received.count < data.count {
            let written = data[sent...].withUnsafeBytes { client.write($0) }
            switch written {
            case .bytes(let count):
                #expect(count <= 16_384 * TLSSocket.recordsPerWrite)
                sent += count
            case .blocked(let progress): try #require(progress == .wantsWrite || sent == data.count)
            }
            #expect(client.unsent <= 16_640 * TLSSocket.recordsPerWrite)
            if client.unsent > 0 {
                waited += 1
                // Nothing is taken before it.
                #expect(data[sent...].withUnsafeBytes { client.write($0) } == .blocked(.wantsWrite))
                #expect(client.flush() == .wantsWrite)
            }
            received += try read()
        }
        #expect(received == data && waited > 0)
        #expect(client.flush() == .done && client.unsent == 0)
    }

    @Test func severalRecordsGoAtOnce() throws {
        defer { close() }
        var size: Int32 = 1_000_000
        setsockopt(client.descriptor, SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        let data = pattern(100_000)
        #expect(data.withUnsafeBytes { client.write($0) } == .bytes(65_536))
        #expect(client.unsent == 0)
        #expect(try read() == Array(data[..<65_536]))
    }

    @Test func whoIsGoneEndsIt() throws {
        server.close()
        let data = pattern(200_000)
        let written = data.withUnsafeBytes { client.write($0) }
        #expect(written == .blocked(.ended(failed: true)))
        #expect(client.flush() == .ended(failed: true))
        client.close()
    }
}
