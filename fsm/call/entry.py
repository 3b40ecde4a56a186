"""A number entered on the keypad: submitted once, by its length, its terminator or a pause; a trailing terminator is swallowed (R63)."""

from fsm.call import events as ev
from fsm.call.common import closing
from fsm.call.effects import AddEntry
from fsm.call.snapshot import Call, Entry
from fsm.call.states import ENTERING, NO_ENTRY, OVER, SUBMITTED
from fsm.engine.notation import always, go, ignore, region, row, sets

LIVE = (NO_ENTRY, ENTERING, SUBMITTED)


def terminates(call: Call, event: ev.DigitPressed) -> bool:
    """Is it the key that ends an entry?"""
    return event.digit == call.policy.dtmf_terminator


def completes(call: Call, event: ev.DigitPressed) -> bool:
    """Is it the last digit of an entry of fixed length?"""
    held = len(call.entry.digits) if call.entry.state is ENTERING else 0
    return not terminates(call, event) and held + 1 == call.policy.dtmf_digits


def submits(call: Call, event: ev.DigitPressed) -> bool:
    """Does this key hand the entry in?"""
    return completes(call, event) or (call.entry.state is ENTERING and terminates(call, event))


def entering(call: Call, _: ev.EntryExpired) -> bool:
    """Is an entry open, so that the pause hands it in?"""
    return call.entry.state is ENTERING


def add_completed(call: Call, event: ev.DigitPressed) -> AddEntry:
    """Tell the model the digits, the last one included."""
    return AddEntry((call.entry.digits if call.entry.state is ENTERING else "") + event.digit)


def add_entry(call: Call, _: ev.Event) -> AddEntry:
    """Tell the model the digits."""
    return AddEntry(call.entry.digits)


@sets("digits")
def first_digit(_: Call, event: ev.DigitPressed) -> str:
    """A new entry begins."""
    return event.digit


@sets("digits")
def next_digit(call: Call, event: ev.DigitPressed) -> str:
    """One more digit, of at most 64 (R07)."""
    return (call.entry.digits + event.digit)[:64]


@sets("digits")
def forget(_: Call, __: ev.Event) -> str:
    """The digits are handed in, and kept nowhere."""
    return ""


ENTRY = region(
    "entry",
    *closing(LIVE),
    #   while       on                if           then
    row(LIVE,       ev.DigitPressed,  completes,   go(SUBMITTED, add_completed, forget)),
    row(NO_ENTRY,   ev.DigitPressed,  terminates,  ignore("there is nothing to hand in")),
    row(NO_ENTRY,   ev.DigitPressed,  always,      go(ENTERING, first_digit)),
    row(ENTERING,   ev.DigitPressed,  terminates,  go(SUBMITTED, add_entry, forget)),
    row(ENTERING,   ev.DigitPressed,  always,      go(ENTERING, next_digit)),
    row(ENTERING,   ev.EntryExpired,  always,      go(NO_ENTRY, add_entry, forget)),
    row(SUBMITTED,  ev.DigitPressed,  terminates,  ignore("the entry handed itself in; its terminator comes late (R63)")),
    row(SUBMITTED,  ev.DigitPressed,  always,      go(ENTERING, first_digit)),
    row(SUBMITTED,  ev.EntryExpired,  always,      go(NO_ENTRY)),
    row(LIVE,       ev.CallerEvent,   always,      ignore("no key was pressed")),
    row(LIVE,       ev.Expired,       always,      ignore("another region's deadline")),
    row(LIVE,       (ev.ModelEvent, ev.DeviceEvent, ev.SentenceEvent, ev.LineEvent, ev.AppEvent), always, ignore("no key was pressed")),
    doc="a number entered on the keypad",
    record=Entry,
    states=(*LIVE, OVER),
    expired=ev.EntryExpired,
)  # fmt: skip
