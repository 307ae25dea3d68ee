import DeP2P

/// How many connections there may be, where that is not the preset's.
struct Watermarks: Equatable {
    let low: Int?
    let high: Int?

    init(_ options: ResolvedOptions) throws(CLIError) {
        low = try options.value(.startLowWatermark, as: ArgumentValue.count)
        high = try options.value(.startHighWatermark, as: ArgumentValue.count)
        guard let low else { return }
        let preset = options.given(.preset).last?.value.text.flatMap(Preset.named) ?? .desktop
        let most = high ?? preset.highWatermark
        guard low <= most else {
            throw CLIError(.usage, "--low-watermark is \(low), more than --high-watermark, which is \(most)")
        }
    }

    func apply(to preset: inout Preset) {
        guard low != nil || high != nil else { return }
        let high = high ?? preset.highWatermark
        let usual = preset.lowWatermark <= high ? preset.lowWatermark : high / 4
        preset.setWatermarks(low: low ?? usual, high: high)
    }
}
