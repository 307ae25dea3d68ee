import DeP2PIdentity
import Testing

@testable import DeP2PCLI

@Suite struct NameBookTests {
    private static let node = IdentityKey.generate().nodeID
    private static let bare = "/ip4/192.0.2.7/udp/4001/quic-v1"
    private static let whole = "\(bare)/p2p/\(node)"

    private func book(_ texts: String...) throws -> NameBook {
        try NameBook(
            texts.enumerated().map { index, text in
                try ConfigurationFile(
                    path: Array("/file\(index)".utf8), content: Array(text.utf8), keys: .init(CommandTable.settings))
            })
    }

    @Test func aNameStandsForANodeIDOrAnAddress() throws {
        let book = try book("name.id = \(Self.node)\nname.Web_1-a = \(Self.whole)\nname.bare = 192.0.2.7:4001\n")
        #expect(try book.target(Argument("id")) == .nodeID(Self.node))
        #expect(try book.target(Argument("Web_1-a")) == .address(try Address(Self.whole)))
        #expect(try book.target(Argument("bare")) == .address(try Address(Self.bare)))
        #expect(try book.nodeID(Argument("id")) == Self.node)
        #expect(try book.nodeID(Argument("Web_1-a")) == Self.node)
        #expect(try book.peerAddress(Argument("Web_1-a")) == (try Address(Self.whole)))
        #expect(try book.address(Argument("bare")) == (try Address(Self.bare)))
        #expect(book.addresses == [try Address(Self.whole)])
        // What is no name is what it always was.
        #expect(try book.target(Argument("\(Self.node)")) == .nodeID(Self.node))
        #expect(try book.peerAddress(Argument(Self.whole)) == (try Address(Self.whole)))
    }

    @Test func whatANameDoesNotTellIsSaidWithItsPlace() throws {
        let book = try book("# x\nname.id = \(Self.node)\nname.bare = 192.0.2.7:4001\n")
        #expect(hint { () throws(CLIError) in _ = try book.nodeID(Argument("bare")) }?.contains("/file0:3") == true)
        #expect(
            hint { () throws(CLIError) in _ = try book.peerAddress(Argument("bare")) }?.contains("/file0:3") == true)
        #expect(hint { () throws(CLIError) in _ = try book.peerAddress(Argument("id")) }?.contains("/file0:2") == true)
        #expect(hint { () throws(CLIError) in _ = try book.address(Argument("id")) }?.contains("/file0:2") == true)
        #expect(
            hint { () throws(CLIError) in _ = try book.target(Argument("baer")) } == "did you mean the name bare?")
        #expect(
            hint { () throws(CLIError) in _ = try book.nodeID(Argument("idd")) } == "did you mean the name id?")
    }

    @Test func theFirstFileWins() throws {
        let book = try book("name.a = 192.0.2.1:1\n", "name.a = 192.0.2.2:1\nname.b = 192.0.2.3:1\n")
        #expect(book.entries.map(\.name) == ["a", "b"])
        #expect(book.entries.map(\.source.description) == ["/file0:1", "/file1:2"])
    }

    @Test func whatCouldBeTakenForSomethingElseIsNoName() {
        for name in ["a", "A1", "1", "a-b_c", String(repeating: "x", count: NameBook.longestName)] {
            #expect(NameBook.isName(name), "\(name)")
        }
        let wrong = [
            "", "-a", "--to", "_a", "a.b", "a:1", "a/b", "a b", "a\u{1b}", "é", "a\u{202e}", "a,b", "a=b", "$(id)",
            "`id`",
            "*", "\(Self.node)", String(repeating: "x", count: NameBook.longestName + 1),
        ]
        for name in wrong { #expect(!NameBook.isName(name), "\(name.debugDescription)") }
    }

    @Test func aNameThatIsWrongIsAnErrorOfTheConfiguration() {
        for text in ["name.-a = \(Self.node)", "name. = \(Self.node)", "name.a = nonsense", "name.a = /ip4/1"] {
            #expect(throws: CLIError.self) { try book(text) }
        }
    }

    private func hint(_ body: () throws(CLIError) -> Void) -> String? {
        do {
            try body()
            return nil
        } catch {
            return error.hint
        }
    }
}
