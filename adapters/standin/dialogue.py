"""What the stand-in agent says: a dialogue answers the caller's turn with words or a function call; it knows neither wire nor voice."""

import re

from adapters.standin.realtime.functions import told, wanted
from adapters.standin.realtime.turns import Call, Dialogue, Say, Tool, Turn

__all__ = ["BluebirdCycles", "Call", "Dialogue", "Say", "Tool", "Turn"]
_GOODBYE = re.compile(r"\b((good|could) ?)?bye\b|\b(good|could) (buy|by)\b")
"""Also as PocketSphinx may hear it."""


class BluebirdCycles:
    """The default dialogue: the receptionist of a bicycle repair shop, who goes by keywords and else by a list; the same every time.

    Answers to a question take about twenty seconds to say, so that a caller can interrupt them; the goodbye is short.
    """

    GREETING = "Hello, this is Bluebird Cycles, the bicycle repair shop by the old bridge. How can I help you today?"
    GOODBYE = "Thank you for calling Bluebird Cycles. Goodbye!"
    APPOINTMENT = (
        "Of course, I can find you an appointment. "
        "Our workshop has two free places tomorrow morning, one at nine and one at half past ten. "
        "There is another on Thursday afternoon at three, which is usually our quietest time. "
        "Please bring the bicycle a few minutes early, so that the mechanic can look at it together with you. "
        "If something comes up, just call us and we will move it to another day. "
        "Which of these would suit you best?"
    )
    PRICES = (
        "Our prices depend a little on the bicycle. "
        "A puncture costs twelve pounds, and that includes a new inner tube. "
        "A small service with brakes and gears costs forty five pounds, and the big one with new cables costs ninety. "
        "We always call you before we do anything that is not on the list. "
        "Parts are charged at the price on the shelf, with nothing added for fitting. "
        "Shall I put you down for one of these?"
    )
    HOURS = (
        "We are open from Monday to Friday, from half past eight in the morning until six in the evening. "
        "On Saturday we open at nine and close at two in the afternoon, and the workshop is always busy then. "
        "On Sunday and on public holidays we are closed. "
        "If you cannot come during the day, there is a locked shed beside the door where you may leave your bicycle over night. "
        "Just put a note with your name and number on the saddle, and we will call you in the morning."
    )
    REPAIR = (
        "That sounds like something we can repair. "
        "Most small jobs, such as a puncture or a loose brake, are done while you wait, in about half an hour. "
        "For a bent wheel or a worn chain we keep the bicycle until the next day. "
        "We have spare bicycles that you can borrow in the meantime, at no charge. "
        "Bring it in whenever you like, and the mechanic will tell you what it needs before anything is done."
    )
    HELLO = "Yes, I can hear you well, so tell me what I can do for you."
    TOPICS = (
        ("hello hear", HELLO),
        ("appointment appointments book booking slot", APPOINTMENT),
        ("price prices cost costs much expensive charge", PRICES),
        ("open opening hours close closed closing saturday sunday weekend", HOURS),
        ("repair repairs puncture flat tire tyre fix broken brake brakes chain wheel bike bicycle", REPAIR),
    )
    """Keywords and what is said of them; the first that the caller names wins."""
    OTHERWISE = (
        "I see. Could you tell me a little more about it? I can help you with opening hours, prices, repairs and appointments.",
        "All right, I have made a note of that. Our mechanic will read it in the morning. Is there anything else?",
        "Yes, that should be possible. It is best if you bring the bicycle along, and then we will look at it together.",
        "That is a good question. I will ask the mechanic, who is just back from lunch. May we call you back this afternoon?",
    )

    def answer(self, turn: Turn) -> Say | Call:
        """Greet an empty conversation, use the client's functions, answer keywords, and else say the next thing on the list."""
        if turn.tool_output is not None:
            return Say(told(turn.tool_output))
        if call := wanted(turn):
            return call
        if not turn.caller_spoke and turn.replies == 0:
            return Say(self.GREETING)
        words = set(re.findall(r"[a-z]+", turn.heard.lower()))
        if _GOODBYE.search(turn.heard.lower()):
            return Say(self.GOODBYE)
        for keywords, text in self.TOPICS:
            if words & set(keywords.split()):
                return Say(text)
        if words & {"thank", "thanks"}:
            return Say(self.GOODBYE)
        if words & {"remember", "earlier"}:
            return Say(f"Earlier you said: {turn.earlier[-1]}." if turn.earlier else "You have not told me anything yet.")
        return Say(self.OTHERWISE[turn.replies % len(self.OTHERWISE)])
