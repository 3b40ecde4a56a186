"""A number entered on the keypad: submitted once, by its length, its terminator or a pause; a trailing terminator is swallowed (R63)."""

from fsm.call import events as ev
from fsm.call.common import closing
from fsm.call.effects import AddEntry
from fsm.call.snapshot import Call, Dtmf
from fsm.call.states import ENTERING, NO_ENTRY, OVER, SUBMITTED
from fsm.engine.notation import always, go, ignore, raises, region, row, sets

LIVE = (NO_ENTRY, ENTERING, SUBMITTED)


def terminates(call: Call, event: ev.DigitPressed) -> bool:
    """Is it the key that ends an entry?"""
    return event.digit == call.policy.dtmf_terminator


def completes(call: Call, event: ev.DigitPressed) -> bool:
    """Is it the last digit of an entry of fixed length?"""
    held = len(call.dtmf.digits) if call.dtmf.state is ENTERING else 0
    return not terminates(call, event) and held + 1 == call.policy.dtmf_digits


def add_completed(call: Call, event: ev.DigitPressed) -> AddEntry:
    """Tell the model the digits, the last one included."""
    return AddEntry((call.dtmf.digits if call.dtmf.state is ENTERING else "") + event.digit)


def add_entry(call: Call, _: ev.Event) -> AddEntry:
    """Tell the model the digits."""
    return AddEntry(call.dtmf.digits)


@sets("digits")
def first_digit(_: Call, event: ev.DigitPressed) -> str:
    """A new entry begins."""
    return event.digit


@sets("digits")
def next_digit(call: Call, event: ev.DigitPressed) -> str:
    """One more digit, of at most 64 (R07)."""
    return (call.dtmf.digits + event.digit)[:64]


@sets("digits")
def forget(_: Call, __: ev.Event) -> str:
    """The digits are handed in, and kept nowhere."""
    return ""


DTMF = region(
    "dtmf",
    *closing(LIVE),
    #   while       on                if           then
    row(LIVE,       ev.DigitPressed,  completes,   go(SUBMITTED, add_completed, forget, raises(ev.EntrySubmitted))),
    row(NO_ENTRY,   ev.DigitPressed,  terminates,  ignore("there is nothing to hand in")),
    row(NO_ENTRY,   ev.DigitPressed,  always,      go(ENTERING, first_digit)),
    row(ENTERING,   ev.DigitPressed,  terminates,  go(SUBMITTED, add_entry, forget, raises(ev.EntrySubmitted))),
    row(ENTERING,   ev.DigitPressed,  always,      go(ENTERING, next_digit)),
    row(ENTERING,   ev.DtmfExpired,  always,      go(NO_ENTRY, add_entry, forget, raises(ev.EntrySubmitted))),
    row(SUBMITTED,  ev.DigitPressed,  terminates,  ignore("the entry handed itself in; its terminator comes late (R63)")),
    row(SUBMITTED,  ev.DigitPressed,  always,      go(ENTERING, first_digit)),
    row(SUBMITTED,  ev.DtmfExpired,  always,      go(NO_ENTRY)),
    row(LIVE,       ev.CallerEvent,   always,      ignore("no key was pressed")),
    row(LIVE,       (ev.Expired, ev.Signal), always, ignore("another region's deadline, or no key")),
    row(LIVE,       (ev.ModelEvent, ev.DeviceEvent, ev.SentenceEvent, ev.LineEvent, ev.AppEvent), always, ignore("no key was pressed")),
    doc="a number entered on the keypad",
    record=Dtmf,
    states=(*LIVE, OVER),
    expired=ev.DtmfExpired,
)  # fmt: skip
