extension String {
    /// The longest start of whole Unicode scalars with at most `limit` bytes of UTF-8.
    ///
    /// What a peer sends is bounded by bytes: a Character has any number of them (combining marks).
    package func clipped(toBytes limit: Int) -> String {
        guard limit < utf8.count else { return String(self) }
        var end = utf8.index(utf8.startIndex, offsetBy: Swift.max(limit, 0))
        // Continuation bytes are 10xxxxxx (RFC 3629 section 3).
        while end > startIndex, utf8[end] & 0xc0 == 0x80 { end = utf8.index(before: end) }
        return String(self[..<end])
    }
}
