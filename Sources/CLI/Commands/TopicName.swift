import DeP2P

/// What may be the name of a topic.
enum TopicName {
    static let limit = 256

    static func text(_ argument: Argument) throws(CLIError) -> String {
        guard let text = argument.text, (1...limit).contains(text.utf8.count) else {
            throw CLIError(
                .usage, "not a topic: \(argument.quoted)", hint: "a topic is a text of 1 to \(limit) bytes")
        }
        return text
    }
}
