// holdfast-render: renders the templates of one generation (X-Template=) and ends. Started by holdfastd, which neither links
// Foundation nor waits for files; see RenderCore for what it reads.

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
