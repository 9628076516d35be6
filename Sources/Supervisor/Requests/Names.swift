// Names for types that the layers below name alike: the result of an operation to decide with (Engine) and the one to
// show (ControlProtocol), a signal in a unit file and one to send. In this module, which uses both, each gets a name of
// its own. Scoped imports, because a module that has a type of its own name cannot qualify.

import ControlProtocol

import enum Engine.ExitStatus
import struct Engine.ExitStatusSet
import enum Engine.KillMode
import enum Engine.NotifyAccess
import struct Engine.NotifyMessage
import struct Engine.OperationResult
import struct Engine.SwapSettings
import enum Engine.TimeoutFailureMode

typealias EngineResult = OperationResult
typealias EngineExitStatus = ExitStatus
typealias EngineExitStatusSet = ExitStatusSet
typealias EngineKillMode = KillMode
typealias EngineNotifyAccess = NotifyAccess
typealias EngineNotify = NotifyMessage
typealias EngineSettings = SwapSettings
typealias EngineFailureMode = TimeoutFailureMode
typealias ShownResult = ControlProtocol.OperationResult
