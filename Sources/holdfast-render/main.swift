// holdfast-render: renders the templates of one generation (X-Template=) and exits. holdfastd starts it, and so neither
// links Foundation nor waits for files; RenderCore describes its input.

import Foundation
import RenderCore

if CommandLine.arguments.dropFirst() == ["--help"] {
    print(
        "Renders the templates of a generation (X-Template=). Only called by holdfastd, with its job on standard input."
    )
    exit(0)
}
do {
    try Job.run(FileHandle.standardInput.readDataToEndOfFile())
} catch {
    FileHandle.standardError.write(Data("\(error)\n".utf8))
    exit(1)
}
