import DeP2PSimulation
import DeP2PTestSupport
import Glibc
import Testing

@testable import DeP2PReactor

@Suite(.timeLimit(.minutes(1)))
@NetworkActor
struct UnixAcceptorTests {
    private let folder: TemporaryFolder
    private let path: String

    init() throws {
        folder = try TemporaryFolder()
        path = folder.path + "/socket"
    }

    private func exists() -> Bool { access(path, F_OK) == 0 }

    private func code(_ path: String) async -> SocketError.Code? {
        (await failure { _ = try UnixAcceptor(path: path) } as? SocketError)?.code
    }

    @Test func itsFileIsTheOwnersAloneAndGoesWithIt() throws {
        let acceptor = try UnixAcceptor(path: path)
        var status = stat()
        #expect(lstat(path, &status) == 0 && status.st_mode & 0o7777 == 0o600)
        acceptor.close()
        #expect(!exists())
    }

    @Test func onePathOneListener() async throws {
        let acceptor = try UnixAcceptor(path: path)
        acceptor.start { $0.close() }
        #expect(await code(path) == .cannotListen)
        #expect(exists())
        acceptor.close()
    }

    /// As a killed process leaves it: the file is there, nobody listens.
    @Test func whatWasLeftBehindIsReplaced() async throws {
        do {
            let killed = try UnixAcceptor(path: path)
            _ = killed
        }
        #expect(exists())
        let accepted = Waiter<StreamSocket>()
        let acceptor = try UnixAcceptor(path: path)
        acceptor.start { accepted.resume(returning: $0) }
        let client = try StreamSocket.connect(path: path)
        let server = try await accepted.value()
        for socket in [client, server] { socket.close() }
        acceptor.close()
    }

    @Test func filesThatAreNoSocketsStay() async throws {
        let file = try #require(fopen(path, "we"))
        fclose(file)
        #expect(await code(path) == .cannotListen)
        #expect(exists())
    }

    @Test func anotherInItsPlaceStays() throws {
        let first = try UnixAcceptor(path: path)
        #expect(unlink(path) == 0)
        let second = try UnixAcceptor(path: path)
        first.close()
        #expect(exists())
        second.close()
        #expect(!exists())
    }

    /// sockaddr_un holds 107 bytes and an end.
    @Test func longPathsAreRefused() async {
        let name = String(repeating: "a", count: 108 - folder.path.utf8.count - 1)
        #expect(await code(folder.path + "/" + name) == .cannotListen)
        #expect(await code("") == .cannotListen)
    }
}
