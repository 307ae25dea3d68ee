internal import CDeP2POpenSSL

/// The textual encoding of keys (RFC 7468): one labelled block of base64, read and written by OpenSSL.
enum PEM {
    enum Failure: Error, Equatable {
        /// No `-----BEGIN …-----` line.
        case noBeginning
        /// Another kind of block than the ones asked for.
        case otherLabel(String)
        /// A beginning without its end.
        case truncated
        /// Not base64 between the lines.
        case damaged
    }

    /// The first block of a text, whatever stands before and after it, if it has one of `labels`. The caller wipes the
    /// contents.
    static func decode(_ text: [UInt8], labels: [String]) throws(Failure) -> (label: String, contents: [UInt8]) {
        defer { ERR_clear_error() }
        // OpenSSL takes a zero for a line's end.
        guard !text.contains(0) else { throw .damaged }
        // The text outlives what reads from it.
        let block = text.withUnsafeBytes { read($0) }
        guard let block else { throw failure }
        guard labels.contains(block.label) else { throw .otherLabel(block.label) }
        return block
    }

    private static func read(_ text: UnsafeRawBufferPointer) -> (label: String, contents: [UInt8])? {
        guard let base = text.baseAddress, let input = BIO_new_mem_buf(base, Int32(clamping: text.count)) else {
            return nil
        }
        defer { BIO_free(input) }
        var (label, header): (UnsafeMutablePointer<CChar>?, UnsafeMutablePointer<CChar>?)
        var contents: UnsafeMutablePointer<UInt8>?
        var count = 0
        guard PEM_read_bio(input, &label, &header, &contents, &count) == 1, let label, let contents else { return nil }
        // All three are the caller's.
        defer {
            CRYPTO_free(label, nil, 0)
            CRYPTO_free(header, nil, 0)
            CRYPTO_clear_free(contents, count, nil, 0)
        }
        return (String(cString: label), [UInt8](UnsafeBufferPointer(start: contents, count: count)))
    }

    /// What OpenSSL's last error means.
    private static var failure: Failure {
        switch dep2p_error_reason(ERR_peek_last_error()) {
        case PEM_R_NO_START_LINE: .noBeginning
        case PEM_R_BAD_END_LINE: .truncated
        default: .damaged
        }
    }

    static func encode(label: String, _ contents: [UInt8]) -> [UInt8] {
        // Its memory is wiped when it is freed.
        let output = BIO_new(BIO_s_secmem())
        defer { BIO_free(output) }
        let written = PEM_write_bio(output, label, "", contents, contents.count)
        precondition(written > 0, "OpenSSL writes PEM to memory")
        var text = [UInt8](repeating: 0, count: BIO_ctrl_pending(output))
        let count = BIO_read(output, &text, Int32(text.count))
        precondition(Int(count) == text.count, "what was written can be read")
        return text
    }
}
