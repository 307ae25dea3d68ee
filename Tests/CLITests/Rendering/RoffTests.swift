import Testing

@testable import DeP2PCLI

/// What roff(7) reads in text: a page may say anything, and none of it is a request.
@Suite struct RoffTests {
    private func page(_ body: (inout Roff) -> Void) -> [Substring] {
        var page = Roff(title: "dep2p-x", summary: "a page")
        let head = page.text
        body(&page)
        return page.text.dropFirst(head.count).split(separator: "\n")
    }

    @Test func thePageSaysWhatItIsAndWhereItComesFrom() {
        let head = Roff(title: "dep2p-x", summary: "does `this`").text.split(separator: "\n")
        #expect(head[0].hasPrefix(".\\\"") && head[1].hasPrefix(".TH DEP2P-X 1 "))
        #expect(head.suffix(2) == [".SH \"NAME\"", "dep2p\\-x \\- does \\fBthis\\fR"])
    }

    @Test func aLineOfTextThatBeginsLikeARequestIsNone() {
        let lines = page {
            $0.paragraphs([".SH \"HELP\""])
            $0.listing([".so /etc/passwd", "'\\\" t", "ordinary"])
        }
        let requests = lines.filter { $0.hasPrefix(".") || $0.hasPrefix("'") }
        #expect(requests.allSatisfy { [".PP", ".RS 4", ".nf", ".fi", ".RE"].contains($0) }, "\(requests)")
        #expect(lines.contains("\\&.SH \"HELP\"") && lines.contains { $0.contains(".so /etc/passwd") })
    }

    /// A backslash in text is one on the page; alone it would begin an escape. Hyphens that are typed are minus signs there.
    @Test func backslashesAndHyphensSurviveCopying() {
        let lines = page {
            $0.listing(["a\\b --x"])
            $0.synopsis("dep2p x", "[--long-name] `-c`")
        }
        let listing = lines[lines.firstIndex(of: ".nf").map { $0 + 1 } ?? 0]
        #expect(listing == "\\fBa\\eb \\-\\-x\\fR")
        #expect(lines.contains { $0.contains("\\-\\-long\\-name") && !$0.contains("\\\\-") })
    }

    @Test func paragraphsAreKeptApart() {
        let lines = page {
            $0.section("X")
            $0.paragraphs(["one", "two"])
            $0.term("\\fBt\\fR", ["three", "four"])
        }
        #expect(lines == [".SH \"X\"", "one", ".PP", "two", ".TP", "\\fBt\\fR", "three", ".IP", "four"])
    }
}
