extension TransferOffer {
    /// The offer in frames, each made when it is asked for.
    func pages() -> OfferPages { OfferPages(self) }
}

/// The pages of an offer, as many entries in each as a frame takes.
struct OfferPages: Sequence, IteratorProtocol {
    private let offer: TransferOffer
    private var position = 0
    private var isDone = false

    init(_ offer: TransferOffer) {
        self.offer = offer
    }

    mutating func next() -> OfferPage? {
        guard !isDone else { return nil }
        var page = OfferPage(
            entries: TransferEntries(), count: offer.entries.count, totalSize: offer.totalSize, more: true,
            takesRefusals: true)
        var bytes = 0
        while position < offer.entries.count {
            bytes += offer.entries.encodedSize(at: position)
            if bytes > TransferLimits.frame / 4, !page.entries.isEmpty { return page }
            page.entries.append(at: position, of: offer.entries)
            position += 1
        }
        (page.more, isDone) = (false, true)
        return page
    }
}
