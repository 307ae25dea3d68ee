import Glibc
import Testing

@testable import DeP2PIdentity

@Suite struct IdentityFileTests {
    private let passphrase = [UInt8]("swordfish".utf8)
    private let node = "12D3KooWBYsWyhEg11Pgw2oQ5qkouQAXdRgEnqby9CZFg7y7smVi"

    @Test(arguments: ["rfc8410.pem", "rfc8410-crlf-preamble.pem", "rfc8410-attributes.pem"])
    func plainFilesOfOthers(name: String) throws {
        let key = try IdentityFile.key(pem: Vectors.contents("keys/\(name)"))
        #expect(key.nodeID.description == node)
    }

    @Test(arguments: ["openssl-pbkdf2.pem", "openssl-scrypt.pem", "openssl-pbkdf2-sha512.pem"])
    func encryptedFilesOfOpenSSL(name: String) throws {
        let pem = try Vectors.contents("keys/\(name)")
        #expect(try IdentityFile.key(pem: pem, passphrase: passphrase).nodeID.description == node)
        #expect(throws: IdentityError(.passphraseRequired, "")) { try IdentityFile.key(pem: pem) }
        #expect(throws: IdentityError(.wrongPassphrase, "")) { try IdentityFile.key(pem: pem, passphrase: [1]) }
        #expect(throws: IdentityError(.emptyPassphrase, "")) { try IdentityFile.key(pem: pem, passphrase: []) }
    }

