import DeP2PApp
import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation
import DeP2PTestSupport
import Glibc
import Testing

@testable import DeP2P

@Suite struct NodeTransferTests {
    /// A folder that is gone at the end of the test.
    private final class Folder {
        private let temporary: TemporaryFolder
        var path: String { temporary.path }

        init() throws { temporary = try TemporaryFolder() }

        func write(_ name: String, _ bytes: [UInt8]) -> String {
            let file = "\(path)/\(name)"
            let descriptor = open(file, O_CREAT | O_WRONLY, 0o600)
            _ = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            close(descriptor)
            return file
        }

        func read(_ name: String) -> [UInt8] {
            let descriptor = open("\(path)/\(name)", O_RDONLY)
            guard descriptor >= 0 else { return [] }
            defer { close(descriptor) }
            var bytes = [UInt8](repeating: 0, count: 8 << 20)
            let count = bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
            return Array(bytes.prefix(max(count, 0)))
        }
    }

    private func node(_ key: RealmKey) async throws -> Node {
        var configuration = NodeConfiguration()
        configuration.listen = [SocketAddress(.v4Loopback, port: 0)]
        let node = try await Node.start(configuration)
        try await node.join(key)
        return node
    }

    @Test func aFileArrivesWhole() async throws {
        let key = RealmKey.generate()
        let (source, inbox) = (try Folder(), try Folder())
        let content = SecureRandom.bytes(3_000_000)
        let file = source.write("disk.img", content)
        let (left, right) = (try await node(key), try await node(key))
        let folder = try ReceiveFolder(path: inbox.path)
        await right.receiveTransfers(to: .folder(folder))
        let summary = try await left.send(files: [file], to: DialTarget(addresses: right.addresses))
        #expect(summary.files.count == 1 && summary.failed.isEmpty)
        #expect(inbox.read("disk.img") == content)
        await left.stop()
        await right.stop()
    }

    /// Neither waits for the other's last word, nor takes its absence for a failure.
    @Test func aSenderThatStopsAtOnceHasSent() async throws {
        let key = RealmKey.generate()
        let (source, inbox) = (try Folder(), try Folder())
        let file = source.write("x", [1, 2, 3])
        let right = try await node(key)
        let folder = try ReceiveFolder(path: inbox.path)
        let ends = await Waiter<Bool>()
        await right.receiveTransfers(
            to: .folder(folder),
            completion: { result, _ in
                ends.resume(returning: (try? result.get()) != nil)
            })
        let left = try await node(key)
        try await left.send(files: [file], to: DialTarget(addresses: right.addresses))
        await left.stop(grace: .zero)
        #expect(try await ends.value())
        await right.stop()
    }

    @Test func aNodeThatTakesNoTransfersSaysSo() async throws {
        let key = RealmKey.generate()
        let source = try Folder()
        let file = source.write("x", [1, 2, 3])
        let (left, right) = (try await node(key), try await node(key))
        do {
            try await left.send(files: [file], to: DialTarget(addresses: right.addresses))
            Issue.record("nobody took the file")
        } catch {
            #expect(error.code != .internalError, "\(error)")
        }
        await left.stop()
        await right.stop()
    }

    @Test func aMissingFileIsNotSent() async throws {
        let node = try await node(.generate())
        await #expect(throws: DeP2PError(DeP2PError.Code(rawValue: "notFound"), "")) {
            try await node.send(files: ["/nonexistent/file"], to: DialTarget(addresses: node.addresses))
        }
        await node.stop()
    }
}
