import Testing

@testable import DeP2PHTTP

@Suite struct RequestRulesTests {
    private let rules = RequestRules(host: .loopback(port: 1), routes: ["/", "/metrics", "/metrics?peers"])

    private func verdict(_ change: (inout RequestRules.Head) -> Void) -> RequestRules.Verdict {
        var head = RequestRules.Head(method: "GET", target: "/", hosts: ["localhost:1"])
        change(&head)
        return rules.verdict(head)
    }

    private func status(_ change: (inout RequestRules.Head) -> Void) -> Int? {
        if case .refuse(let status, _) = verdict(change) { status } else { nil }
    }

    @Test func knownPathsAreAnswered() {
        #expect(verdict { _ in } == .answer(route: "/", isHeadOnly: false))
        #expect(verdict { $0.method = "HEAD" } == .answer(route: "/", isHeadOnly: true))
        #expect(verdict { $0.target = "/metrics?peers" } == .answer(route: "/metrics?peers", isHeadOnly: false))
        #expect(verdict { $0.target = "/metrics?name[]=x" } == .answer(route: "/metrics", isHeadOnly: false))
    }

    @Test func everythingElseIsRefused() {
        #expect(status { $0.target = "/other" } == 404)
        #expect(status { $0.target = "/metrics/" } == 404)
        #expect(status { $0.target = "//localhost:1/" } == 404)
        #expect(status { $0.target = "http://evil.example/" } == 400)
        #expect(status { $0.target = "*" } == 400)
        #expect(status { $0.target = "" } == 400)
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH", "get"] {
            #expect(status { $0.method = method } == 405)
        }
        #expect(status { $0.hasBody = true } == 413)
        #expect(status { $0.hosts = [] } == 421)
        #expect(status { $0.hosts = ["localhost:1", "localhost:1"] } == 421)
        #expect(status { $0.hosts = ["evil.example"] } == 421)
    }

    @Test func whoIsNotServedLearnsNothingElse() {
        #expect(status { ($0.hosts, $0.target, $0.method) = (["evil.example"], "/other", "POST") } == 421)
    }
}
