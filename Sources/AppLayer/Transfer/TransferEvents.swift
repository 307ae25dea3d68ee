/// What happens during a transfer, on either side.
public enum TransferEvent: Sendable {
    /// Receiver: an offer with usable names has come.
    case offered(TransferOffer)
    /// The receiver takes it.
    case accepted
    /// At most twice a second.
    case progress(TransferProgress)
    /// Verified, durable, and under its final name at the receiver.
    case stored(TransferredFile)
    /// This file is not transferred; the others are.
    case failed(TransferFailure)
}

/// How far a transfer is.
public struct TransferProgress: Equatable, Sendable {
    /// Bytes done: of the sender those that the receiver's transport acknowledged, of the receiver those on its disk;
    /// with what was held before.
    public let bytes: UInt64
    /// Bytes in all; `nil` while a stream's length is unknown.
    public let total: UInt64?
    /// Of `bytes`, those that were held before.
    public let resumedBytes: UInt64
    /// Of `bytes`, zeros that travelled as a number.
    package let zeroBytes: UInt64

    /// Of `bytes`, those that nothing was sent for: they say nothing of how fast the others are.
    package var sparedBytes: UInt64 { resumedBytes + zeroBytes }
}

/// The waits of a transfer.
package struct TransferTiming: Sendable {
    /// Without a byte acknowledged for so long, the transfer is stalled.
    package var stall = Duration.seconds(30)
    /// How often progress is reported and the stall clock read.
    package var tick = Duration.milliseconds(500)
    /// A side that is busy with something silent says so this often.
    package var working = Duration.seconds(5)
    /// How long a receiver waits for a partial file that another transfer has open: that may be the same sender's
    /// broken connection, which has not timed out yet.
    package var busy = Duration.seconds(20)
    /// How long to wait for the other side's last word.
    package var farewell = Duration.seconds(1)

    package init() {}
}
