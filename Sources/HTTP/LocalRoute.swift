/// What a ``LocalHTTPServer`` serves under one path.
package struct LocalRoute: Sendable {
    /// The media type, with its charset.
    package let contentType: String
    /// Further headers of the response.
    package let headers: [(name: String, value: String)]
    /// Makes the content anew, on no thread in particular. It is called at most once in ``lifetime``, however many ask.
    package let content: @Sendable () async -> LocalContent

    /// How long content is given to others who ask: who asks in a loop costs no more than who asks four times a second.
    package static let lifetime = Duration.milliseconds(250)

    package init(
        _ contentType: String, headers: [(name: String, value: String)] = [],
        content: @escaping @Sendable () async -> LocalContent
    ) {
        (self.contentType, self.headers, self.content) = (contentType, headers, content)
    }
}

package struct LocalContent: Sendable {
    package var status: Int
    package var bytes: [UInt8]

    package init(_ bytes: [UInt8], status: Int = 200) {
        (self.status, self.bytes) = (status, bytes)
    }

    package init(_ text: String, status: Int = 200) { self.init(Array(text.utf8), status: status) }
}
