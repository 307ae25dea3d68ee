import Testing

@testable import DeP2PHTTP

/// Heads as RFC 9112 wants them, and nothing else.
@Suite struct RequestHeadTests {
    private let limits = LocalHTTPServer.Limits()

    private func read(_ text: String) -> RequestHead.Reading { RequestHead.read(Array(text.utf8), limits: limits) }

    private func status(_ reading: RequestHead.Reading) -> Int? {
        if case .refused(let status, _) = reading { status } else { nil }
    }

    @Test func aHeadIsReadWhenItIsWhole() {
        let text = "GET /node?x=1 HTTP/1.1\r\nHost:\t localhost:1 \r\nAccept: */*\r\nX-Empty:\r\n\r\n"
        for count in 1..<text.utf8.count { #expect(read(String(text.utf8.prefix(count)) ?? "") == .incomplete) }
        let head = RequestRules.Head(method: "GET", target: "/node?x=1", hosts: ["localhost:1"])
        #expect(read(text) == .head(head))
        #expect(read(text + "what comes after it") == .head(head))
    }

    @Test func bodiesAndHostsAreSeen() {
        func head(_ fields: String) -> RequestRules.Head? {
            if case .head(let head) = read("GET / HTTP/1.0\r\n\(fields)\r\n") { head } else { nil }
        }
        #expect(head("")?.hosts == [] && head("")?.hasBody == false)
        #expect(head("hOsT: a\r\nHost: b\r\n")?.hosts == ["a", "b"])
        #expect(head("Content-Length: 0\r\n")?.hasBody == false)
        for field in [
            "Content-Length: 1", "content-length: 00", "Content-Length: 0\r\nContent-Length: 5", "Transfer-Encoding: x",
        ] {
            #expect(head(field + "\r\n")?.hasBody == true, "\(field)")
        }
    }

    @Test(arguments: [
        "\u{16}\u{3}\u{1}", "\r\nGET / HTTP/1.1\r\n\r\n", "get / HTTP/1.1\r\n\r\n", "GET /\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n", "GET / / HTTP/1.1\r\n\r\n", "GET  HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "GET / HTTP/1.1\r\n: a\r\n\r\n", "GET / HTTP/1.1\r\nHost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", "GET / HTTP/1.1\r\nHo\u{0}st: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\u{7f}\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
        "GET /\u{0} HTTP/1.1\r\n\r\n",
    ])
    func everythingElseIsNone(text: String) { #expect(status(read(text)) == 400, "\(text)") }

    @Test func bytesThatAreNotUTF8AreNone() {
        let bytes = Array("GET / HTTP/1.1\r\nX: ".utf8) + [0xff, 0xfe] + Array("\r\n\r\n".utf8)
        #expect(status(RequestHead.read(bytes, limits: limits)) == 400)
    }

    @Test func aHeadIsBounded() {
        let start = "GET / HTTP/1.1\r\n"
        let fitting = start + String(repeating: "A: b\r\n", count: limits.headFields) + "\r\n"
        if case .head = read(fitting) {} else { Issue.record("as many fields as may be") }
        #expect(status(read(start + String(repeating: "A: b\r\n", count: limits.headFields + 1) + "\r\n")) == 431)
        let long = start + "A: " + String(repeating: "b", count: limits.headBytes)
        #expect(status(read(long)) == 431 && status(read(long + "\r\n\r\n")) == 431)
        #expect(read("G" + String(repeating: "E", count: limits.headBytes - 1)) == .incomplete)
    }
}
