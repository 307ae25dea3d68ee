import DeP2PIdentity
import Testing

@testable import DeP2PReactor

@Suite struct SubjectTests {
    private func subject(_ text: String) throws -> Subject { Subject(try #require(IPAddress(text))) }

    @Test func anIPv6HostIsItsNetwork() throws {
        #expect(try subject("2001:db8::1") == subject("2001:db8::ffff:ffff:ffff:2"))
        #expect(try subject("2001:db8::1") != subject("2001:db8:0:1::1"))
        #expect(try subject("2001:db8::1").description == "2001:db8::/64")
    }

    @Test func anIPv4AddressIsItselfHoweverItIsWritten() throws {
        #expect(try subject("192.0.2.1") == subject("::ffff:192.0.2.1"))
        #expect(try subject("192.0.2.1") != subject("192.0.2.2"))
    }

    @Test func subnetsAreWhatOneCustomerHas() throws {
        #expect(try subject("192.0.2.1").subnet == subject("192.0.2.99").subnet)
        #expect(try subject("2001:db8:7:1::1").subnet == subject("2001:db8:7:2::1").subnet)
        #expect(try subject("2001:db8:7::1").subnet != subject("2001:db8:8::1").subnet)
        #expect(Subject.relay(1).subnet == .relay(1) && Subject.relay(1) != .relay(2))
    }
}