    /// One wrong passphrase in 256 leaves good padding around noise: that must read as wrong too.
    @Test func everyWrongPassphraseIsCalledWrong() throws {
        let pem = try Vectors.contents("keys/openssl-pbkdf2.pem")
        for number in 0..<800 {
            #expect(throws: IdentityError(.wrongPassphrase, ""), "\(number)") {
                try IdentityFile.key(pem: pem, passphrase: [UInt8]("\(number)".utf8))
            }
        }
    }

    @Test(arguments: [
        "rsa.pem", "ec.pem", "x25519.pem", "ed448.pem", "rsa-traditional.pem", "rsa-encrypted.pem", "public.pem",
        "openssh.pem",
    ])
    func otherTypesOfKeyAreNamed(name: String) throws {
        let pem = try Vectors.contents("keys/\(name)")
        #expect(throws: IdentityError(.fileOfOtherKeyType, "")) {
            try IdentityFile.key(pem: pem, passphrase: passphrase)
        }
    }

    @Test func plainFormIsWhatOpenSSLWrites() throws {
        let pem = try Vectors.contents("keys/rfc8410.pem")
        #expect(try IdentityFile.pem(IdentityFile.key(pem: pem)) == pem)
    }

    @Test func openSSLReadsWhatWeWrite() throws {
        let directory = try TemporaryDirectory()
        let key = IdentityKey.generate()
        try IdentityFile.create(key, path: directory.file("plain.pem"))
        try IdentityFile.create(key, path: directory.file("sealed.pem"), passphrase: passphrase)
        let plain = try openssl("pkey", "-in", directory.file("plain.pem"), "-pubout", "-outform", "DER")
        let sealed = try openssl(
            "pkey", "-in", directory.file("sealed.pem"), "-passin", "pass:swordfish", "-pubout", "-outform", "DER")
        #expect([UInt8](plain.suffix(32)) == key.publicKey.data)
        #expect(sealed == plain)
        let algorithm = try openssl("asn1parse", "-in", directory.file("sealed.pem"))
        let text = String(decoding: algorithm, as: UTF8.self)
        #expect(text.contains("PBES2") && text.contains("scrypt") && text.contains("aes-256-cbc"))
    }

    @Test func readsWhatOpenSSLMakes() throws {
        let directory = try TemporaryDirectory()
        _ = try openssl("genpkey", "-algorithm", "ed25519", "-out", directory.file("key.pem"))
        let key = try IdentityFile.load(path: directory.file("key.pem"))
        let encoded = try openssl("pkey", "-in", directory.file("key.pem"), "-pubout", "-outform", "DER")
        #expect(key.publicKey.data == [UInt8](encoded.suffix(32)))
    }

    @Test func roundTripThroughFiles() throws {
        let directory = try TemporaryDirectory()
        let key = IdentityKey.generate()
        try IdentityFile.create(key, path: directory.file("a.pem"))
        try IdentityFile.create(key, path: directory.file("b.pem"), passphrase: passphrase)
        #expect(try IdentityFile.load(path: directory.file("a.pem")).nodeID == key.nodeID)
        #expect(try IdentityFile.load(path: directory.file("a.pem"), passphrase: passphrase).nodeID == key.nodeID)
        #expect(try IdentityFile.load(path: directory.file("b.pem"), passphrase: passphrase).nodeID == key.nodeID)
        #expect(directory.mode("a.pem") == 0o600 && directory.mode("b.pem") == 0o600)
        #expect(directory.names == ["a.pem", "b.pem"])
    }

    @Test func twoSealingsOfOneKeyDiffer() throws {
        let key = IdentityKey.generate()
        #expect(try IdentityFile.pem(key, passphrase: [1]) != IdentityFile.pem(key, passphrase: [1]))
    }

    @Test func passphrasesAreBytesWithinBounds() throws {
        let key = IdentityKey.generate()
        let binary: [UInt8] = [0, 0xff, 0x0a, 0x80]
        #expect(
            try IdentityFile.key(pem: IdentityFile.pem(key, passphrase: binary), passphrase: binary).nodeID
                == key.nodeID)
        #expect(throws: IdentityError(.wrongPassphrase, "")) {
            try IdentityFile.key(pem: IdentityFile.pem(key, passphrase: binary), passphrase: [0])
        }
        #expect(throws: IdentityError(.emptyPassphrase, "")) { try IdentityFile.pem(key, passphrase: []) }
        #expect(throws: IdentityError(.limitExceeded, "")) {
            try IdentityFile.pem(key, passphrase: [UInt8](repeating: 1, count: 1025))
        }
    }

    @Test func truncatedAtEveryByte() throws {
        for name in ["rfc8410.pem", "openssl-pbkdf2.pem"] {
            let pem = try Vectors.contents("keys/\(name)")
            // Without its last newline a file is still whole.
            for length in 0..<(pem.count - 1) {
                let expected: Set<IdentityError.Code> = [.fileCorrupt, .fileTruncated, .fileOfOtherKeyType]
                do {
                    _ = try IdentityFile.key(pem: [UInt8](pem[..<length]), passphrase: passphrase)
                    Issue.record("\(name) cut at \(length) was taken")
                } catch {
                    #expect(expected.contains(error.code), "\(name) cut at \(length): \(error)")
                }
            }
            #expect(throws: IdentityError(.fileTruncated, "")) { try IdentityFile.key(pem: [UInt8](pem[..<60])) }
        }
    }

    @Test func corruptFiles() throws {
        let pem = try Vectors.contents("keys/rfc8410.pem")
        let lines = String(decoding: pem, as: UTF8.self).split(separator: "\n").map(String.init)
        let bodies = [
            "", "!!!!", "MC4C", "AAAA", String(lines[1].dropLast(4)), lines[1] + "AAAA", "=" + lines[1],
            lines[1] + "\u{0}",
        ]
        for body in bodies {
            let text = [UInt8]("\(lines[0])\n\(body)\n\(lines[2])\n".utf8)
            #expect(throws: IdentityError(.fileCorrupt, ""), "\(body)") { try IdentityFile.key(pem: text) }
        }
        for text in ["", "hello", "-----BEGIN PRIVATE KEY----", "\u{0}\u{0}"] {
            #expect(throws: IdentityError(.fileCorrupt, "")) { try IdentityFile.key(pem: [UInt8](text.utf8)) }
        }
        let sealed = try Vectors.contents("keys/openssl-pbkdf2.pem")
        let label = String(decoding: sealed, as: UTF8.self).replacing("BEGIN ENCRYPTED", with: "BEGIN")
            .replacing("END ENCRYPTED", with: "END")
        #expect(throws: IdentityError(.fileCorrupt, "")) { try IdentityFile.key(pem: [UInt8](label.utf8)) }
    }

    @Test func hostileFiles() throws {
        let samples = try ["rfc8410.pem", "ec.pem", "rsa.pem", "x25519.pem"].map { try Vectors.contents("keys/\($0)") }
        try forEachHostileVariant(of: samples, rounds: 1000) { text in
            _ = try? IdentityFile.key(pem: text)
        }
    }
}
