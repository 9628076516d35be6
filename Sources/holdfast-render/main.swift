// holdfast-render: renders the templates of one generation (X-Template=) and ends. Started by holdfastd, which neither links
// Foundation nor waits for files; see RenderCore for what it reads.

import Foundation
import RenderCore

do {
    try Job.run(FileHandle.standardInput.readDataToEndOfFile())
} catch {
    FileHandle.standardError.write(Data("\(error)\n".utf8))
    exit(1)
}
