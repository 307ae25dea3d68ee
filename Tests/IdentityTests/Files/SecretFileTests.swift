import Glibc
import Testing

@testable import DeP2PIdentity

/// The rules for key files, seen through ``IdentityFile`` and ``RealmKey``.
@Suite struct SecretFileTests {
    private let key = IdentityKey.generate()

    private func code(_ body: () throws(IdentityError) -> Void) -> IdentityError.Code? {
        do {
            try body()
            return nil
        } catch {
            return error.code
        }
    }

    private func loadCode(_ path: String) -> IdentityError.Code? {
        code { () throws(IdentityError) in _ = try IdentityFile.load(path: path) }
    }

    @Test(arguments: [0o604, 0o640, 0o644, 0o660, 0o601, 0o620, 0o777] as [mode_t])
    func openModesAreRefusedWithTheRemedy(mode: mode_t) throws {
        let directory = try TemporaryDirectory()
        let path = try directory.put("key.pem", IdentityFile.pem(key), mode: mode)
        do {
            _ = try IdentityFile.load(path: path)
            Issue.record("mode \(String(mode, radix: 8)) was taken")
        } catch {
            #expect(error.code == .fileTooOpen)
            #expect(error.remedy == .makePrivate(path: path))
        }
    }

    @Test(arguments: [0o600, 0o400, 0o700] as [mode_t])
    func closedModesAreTaken(mode: mode_t) throws {
        let directory = try TemporaryDirectory()
        let path = try directory.put("key.pem", IdentityFile.pem(key), mode: mode)
        #expect(try IdentityFile.load(path: path).nodeID == key.nodeID)
    }

    @Test func everyKindOfWrongFileHasItsOwnError() throws {
        let directory = try TemporaryDirectory()
        try directory.put("good.pem", IdentityFile.pem(key))
        try directory.put("empty.pem", [])
        try directory.put("long.pem", [UInt8](repeating: 0x20, count: SecretFile.maximumLength + 1))
        #expect(symlink("good.pem", directory.file("link.pem")) == 0)
        #expect(symlink("nowhere", directory.file("dangling.pem")) == 0)
        #expect(mkfifo(directory.file("pipe.pem"), 0o600) == 0)
        #expect(loadCode(directory.file("none.pem")) == .fileMissing)
        #expect(loadCode(directory.file("good.pem/below")) == .fileMissing)
        #expect(loadCode("") == .fileMissing)
        #expect(loadCode(directory.file("good.pem\0hidden")) == .fileMissing)
        #expect(loadCode(directory.path) == .fileIsDirectory)
        #expect(symlink("loop.pem", directory.file("loop.pem")) == 0)
        #expect(loadCode(directory.file("link.pem")) == nil, "what counts is the file at the link's end")
        #expect(loadCode(directory.file("dangling.pem")) == .fileMissing)
        #expect(loadCode(directory.file("loop.pem")) == .fileIsSymbolicLink)
        #expect(loadCode(directory.file("pipe.pem")) == .fileNotRegular)
        #expect(loadCode("/dev/null") == .fileNotRegular)
        #expect(loadCode(directory.file("empty.pem")) == .fileEmpty)
        #expect(loadCode(directory.file("long.pem")) == .fileCorrupt)
        #expect(loadCode(directory.file("good.pem")) == nil)
    }

