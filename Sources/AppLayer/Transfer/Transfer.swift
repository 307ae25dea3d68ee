package import DeP2PIdentity

/// `/dep2p/app/transfer/1.0.0`: files, folders and streams, one bidirectional stream of the connection a transfer.
///
/// ```
/// sender                                          receiver
///   offer (pages: names, sizes)            →
///                                          ←      accept (pages: what is held already) | refuse
///   per file: start, data…, end(root)      →
///                                          ←      receipt(root, stored name) | mismatch, as each is on the disk
///                                          ←      done
///   end of stream once every receipt fits  →
///                                          ←      end of stream
/// ```
/// The receiver claims what it holds as hashes of pieces; the sender compares them with its own file and starts at the
/// first difference, so a partial file that is damaged or of another version costs no more than being sent again.
///
/// The root of a file travels behind its bytes and not in the offer: hashing then runs in the one pass that reads the
/// file for sending, where a pass beforehand would cost half a second a GiB.
package enum Transfer {
    package static let protocolID = "/dep2p/app/transfer/1.0.0"
}

package typealias MerkleRoot = SHA256.Digest

/// Codes with which a stream of this protocol is reset or stopped. The frame beside it, when it gets through, says
/// more.
package enum TransferStreamCode {
    package static let cancelled: UInt64 = 0x100
    package static let refused: UInt64 = 0x101
    package static let stalled: UInt64 = 0x102
    package static let protocolViolation: UInt64 = 0x103
    package static let failed: UInt64 = 0x104
}
