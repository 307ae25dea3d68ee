import Testing

@testable import DeP2PCLI

@Suite struct NameSuggestionTests {
    @Test(arguments: [
        ("send", "send", 0), ("snd", "send", 1), ("sned", "send", 1), ("", "abc", 3), ("kitten", "sitting", 3),
    ])
    func distances(_ left: String, _ right: String, _ expected: Int) {
        #expect(NameSuggestion.distance(left, right) == expected)
        #expect(NameSuggestion.distance(right, left) == expected)
    }

    @Test func theNearestIsSuggestedAndNothingFar() {
        let names = ["keygen", "realm-key", "send", "listen", "ping"]
        #expect(NameSuggestion.nearest(to: "sned", among: names) == "send")
        #expect(NameSuggestion.nearest(to: "realmkey", among: names) == "realm-key")
        #expect(NameSuggestion.nearest(to: "li", among: names) == "listen")
        #expect(NameSuggestion.nearest(to: "publish", among: names) == nil)
        #expect(NameSuggestion.nearest(to: "", among: names) == nil)
    }
}
