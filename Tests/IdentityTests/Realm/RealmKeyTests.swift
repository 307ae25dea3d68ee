import Testing

@testable import DeP2PIdentity

@Suite struct RealmKeyTests {
    @Test func derivations() throws {
        for row in try Vectors.rows("realm.txt") {
            let key = try RealmKey(hex: row[0])
            #expect(key.id.hex == row[1])
            #expect(Hex.encode(key.derive(label: "admission")) == row[2])
            #expect(Hex.encode(key.derive(label: "a", info: [UInt8]("dmission".utf8), count: 16)) == row[3])
        }
    }

    @Test func everyLabelAndInfoIsAKeyOfItsOwn() throws {
        let key = RealmKey.generate()
        let derived = [
            key.derive(label: "admission"), key.derive(label: "records"), key.derive(label: "records", info: [1]),
            key.derive(label: "record", info: [UInt8]("s".utf8)), key.derive(label: ""), key.id.bytes,
        ]
        #expect(Set(derived).count == derived.count)
        #expect(RealmKey.generate().derive(label: "admission") != derived[0])
    }

    @Test func textForms() throws {
        let key = RealmKey.generate()
        for text in [key.hex, key.hex + "\n", key.hex + "\r\n", "  \t" + key.hex + " \n\n", key.hex.uppercased()] {
            #expect(try RealmKey(text: [UInt8](text.utf8)) == key)
        }
        #expect(try RealmKey(bytes: #require(Hex.decode(key.hex))) == key)
        #expect(RealmKey.generate() != key)
    }

    @Test func textsThatAreNoKey() {
        let digits = String(repeating: "a1", count: 32)
        let cases = [
            "", "\n", "   ", String(digits.dropLast()), digits + "0", digits.dropLast() + "g", "0x" + digits,
            digits.prefix(32) + "\n" + digits.suffix(32), digits + "\n" + digits, digits + "\0", "\u{feff}" + digits,
        ]
        for text in cases {
            #expect(throws: IdentityError(.malformedRealmKey, "")) { try RealmKey(text: [UInt8](text.utf8)) }
        }
        #expect(throws: IdentityError(.malformedRealmKey, "")) { try RealmKey(bytes: [UInt8](repeating: 0, count: 31)) }
    }

    @Test func errorsAndDescriptionsTellNoSecret() throws {
        let key = RealmKey.generate()
        var dumped = ""
        dump(key, to: &dumped)
        for text in ["\(key)", String(reflecting: key), dumped] { #expect(!text.contains(key.hex)) }
        do {
            _ = try RealmKey(hex: key.hex + "0")
            Issue.record("a long key was taken")
        } catch {
            #expect(!"\(error)".contains(key.hex.prefix(8)))
        }
    }
}
