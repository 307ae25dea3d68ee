import DeP2PIdentity
import Testing

@testable import DeP2PHTTP

@Suite struct LocalAddressTests {
    @Test func loopbackAndPathsAreTaken() throws {
        #expect(try LocalAddress("127.0.0.1:9300") == .tcp(.v4Loopback, port: 9_300))
        #expect(try LocalAddress("localhost:0") == .tcp(.v4Loopback, port: 0))
        #expect(try LocalAddress("[::1]:80") == .tcp(.v6Loopback, port: 80))
        #expect(try LocalAddress("127.9.9.9:1").description == "http://127.9.9.9:1/")
        #expect(try LocalAddress("[::1]:80").description == "http://[::1]:80/")
        #expect(try LocalAddress("/run/user/1000/dep2p.sock") == .unix(path: "/run/user/1000/dep2p.sock"))
        #expect(try LocalAddress("./s").description == "./s")
        #expect(try LocalAddress("unix:s") == .unix(path: "s") && LocalAddress("unix:/run/s") == .unix(path: "/run/s"))
    }

    @Test(arguments: [
        "", ":9300", "9300", "0.0.0.0:9300", "[::]:9300", "192.0.2.1:9300", "[fe80::1%lo]:9300", "[::ffff:127.0.0.1]:1",
        "example.org:9300", "localhost.example:1", "127.0.0.1", "127.0.0.1:65536", "dep2p.sock", "::1:9300", "unix:",
    ])
    func othersAreNot(text: String) {
        #expect(throws: HTTPError.self) { try LocalAddress(text) }
    }

    @Test func aPathFitsIntoASocketsAddress() throws {
        let longest = "/" + String(repeating: "x", count: LocalAddress.pathLimit - 1)
        #expect(try LocalAddress(longest) == .unix(path: longest))
        #expect(throws: HTTPError.self) { try LocalAddress(longest + "x") }
        #expect(throws: HTTPError.self) { try LocalAddress("/a\u{0}b") }
    }
}
