import DeP2PIdentity
import DeP2PTestSupport
import Glibc
import Testing

@testable import DeP2PCLI

@Suite struct IdentityClaimTests {
    private let node = IdentityKey.generate().nodeID

    @Test func oneHasItAndTheNextIsToldWho() throws {
        let temporary = try TemporaryFolder()
        let folder = Array((temporary.path + "/a/state").utf8)
        do {
            let claim = try IdentityClaim.take(node, in: folder, command: "listen")
            #expect(claim != nil)
            do {
                _ = try IdentityClaim.take(node, in: folder, command: "start")
                Issue.record("taken twice")
            } catch {
                #expect(error.code == .identityInUse)
                #expect(error.message.contains("dep2p listen, process \(getpid()),"))
                #expect(error.fields == [.int("pid", getpid()), .string("holder", "listen")])
            }
            // Another identity is another claim.
            #expect(try IdentityClaim.take(IdentityKey.generate().nodeID, in: folder, command: "start") != nil)
            withExtendedLifetime(claim) {}
        }
        #expect(try IdentityClaim.take(node, in: folder, command: "start") != nil)
    }

    @Test func whereNoneCanBeMadeThereIsNone() throws {
        let sandbox = try Sandbox()
        sandbox.write("", to: "file")
        #expect(try IdentityClaim.take(node, in: nil, command: "x") == nil)
        #expect(try IdentityClaim.take(node, in: Array("\(sandbox.path)/file/below".utf8), command: "x") == nil)
    }
}
