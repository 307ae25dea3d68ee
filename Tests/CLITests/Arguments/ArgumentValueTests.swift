import DeP2PIdentity
import Testing

@testable import DeP2PCLI

@Suite struct ArgumentValueTests {
    @Test(arguments: [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("2h", 7_200_000), ("0s", 0)])
    func durations(_ text: String, _ milliseconds: Int) throws {
        #expect(try ArgumentValue.duration(Argument(text)) == .milliseconds(milliseconds))
    }

    @Test(arguments: [
        "", "5", "s", "-5s", "1.5s", "5 s", "5S", "5d", "99999999999999999999s", "9223372036854775807h", "9000h",
    ])
    func notDurations(_ text: String) {
        #expect(throws: CLIError.self) { try ArgumentValue.duration(Argument(text)) }
    }

    @Test func zeroWaitsForEver() throws {
        #expect(try ArgumentValue.timeout(Argument("0")) == nil)
        #expect(try ArgumentValue.timeout(Argument("0s")) == nil)
        #expect(try ArgumentValue.timeout(Argument("1s")) == .seconds(1))
        #expect(throws: CLIError.self) { try ArgumentValue.interval(Argument("0s")) }
    }

    @Test(arguments: [
        ("0", 0), ("1048576", 1_048_576), ("512B", 512), ("10MiB", 10_485_760), ("1KiB", 1024), ("2GB", 2_000_000_000),
        ("1kB", 1000), ("1TiB", 1_099_511_627_776),
    ])
    func sizes(_ text: String, _ bytes: Int) throws {
        #expect(try ArgumentValue.size(Argument(text)) == UInt64(bytes))
    }

    @Test(arguments: [
        "", "M", "10M", "10 MiB", "-1", "1.5GiB", "9223372036854775808", "9223372036854775807KiB", "0x10",
    ])
    func notSizes(_ text: String) {
        #expect(throws: CLIError.self) { try ArgumentValue.size(Argument(text)) }
    }

    @Test func counts() throws {
        #expect(try ArgumentValue.count(Argument("7")) == 7)
        for text in ["0", "-1", "x", "2147483648", "1.0", ""] {
            #expect(throws: CLIError.self) { try ArgumentValue.count(Argument(text)) }
        }
    }

    @Test func addressesAndTargets() throws {
        let node = IdentityKey.generate().nodeID
        let address = "/ip4/192.0.2.7/udp/4001/quic-v1/p2p/\(node)"
        #expect(try Target(Argument(address)) == .address(try Address(address)))
        #expect(try Target(Argument(address)).nodeID == node)
        #expect(try Target(Argument(node.description)) == .nodeID(node))
        #expect(try Target(Argument("192.0.2.7:4001")) == .address(try Address("/ip4/192.0.2.7/udp/4001/quic-v1")))
        #expect(try Target(Argument("[::1]:4001")) == .address(try Address("/ip6/::1/udp/4001/quic-v1")))
        #expect(try Target(Argument("example.org:1")) == .address(try Address("/dns/example.org/udp/1/quic-v1")))
        #expect(try ListenAddress(Argument(":4001")) == .anyHost(port: 4001))
        #expect(try ListenAddress(Argument("127.0.0.1:0")) == .address(try Address("/ip4/127.0.0.1/udp/0/quic-v1")))
    }

    @Test func malformedAddressesAreBadData() {
        for text in ["/ip4/300.1.1.1/udp/1/quic-v1", "::1:4001", "host:99999", ":4001", "/ip4"] {
            #expect(code { () throws(CLIError) in _ = try ArgumentValue.address(Argument(text)) } == .badAddress)
        }
        for text in ["12D3KooW", "hello", "", "12D3KooWLFK6qvRiqN54vp59mqx6FKKShmLYfrwWHwJkxaYrBDTX0"] {
            #expect(code { () throws(CLIError) in _ = try Target(Argument(text)) } == .badNodeID)
        }
        let unnamed = Argument("192.0.2.7:4001")
        #expect(code { () throws(CLIError) in _ = try ArgumentValue.peerAddress(unnamed) } == .badAddress)
    }

    private func code(_ body: () throws(CLIError) -> Void) -> CLIError.Code? {
        do {
            try body()
            return nil
        } catch {
            return error.code
        }
    }
}
