/// Which configuration files count, and their contents.
enum ConfigurationLoading {
    /// The file that wins first. A file that the user named must exist; the usual ones need not.
    static func files(_ invocation: Invocation, _ environment: Environment) throws(CLIError) -> [ConfigurationFile] {
        if let path = invocation.given["config"]?.last?.bytes ?? environment["DEP2P_CONFIG"] {
            return [try file(path)]
        }
        var files: [ConfigurationFile] = []
        for path in StandardPaths(environment).configurations where FileReading.exists(path) {
            files.append(try file(path))
        }
        return files
    }

    private static func file(_ path: [UInt8]) throws(CLIError) -> ConfigurationFile {
        do {
            let content = try FileReading.read(path, limit: ConfigurationFile.maximumBytes, what: "configuration file")
            return try ConfigurationFile(path: path, content: content, keys: CommandTable.settings.map(\.long))
        } catch {
            throw CLIError(.configuration, error.message, hint: error.hint)
        }
    }
}
