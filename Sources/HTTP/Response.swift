/// A response as it goes out: the head, and the content that others may share.
struct Response: Sendable {
    let head: [UInt8]
    let content: [UInt8]

    var count: Int { head.count + content.count }

    init(_ content: LocalContent, _ route: LocalRoute?, isHeadOnly: Bool = false) {
        var lines = [
            "HTTP/1.1 \(content.status) \(Self.reason(content.status))",
            "Content-Type: \(route?.contentType ?? "text/plain; charset=utf-8")",
            "Content-Length: \(content.bytes.count)",
            "Connection: close",
            // Nothing here is for other pages, for caches, or to be guessed at.
            "Cache-Control: no-store", "X-Content-Type-Options: nosniff", "Cross-Origin-Resource-Policy: same-origin",
            "Referrer-Policy: no-referrer",
        ]
        if content.status == 405 { lines.append("Allow: GET, HEAD") }
        lines += (route?.headers ?? []).map { "\($0.name): \($0.value)" }
        head = Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
        self.content = isHeadOnly ? [] : content.bytes
    }

    init(refusing status: Int, _ text: String) { self.init(LocalContent(text + "\n", status: status), nil) }

    /// RFC 9110 section 15, of those that are sent here.
    private static func reason(_ status: Int) -> String {
        switch status {
        case 200: "OK"
        case 400: "Bad Request"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 413: "Content Too Large"
        case 421: "Misdirected Request"
        case 431: "Request Header Fields Too Large"
        case 503: "Service Unavailable"
        default: "Status"
        }
    }
}
