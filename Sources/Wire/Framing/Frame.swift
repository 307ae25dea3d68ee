internal import DeP2PIdentity

/// Makes frames, as ``FrameDecoder`` reads them: a frame is its length and its bytes.
package enum Frame {
    /// `body` behind its length.
    package static func encode(_ body: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(body.count + 3)
        append(body, to: &bytes)
        return bytes
    }

    package static func append(_ body: [UInt8], to bytes: inout [UInt8]) {
        Varint.append(UInt64(body.count), to: &bytes)
        bytes.append(contentsOf: body)
    }
}

/// Why bytes are not the frames that they should be.
package struct FrameError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Code: Equatable, Sendable {
        /// The announced length exceeds what this protocol takes.
        case oversized(length: UInt64, limit: Int)
        /// The length is no minimal unsigned varint of at most nine bytes.
        case malformedLength
        /// The stream ended inside a frame, or where one was required.
        case truncated
    }

    package let code: Code

    package init(_ code: Code) {
        self.code = code
    }

    package var description: String {
        switch code {
        case .oversized(let length, let limit): "a frame of \(length) bytes exceeds this protocol's limit of \(limit)"
        case .malformedLength: "a frame's length is malformed"
        case .truncated: "the stream ended inside a frame"
        }
    }
}
