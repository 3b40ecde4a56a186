"""The call: which table owns what, and how one barge-in crosses them.

A call is seventeen small tables side by side. Each owns one fact, and is the only one that asks the world for what that fact needs:

    playout         which response may be heard, and how much of it is still to be heard      Admit, Flush, Retire
    interruption    whether the caller interrupts                                              Hold, Resume
    synthesis       a sentence's way through the speech server                                 Synthesise, CancelSynthesis
    session         the realtime session, and the rights of the server's VAD                   OpenSession, ConfigureSession, …
    response        the response status                                                        CreateResponse, CancelResponse
    truncation      what was heard of each item                                                TruncateItem, RewriteItem, DeleteItem
    phase           who has the floor, and whether the call is alive                           HangUp, CloseSession, TellEnded
    line            whether the line carries sound
    calibration     whether the noise floor is known
    turn            the caller's turn, from the first sound to its commit                      CommitTurn
    dtmf            a number entered on the keypad                                             AddEntry
    tool            the model's tool calls                                                     RunTool, SendToolResult
    cooldown        whether a response without sound may be replaced
    idle            silence on both sides
    limit           the call's own maximum duration
    pending         what is owed to the caller: the next response, and why
    hangup          whether and why the call is to end

An event is answered by all tables from the snapshot before it, each with exactly one row, so that no table can run ahead of another. A
fact that several tables act on is a signal: one row raises it, and all tables answer it in the same step, from the snapshot that the
event left. Signals stand in one order (`signals`), and a row that answers one raises later ones only, so a step ends. A deadline is data
in its table's record; when it passes, the table's expiry comes in as an event like any other.

One barge-in, with the default policy:

1.  SpeechStarted. turn: quiet → speaking. interruption: clear → suspected, and Hold: the voice is silent before anything is decided.
2.  150 ms later, InterruptionExpired. interruption: suspected → locked, and raises BargedIn. Still in this step, on BargedIn:
    playout flushes what is heard and what was to follow (Flush) and is silent; interruption ends the hold, of which nothing is left to
    be heard (Resume); synthesis drops its sentence (CancelSynthesis); response cancels what is generated, once (CancelResponse);
    truncation awaits what was heard; phase: ai_speaking → cancelling; pending takes back what the response was to pay, if nothing
    of it was heard; a hang-up that waited for the goodbye is withdrawn.
3.  PlayoutStopped, from the device. truncation: each item is cut, rewritten, deleted or left, by its own figure.
4.  ResponseCancelled, from the server. response: cancel_in_flight → cancelled. phase: cancelling → listening.
5.  SpeechStopped, TurnCommitted. turn raises TurnTaken; on it pending owes an answer and raises ResponseDue; on that response asks
    for it (CreateResponse), if nobody speaks and nothing is under way. All of it in the step of the commit.

Where to read on: `states` and `events` are the words, `guards` the questions that several tables ask, `pending` (its sums in `debts`) and `truncation` the
accounts, `machine` the order of the tables, which is the order of the effects in a step: the device falls silent before the network hears.
"""
