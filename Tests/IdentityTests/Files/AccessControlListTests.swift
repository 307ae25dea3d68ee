import Testing

@testable import DeP2PIdentity

@Suite struct AccessControlListTests {
    /// Entries as the kernel keeps them: tag, permissions, and the user or group.
    private func list(_ entries: (tag: UInt8, permissions: UInt8, id: UInt32)...) throws -> AccessControlList {
        var bytes: [UInt8] = [2, 0, 0, 0]
        for entry in entries {
            bytes += [entry.tag, 0, entry.permissions, 0]
            bytes += (0..<4).map { UInt8(truncatingIfNeeded: entry.id >> (8 * $0)) }
        }
        return try #require(AccessControlList(bytes))
    }

    private let nobody: UInt32 = 65534
    private let all = UInt32.max

    @Test func theOneNamedUserMayRead() throws {
        let list = try list((1, 4, all), (2, 4, nobody), (4, 0, all), (0x10, 4, all), (0x20, 0, all))
        #expect(!list.letsOthersRead(than: nobody, owner: 0))
        #expect(list.letsOthersRead(than: 1000, owner: 0), "another user's list")
    }

    @Test func groupsAndOthersAreOthers() throws {
        #expect(try list((1, 4, all), (4, 4, all), (0x20, 0, all)).letsOthersRead(than: 0, owner: 0))
        #expect(try list((1, 4, all), (4, 0, all), (0x20, 4, all)).letsOthersRead(than: 0, owner: 0))
        let group = try list((1, 4, all), (4, 0, all), (8, 4, 7), (0x10, 4, all), (0x20, 0, all))
        #expect(group.letsOthersRead(than: 0, owner: 0))
    }

    @Test func theMaskTakesAway() throws {
        let list = try list((1, 4, all), (2, 4, 1000), (4, 4, all), (8, 4, 7), (0x10, 0, all), (0x20, 0, all))
        #expect(!list.letsOthersRead(than: 0, owner: 0))
    }

    @Test func anythingElseIsNoList() {
        #expect(AccessControlList([]) == nil)
        #expect(AccessControlList([1, 0, 0, 0]) == nil, "another version")
        #expect(AccessControlList([2, 0, 0, 0, 1]) == nil, "an entry cut short")
    }
}
