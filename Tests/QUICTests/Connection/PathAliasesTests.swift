import DeP2PIdentity
import DeP2PReactor
import DeP2PTestSupport
import Testing

@testable import DeP2PQUIC

@Suite struct PathAliasesTests {
    private let bound = v4(0, 0, 0, 0, 4001)
    private let bound6 = SocketAddress(.v6Any, port: 4001)

    @Test func eachPathHasAnotherOneOfNobodys() throws {
        var aliases = PathAliases()
        let remote = v4(192, 168, 1, 20, 4001)
        #expect(aliases.local(to: remote) == nil)
        let first = aliases.make(for: remote, at: bound, keeping: nil)
        let second = aliases.make(for: remote, at: bound, keeping: nil)
        #expect(first != second && first != bound && aliases.local(to: remote) == second)
        #expect(PathAliases.isAlias(first.ip) && first.port == bound.port && first.ip.family == .v4)
        let remote6 = SocketAddress(try #require(IPAddress("2001:db8::7")), port: 4001)
        let third = aliases.make(for: remote6, at: bound6, keeping: nil)
        #expect(PathAliases.isAlias(third.ip) && third.ip.family == .v6)
        aliases.forget(remote)
        #expect(aliases.local(to: remote) == nil && aliases.local(to: remote6) == third)
    }

    @Test(arguments: ["0.0.0.0", "127.0.0.1", "192.168.1.1", "255.255.255.255", "::", "::1", "fd00::1", "2001:db8::1"])
    func whatAMachineCanHaveIsNone(text: String) throws {
        #expect(!PathAliases.isAlias(try #require(IPAddress(text))))
    }

    /// The connection is on the first path, and many others are tried in vain.
    @Test func thePresentPathKeepsItsOwnWhenTheyAreMany() {
        var aliases = PathAliases()
        let present = v4(192, 168, 1, 20, 4001)
        let alias = aliases.make(for: present, at: bound, keeping: nil)
        for number in 0..<600 {
            let remote = v4(10, 0, UInt8(number / 200), UInt8(number % 200), 4001)
            let made = aliases.make(for: remote, at: bound, keeping: present)
            #expect(made != bound && made != alias && aliases.local(to: remote) == made)
        }
        #expect(aliases.local(to: present) == alias)
        let known = (0..<600).count { aliases.local(to: v4(10, 0, UInt8($0 / 200), UInt8($0 % 200), 4001)) != nil }
        #expect(known == PathAliases.limit - 1)
    }
}