    @Test func existingFilesAreKept() throws {
        let directory = try TemporaryDirectory()
        let other = IdentityKey.generate()
        try IdentityFile.create(key, path: directory.file("key.pem"))
        let before = directory.contents("key.pem")
        #expect(throws: IdentityError(.fileExists, "")) {
            try IdentityFile.create(other, path: directory.file("key.pem"))
        }
        #expect(directory.contents("key.pem") == before)
        #expect(symlink("elsewhere", directory.file("link")) == 0)
        #expect(throws: IdentityError(.fileExists, "")) { try IdentityFile.create(other, path: directory.file("link")) }
        #expect(directory.names == ["key.pem", "link"], "nothing half-made stays behind")
    }

    @Test func replacingExchangesRegularFilesOnly() throws {
        let directory = try TemporaryDirectory()
        let other = IdentityKey.generate()
        try directory.put("key.pem", [1, 2, 3], mode: 0o644)
        try IdentityFile.create(other, path: directory.file("key.pem"), replace: true)
        #expect(try IdentityFile.load(path: directory.file("key.pem")).nodeID == other.nodeID)
        #expect(directory.mode("key.pem") == 0o600)
        try IdentityFile.create(other, path: directory.file("new.pem"), replace: true)
        #expect(symlink("key.pem", directory.file("link")) == 0)
        #expect(mkdir(directory.file("folder"), 0o700) == 0)
        #expect(mkfifo(directory.file("pipe"), 0o600) == 0)
        for (name, expected) in [
            ("link", IdentityError.Code.fileIsSymbolicLink), ("folder", .fileIsDirectory), ("pipe", .fileNotRegular),
        ] {
            let found = code { () throws(IdentityError) in
                try IdentityFile.create(other, path: directory.file(name), replace: true)
            }
            #expect(found == expected)
        }
        #expect(directory.names == ["folder", "key.pem", "link", "new.pem", "pipe"])
    }

    @Test func missingDirectoriesAreMadeClosed() throws {
        let directory = try TemporaryDirectory()
        try IdentityFile.create(key, path: directory.file("a/b//c/key.pem"))
        for name in ["a", "a/b", "a/b/c"] { #expect(directory.mode(name) == 0o700) }
        #expect(try IdentityFile.load(path: directory.file("a/b/c/key.pem")).nodeID == key.nodeID)
    }

    @Test func namesThatCanNotBeMade() throws {
        let directory = try TemporaryDirectory()
        try directory.put("file", [1])
        let long = String(repeating: "a", count: 300)
        for path in [
            "", directory.file("sub/"), directory.file("a\0b"), directory.file("file/key.pem"), directory.file(long),
        ] {
            let found = code { () throws(IdentityError) in try IdentityFile.create(key, path: path) }
            #expect(found == .cannotCreate, "\(path)")
        }
        #expect(directory.names == ["file"])
    }

    @Test func longestNameIsFine() throws {
        let directory = try TemporaryDirectory()
        let name = String(repeating: "a", count: 255)
        try IdentityFile.create(key, path: directory.file(name))
        #expect(directory.names == [name])
    }

    @Test func pathsNeedNotBeText() throws {
        let directory = try TemporaryDirectory()
        let path = [UInt8](directory.file("").utf8) + [0xff, 0xfe]
        try IdentityFile.create(key, path: path)
        #expect(try IdentityFile.load(path: path).nodeID == key.nodeID)
    }

    @Test func umaskDoesNotMatter() throws {
        let directory = try TemporaryDirectory()
        try IdentityFile.create(key, path: directory.file("key.pem"))
        #expect(directory.mode("key.pem") == 0o600)
    }

    @Test func realmKeyFiles() throws {
        let directory = try TemporaryDirectory()
        let realm = RealmKey.generate()
        try realm.create(path: directory.file("realm.key"))
        #expect(directory.contents("realm.key") == [UInt8]((realm.hex + "\n").utf8))
        #expect(directory.mode("realm.key") == 0o600)
        #expect(try RealmKey.load(path: directory.file("realm.key")) == realm)
        #expect(throws: IdentityError(.fileExists, "")) {
            try RealmKey.generate().create(path: directory.file("realm.key"))
        }
        let open = try directory.put("open.key", [UInt8](realm.hex.utf8), mode: 0o644)
        #expect(throws: IdentityError(.fileTooOpen, "")) { try RealmKey.load(path: open) }
        let cut = try directory.put("cut.key", [UInt8](realm.hex.utf8.dropLast()))
        do {
            _ = try RealmKey.load(path: cut)
            Issue.record("a short key was taken")
        } catch {
            #expect(error.code == .malformedRealmKey)
            #expect("\(error)".contains(cut) && !"\(error)".contains(realm.hex.prefix(8)))
        }
    }
}
