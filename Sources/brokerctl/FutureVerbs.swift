/// The verbs of the contract that this version does not have: said so, instead of "unknown".
enum FutureVerbs {
    private static let verbs: [[String]] = [
        ["top"], ["log"], ["users"], ["token"], ["acl"], ["drain"], ["check"],
        ["completions"], ["config", "reload"],
    ]

    /// Refuses `arguments` that begin, after options, with one of them.
    static func refuse(_ arguments: [String]) throws(Failure) {
        var words: [String] = []
        var rest = arguments[...]
        while words.count < 2, let argument = rest.popFirst() {
            if ["--socket", "--url", "--token"].contains(argument) {
                rest = rest.dropFirst()
            } else if !argument.hasPrefix("-") {
                words.append(argument)
            }
        }
        for verb in verbs where words.starts(with: verb) {
            throw .usage("\(verb.joined(separator: " ")): not available in this version")
        }
    }
}
