/// What is expected of UDP on this network.
enum UDPExpectation: Equatable {
    case works
    /// TCP starts at once; UDP is tried beside it when `isProbed`, and otherwise only when TCP has failed.
    case blocked(isProbed: Bool)
}
