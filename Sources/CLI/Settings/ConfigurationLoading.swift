/// Which configuration files count, and their contents.
enum ConfigurationLoading {
    /// How long a file that is none, such as a pipe, may take.
    static let patience = Duration.seconds(10)

    /// The file that wins first. A file that the user named must exist; the usual ones need not.
    ///
    /// - Parameter again: they were read before: a pipe would be empty.
    static func files(
        _ invocation: Invocation, _ environment: Environment, again: Bool = false
    ) throws(CLIError) -> [ConfigurationFile] {
        var files: [ConfigurationFile] = []
        for path in paths(invocation.given["config"]?.last?.bytes, environment) {
            files.append(try file(path, again: again))
        }
        return files
    }

    /// - Parameter named: the file that the command line names.
    static func paths(_ named: [UInt8]?, _ environment: Environment) -> [[UInt8]] {
        if let path = named ?? environment["DEP2P_CONFIG"] { return [path] }
        return StandardPaths(environment).configurations.filter(FileReading.exists)
    }

    private static func file(_ path: [UInt8], again: Bool) throws(CLIError) -> ConfigurationFile {
        do {
            let content = try FileReading.read(
                path, limit: ConfigurationFile.maximumBytes, what: "configuration file", patience: patience,
                again: again)
            return try ConfigurationFile(path: path, content: content, keys: .init(CommandTable.settings))
        } catch {
            throw CLIError(.configuration, error.message, hint: error.hint)
        }
    }
}
