import Foundation
import Mustache

/// A template that cannot be rendered, with its position in the form of compilers: `/etc/site/x.mustache:3:7: …`.
public struct RenderError: Error, Equatable, CustomStringConvertible {
    public var file: String
    /// From 1; nil if the error concerns the whole file.
    public var line: Int?
    public var column: Int?
    public var message: String

    public init(_ file: String, line: Int? = nil, column: Int? = nil, _ message: String) {
        self.file = file
        self.line = line
        self.column = column
        self.message = message
    }

    public var description: String {
        ([file] + [line, column].compactMap { $0 }.map { "\($0)" }).joined(separator: ":") + ": " + message
    }
}

/// Mustache (mustache(5)) for configuration files: nothing is escaped, and a missing name is an error instead of an
/// empty text, because a proxy with an empty address is worse than none.
public enum Rendering {
    /// - Parameters:
    ///   - text: the template.
    ///   - context: strings, arrays and dictionaries of them.
    ///   - file: the path of the template, for errors.
    public static func render(_ text: String, _ context: [String: Any], file: String) throws(RenderError) -> String {
        let template: MustacheTemplate
        do {
            // The library escapes for HTML unless the template disables it. It drops the tag's own line.
            template = try MustacheTemplate(string: "{{% CONTENT_TYPE: TEXT}}\n" + text)
        } catch let error as MustacheTemplate.ParserError {
            throw RenderError(
                file, line: max(1, error.context.lineNumber - 1), column: error.context.columnNumber,
                sentence(error.error))
        } catch {
            throw RenderError(file, "\(error)")
        }
        try NameCheck.check(text, context, file: file)
        return template.render(context)
    }

    private static func sentence(_ error: any Error) -> String {
        guard let error = error as? MustacheTemplate.Error else { return "a tag that has no end" }
        return switch error {
        case .sectionCloseNameIncorrect: "the end of a section that is not the one that is open"
        case .unfinishedName: "a tag that has no end"
        case .expectedSectionEnd: "a section that has no end"
        case .invalidSetDelimiter: "not a change of delimiters"
        case .transformAppliedToInheritanceSection, .illegalTokenInsideInheritSection, .textInsideInheritSection:
            "not allowed in a block"
        case .invalidConfigVariableSyntax, .unrecognisedConfigVariable: "an unknown pragma"
        }
    }
}
