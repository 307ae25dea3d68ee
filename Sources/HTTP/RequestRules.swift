/// What becomes of a request, from its head alone: pure.
struct RequestRules: Sendable {
    /// What is looked at of a head.
    struct Head: Equatable, Sendable {
        var method: String
        /// As it stands in the request line.
        var target: String
        var hosts: [String] = []
        /// Whether it announces a body.
        var hasBody = false
    }

    enum Verdict: Equatable, Sendable {
        /// Answer from the route of that name; without its content when only the head was asked for.
        case answer(route: String, isHeadOnly: Bool)
        case refuse(status: Int, String)
    }

    let host: HostRule
    /// The paths that are served. A path with a query is another one, if it is named.
    let routes: Set<String>

    func verdict(_ head: Head) -> Verdict {
        guard head.hosts.count <= 1, host.admits(head.hosts.first) else {
            return .refuse(status: 421, "this is served under localhost and loopback addresses only, with their port")
        }
        guard head.method == "GET" || head.method == "HEAD" else {
            return .refuse(status: 405, "only GET and HEAD are served")
        }
        guard !head.hasBody else { return .refuse(status: 413, "nothing is sent here") }
        // The absolute form (RFC 9112 section 3.2.2) is for proxies.
        guard head.target.utf8.first == UInt8(ascii: "/") else { return .refuse(status: 400, "a path begins with /") }
        let path = head.target.prefix { $0 != "?" }
        guard let route = [head.target, String(path)].first(where: routes.contains) else {
            return .refuse(status: 404, "there is nothing here")
        }
        return .answer(route: route, isHeadOnly: head.method == "HEAD")
    }
}
