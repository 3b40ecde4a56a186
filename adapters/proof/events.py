"""What each event makes of the world: what the server, the device, the caller or the application did, or what a deadline gave up."""

from collections.abc import Callable
from typing import Any

from adapters.proof.world import (
    GREETING,
    IN_CONVERSATION,
    NOTICE,
    SOUND,
    TOOL,
    TURN,
    WARNING,
    Answer,
    Device,
    Item,
    Sentence,
    Sound,
    Tool,
    World,
    has_spoken,
    is_broken,
    is_notice,
    is_past,
    may_follow,
    owe,
    sentence_lost,
    to_be_spoken,
    was_heard_last,
    with_answer,
    with_sentence,
)
from fsm.call import effects as fx, events as ev
from fsm.call.effects import Cause, Reason
from fsm.call.policy import Policy


def happened(world: World, event: ev.Event, policy: Policy, *, by_itself: bool = False) -> World:
    """The world after an event; an expiry is told only where it is of a present state. `by_itself`: a response nobody asked for."""
    if isinstance(event, ev.ResponseCreated):
        return _created(world, event, policy, by_itself)
    if isinstance(event, ev.Ending):
        return world._replace(closed=world.closed or isinstance(event, ev.CallerHungUp))
    happens = _EVENTS.get(type(event))
    return world if happens is None else happens(world, event, policy)


def interrupted(world: World) -> World:
    """It is decided that the caller interrupts: what is under way is cut, no goodbye ends the call, and no greeting need be said (R37)."""
    answers = tuple(answer._replace(cut=True) if answer.live or answer.audible else answer for answer in world.answers)
    asked = None if world.asked is None else world.asked._replace(cut=True)
    needless = world.owed & {GREETING}
    world = world._replace(owed=world.owed - needless, optional=world.optional | needless)
    return world._replace(answers=answers, asked=asked, bye="", failed=True, alarm=False)


def resumed(world: World) -> World:
    """It is decided that the caller's sound is no interruption, whatever it says."""
    return world._replace(alarm=True)


def settled(world: World) -> World:
    """The world after a step: what is heard is paid, what has just come to the device may be; what matters no more is forgotten."""
    if world.told:
        return World(hung_up=world.hung_up, told=True, closed=world.closed)
    if not world.bye and (world.wish or world.why is not Reason.GOODBYE):
        world = world._replace(why=Reason.GOODBYE, wish="")
    front = world.front
    if front is not None and front.sound and not world.held and not front.notice:
        paid = front.pays & (world.owed | world.optional)
        if paid:
            maybe = frozenset() if front.sound > Sound.CAME else paid
            world = world._replace(owed=world.owed - paid, optional=(world.optional - paid) | maybe)
    due = world.owed | world.optional
    if world.tried or world.maybe_tried:
        world = world._replace(tried=world.tried & due, maybe_tried=world.maybe_tried & due)
    answers = tuple([_plain(answer, due) for answer in world.answers])
    asked, auto = world.asked, world.auto
    if asked is not None:
        asked = asked._replace(pays=asked.pays & due)
    return world._replace(answers=answers, asked=asked, auto=None if auto is None else auto & due)


def _plain(answer: Answer, due: frozenset[str]) -> Answer:
    """A response with what matters of it."""
    if is_past(answer):
        sound = answer.sound if answer.device is Device.RETIRED else min(answer.sound, Sound.CAME)
        return Answer(answer.id, answer.cause, live=answer.live, completed=answer.completed, cancelled=answer.live, overdue=answer.overdue,
            cut=answer.cut, called=answer.called, device=answer.device, sound=sound, items=answer.items)  # fmt: skip
    if not answer.live:
        answer = answer._replace(cancelled=False, unsent=0, over=False)
    return answer._replace(pays=answer.pays & due)


def forgiven(world: World, event: ev.Event) -> World:
    """The world after a notice was dropped, and that was told."""
    named = [debt for debt in world.owed if isinstance(event, ev.NoticeRequested) and is_notice(debt, event.text)]
    return world._replace(owed=world.owed - {max(named, default="")})


def prompted(world: World) -> World:
    """The world after a silent caller was asked."""
    return world._replace(prompts=world.prompts + 1, prompts_in_all=world.prompts_in_all + 1)


def came_to_nothing(world: World, response_id: str) -> World:
    """The world after a response came to nothing: if it was to say goodbye, another does where we wish the end ourselves (R93)."""
    if world.bye != response_id:
        return world
    return world._replace(bye="" if world.why is Reason.GOODBYE else "*")


def failed_to_pay(before: World, world: World, event: ev.Event, signals: tuple[type, ...], policy: Policy) -> World:
    """The world after a response failed that was to pay something: a further one is one more try (R15)."""
    front, asked = before.front, before.asked
    to_pay: frozenset[str] = frozenset()
    if isinstance(event, ev.ResponseCancelled):
        cut = before.answer(event.response_id)
        return world if cut is None else world._replace(maybe_tried=world.maybe_tried | cut.pays)
    lost = isinstance(event, ev.SessionLost | ev.TakenUp)
    if lost or (ev.AnswerFailed in signals and isinstance(event, ev.CreateRefused | ev.ResponseExpired)):
        to_pay = frozenset() if asked is None else asked.pays
    if lost:
        to_pay = to_pay.union(*[answer.pays for answer in before.answers if answer.live or answer.audible])
        return world._replace(maybe_tried=world.maybe_tried | to_pay)
    if ev.AnswerFailed in signals and isinstance(event, ev.ResponseEnded):
        ended = before.answer(event.response_id)
        to_pay = frozenset() if ended is None else ended.pays
    elif any(one in signals for one in (ev.VoiceMissing, ev.PlayoutStalled, ev.AnswerFailed)) and front is not None and not to_pay:
        to_pay = front.pays
    if policy.create_response:  # what a server that answers by itself knew of, nobody can tell
        return world._replace(maybe_tried=world.maybe_tried | to_pay)
    alone = not ((before.owed | before.optional) & IN_CONVERSATION) - to_pay
    counts = alone and bool(to_pay & IN_CONVERSATION) and ev.PlayoutStalled not in signals
    sure = min(world.sure + counts, policy.recoveries)
    return world._replace(tried=world.tried | to_pay, sure=sure)


def _created(world: World, event: ev.ResponseCreated, policy: Policy, by_itself: bool) -> World:
    if world.answer(event.response_id) is not None:
        return world
    if all(_given_up(answer) for answer in world.answers if answer.live):
        world = world._replace(answers=tuple([answer._replace(overdue=answer.overdue or answer.live) for answer in world.answers]))
    name, asked, world = event.response_id, world.asked, world._replace(wait_ms=0.0)
    if world.bye == "*" and asked is not None and not asked.crossed:
        world = world._replace(bye=name)
    if asked is not None and not by_itself and not asked.crossed:
        answer = Answer(name, asked.cause, asked.pays, cut=asked.cut, over=world.speaking)
        return world._replace(answers=(*world.answers, answer), asked=None)
    needless = world.owed & {GREETING}
    world = world._replace(owed=world.owed - needless, optional=world.optional | needless)
    pays = (world.owed | world.optional) & IN_CONVERSATION if world.auto is None else world.auto
    if asked is not None and asked.crossed and world.auto is None:  # it may be the one that we asked for, before whatever is owed now
        world, pays = world._replace(owed=world.owed - pays, optional=world.optional | pays), frozenset()
    cut, over, cause = False, False, Cause.USER_TURN
    if asked is not None and not asked.crossed:
        pays, cut, over, cause = asked.pays, asked.cut, world.speaking, asked.cause
    if asked is not None:
        world = world._replace(asked=None if asked.crossed else asked._replace(crossed=True))
    ours = asked is not None and not asked.crossed
    if world.stopped and not (ours or world.live) and may_follow(world):
        world, pays = owe(_counted(world, policy), TURN, stopped=False, early=True), pays | {TURN}
    return world._replace(answers=(*world.answers, Answer(name, cause, pays, cut=cut, over=over)), auto=None)


def _given_up(answer: Answer) -> bool:
    """Is one that was cut over by now, as the server begins another, where nothing else goes on?"""
    return answer.cut or answer.cancelled


def _ended(world: World, event: Any, _: Policy) -> World:
    """The end of a response, which shows, if it is complete, that the session works."""
    answer, completed = world.answer(event.response_id), isinstance(event, ev.ResponseCompleted)
    if completed and world.confirmed:
        world = world._replace(lost=0)
    if answer is None:
        return world._replace(answers=(*world.answers, Answer(event.response_id, live=False)))
    if not answer.live:
        return world
    cut = answer.cut or isinstance(event, ev.ResponseCancelled)
    unheard = answer.notice or answer.cancelled or answer.device is Device.NEVER
    paid = answer.pays if completed and answer.called and not unheard else frozenset()
    world = world._replace(failed=world.failed or not completed, owed=world.owed - paid, optional=world.optional - paid)
    if isinstance(event, ev.ResponseCancelled):
        once = answer.pays & {GREETING}
        world = world._replace(owed=world.owed - once, optional=world.optional | (once & world.owed))
        withdrawn = world.bye == event.response_id and not answer.overdue
        world = world._replace(bye="") if withdrawn else world
    if isinstance(event, ev.ResponseFailed | ev.ResponseIncomplete) and not answer.cancelled:
        world = world._replace(wait_ms=event.retry_after_ms)
    elif completed:
        world = world._replace(wait_ms=0.0)
    return with_answer(world, event.response_id, live=False, completed=completed, cut=cut)


def _item(world: World, event: Any, _: Policy) -> World:
    answer = world.answer(event.response_id)
    if answer is None:
        return world
    sound = isinstance(event, ev.AudioArrived)
    changes: dict[str, Any] = {}
    if sound:
        out = answer.sound is Sound.OUT
        changes = {"sound": Sound.HEARD if out else max(answer.sound, Sound.CAME), "more": answer.more or out}
    if not isinstance(event, ev.SentenceCut):
        changes["whole"] = False
    if event.item_id:
        known = next((item for item in answer.items if item.name == event.item_id), None)
        if known is None:
            changes["items"] = (*answer.items, Item(event.item_id, sound))
        elif sound and not known.came:
            changes["items"] = tuple(item._replace(came=True) if item is known else item for item in answer.items)
    return with_answer(world, event.response_id, **changes) if changes else world


def _sentence(world: World, event: ev.SentenceCut, policy: Policy) -> World:
    world = _item(world, event, policy)
    answer = world.answer(event.response_id)
    if answer is None:
        return world
    lost = not to_be_spoken(world, answer.id)
    sentence = Sentence(f"call.{event.response_id}.{event.sentence}", event.item_id, event.text, lost=lost)
    return with_answer(world, answer.id, sentences=(*answer.sentences, sentence))


def _synthesised(world: World, event: ev.SentenceSynthesised, _: Policy) -> World:
    if event.session_id != world.synthesis:
        return world
    return with_sentence(world._replace(synthesis="", unvoiced=0), event.session_id, Sound.NONE, audio_ms=event.audio_ms)


def _begun(world: World, event: ev.SentenceStarted, _: Policy) -> World:
    """What the device says of a sentence after its response was flushed crossed that, and was heard."""
    begins = [answer for answer in world.answers if any(one.session == event.session_id and one.ahead for one in answer.sentences)]
    if not any(answer.device in (Device.ADMITTED, Device.FLUSHED) for answer in begins):
        return world
    return with_sentence(world, event.session_id, Sound.HEARD, from_ms=event.played_ms)


def _unspoken(world: World, event: Any, _: Policy) -> World:
    if event.session_id != world.synthesis:
        return world
    failed = isinstance(event, ev.SynthesisFailed)
    return sentence_lost(world._replace(synthesis="", unvoiced=world.unvoiced + failed), event.session_id)


def _unanswered(world: World, _: ev.SynthesisExpired, __: Policy) -> World:
    return sentence_lost(world._replace(unvoiced=world.unvoiced + 1), world.synthesis)


def _called(world: World, event: ev.ToolCalled, _: Policy) -> World:
    response_id = event.response_id or (world.live[-1].id if world.live else "")
    answer = world.answer(response_id)
    if world.tool(event.tool_call_id) is not None:
        return with_answer(world, response_id, called=True) if answer is not None and answer.live and not answer.called else world
    ours = (answer is not None and answer.generated) or (not event.response_id and world.asked is not None)
    how = "told" if ours else "foreign" if answer is None else "late"
    world = world._replace(tools=(*world.tools, Tool(event.tool_call_id, response_id, how, event.name, event.arguments)))
    return with_answer(world, response_id, called=True) if answer is not None and answer.live else world


def _asks(world: World, event: ev.QuestionAsked, _: Policy) -> World:
    return with_answer(world, event.response_id, asks=True)


def _whole(world: World, event: ev.ItemsDone, _: Policy) -> World:
    return with_answer(world, event.response_id, whole=True)


def _words(world: World, event: ev.TextArrived, _: Policy) -> World:
    """Words of what is to be heard now; those of what is to follow tell nothing of a silence."""
    front = world.front
    return with_answer(world, front.id, words=True) if front is not None and front.id == event.response_id else world


def _refused(world: World, event: ev.CreateRefused, _: Policy) -> World:
    if world.asked is None:
        return world
    if world.asked.crossed:
        return world._replace(asked=None)
    return world._replace(
        asked=None, failed=True, wait_ms=event.retry_after_ms, busy=event.code == "conversation_already_has_active_response"
    )


def _unsent(world: World, event: ev.CancelUnsent, policy: Policy) -> World:
    answer = world.answer(event.response_id)
    if answer is None or not answer.cancelled:
        return world
    unsent = answer.unsent + 1
    return with_answer(world, answer.id, cancelled=False, unsent=unsent, overdue=answer.overdue or unsent >= policy.cancel_attempts)


def _goodbye(world: World, event: ev.GoodbyeSaid, policy: Policy) -> World:
    """What says goodbye ends the call if it is heard, it is no greeting, and the caller has said enough (R42, R46, R48)."""
    said = world.answer(event.response_id)
    if world.bye or said is None or said.cause is Cause.GREETING or world.turns < policy.least_turns:
        return world
    heard = said is world.answers[-1] and was_heard_last(world, said) and not (said.called or world.failed)
    lasts = said.completed or (said.live and not said.withdrawn)
    counts = heard or (said.audible and lasts and not said.overdue)
    return world._replace(bye=said.id, why=Reason.GOODBYE, wish="") if counts else world


def _wished(world: World, event: ev.HangupRequested, _: Policy) -> World:
    """The application wishes the end after a response, unless that was cut or broken off, or the caller has spoken since."""
    said = world.answer(event.response_id)
    broken = said is not None and (said.cut or is_broken(said) or (said.live and said.device is Device.NEVER))
    since = has_spoken(world) or world.asked is not None or world.failed or (said is not None and said is not world.answers[-1])
    past = said is not None and not (said.audible or said.live) and since
    if world.bye or broken or past:
        return world
    saying = [answer.id for answer in world.answers if answer.audible or (answer.device is Device.RETIRED and answer.generated)]
    return world._replace(bye=event.response_id or (saying[-1] if saying else "*"), why=Reason.APPLICATION, wish=event.reason)


def _starts(world: World, _: ev.SpeechStarted, __: Policy) -> World:
    asked = world.asked is not None and not (world.asked.cut or world.asked.crossed)
    alive = any(
        answer.audible or (answer.generated and answer.device is not Device.NEVER and not (answer.withdrawn or answer.cut))
        for answer in world.answers
    )
    if world.bye != "*" and not (asked or alive):
        world = world._replace(bye="")
    return world._replace(speaking=True, stopped=False, early=False, alarm=False)


def _stops(world: World, event: ev.SpeechStopped, _: Policy) -> World:
    if event.item_id and event.item_id == world.turn:
        return world
    return world._replace(speaking=False, stopped=True)


def _committed(world: World, event: ev.TurnCommitted, policy: Policy) -> World:
    if event.item_id and event.item_id == world.turn:
        return world
    if world.early and not world.speaking and not world.stopped:
        return world._replace(turn=event.item_id, early=False, committing=False)
    if world.alarm and world.front is not None and not world.front.asks and not _waits(world):
        # What was begun before does not know of this one.
        world = _all_turns(world)
        doubt, owed = world.front.id, world.owed  # type: ignore[union-attr]
        world = _taken(owe(world, SOUND), event, policy, owed=owed - {GREETING}, optional=world.optional | {SOUND}, doubt=doubt)
    else:
        world = _taken(owe(world, TURN), event, policy, doubt="")
    answers = policy.create_response and world.rights and world.confirmed
    return world._replace(auto=(world.owed | world.optional & {SOUND}) & IN_CONVERSATION) if answers else world


def _all_turns(world: World) -> World:
    """A sound that has words is a turn like any other once another comes."""
    if SOUND not in world.owed:
        return world

    def told(debts: frozenset[str]) -> frozenset[str]:
        return frozenset(TURN if debt == SOUND else debt for debt in debts)

    answers = tuple(answer._replace(pays=told(answer.pays)) for answer in world.answers)
    return world._replace(answers=answers, owed=told(world.owed), tried=told(world.tried), maybe_tried=told(world.maybe_tried))


def _waits(world: World) -> bool:
    """Is there a turn that nothing which was begun answers?"""
    asked = world.asked is not None and TURN in world.asked.pays
    return TURN in world.owed and not asked and not any(TURN in answer.pays for answer in world.answers)


def _taken(world: World, event: ev.TurnCommitted, policy: Policy, **changes: Any) -> World:
    world = _counted(world, policy)._replace(prompts=0, failures=0)
    return world._replace(turn=event.item_id, speaking=False, stopped=False, committing=False, early=False, bye="", **changes)


def _counted(world: World, policy: Policy) -> World:
    return world._replace(turns=min(world.turns + 1, policy.least_turns))


def _commit_refused(world: World, _: ev.CommitRefused, __: Policy) -> World:
    return world._replace(stopped=False, committing=False)


def _turn_over(world: World, _: ev.TurnExpired, policy: Policy) -> World:
    if not world.confirmed:
        return _counted(world._replace(speaking=False), policy) if world.speaking else world
    after = owe(_counted(world, policy), TURN, prompts=0, failures=0, speaking=False, stopped=False, early=True, bye="")
    # without a commit nobody can tell which of the caller's words the server's own answer knows
    return after if world.auto is None else after._replace(auto=world.auto | {TURN})


def _transcribed(world: World, event: ev.Transcribed, _: Policy) -> World:
    """What the words say of a sound over the voice: no word, no turn; a listener's is none; others make it one after all."""
    if event.backchannel:
        return _overheard(world, event.item_id)
    if event.item_id != world.turn:
        return world
    asks = world.front is not None and world.front.asks
    if world.awaited and not event.text and not (asks or world.speaking or world.stopped):
        return world._replace(owed=world.owed - {TURN}, doubt="")
    if not world.doubt:
        return world
    front, doubt, world = world.front, world.doubt, world._replace(doubt="")
    if front is None or front.id != doubt or not event.text:
        return world
    return world._replace(owed=world.owed | {SOUND}, optional=world.optional - {SOUND})


def _listened(world: World, event: ev.BackchannelHeard, _: Policy) -> World:
    return _overheard(world, event.item_id)


def _overheard(world: World, item_id: str) -> World:
    """A listener's word over the voice is no turn."""
    front = world.front
    over_the_voice = TURN in world.owed and front is not None and not front.asks and item_id in ("", world.turn)
    if not over_the_voice:
        return world
    return world._replace(owed=world.owed - {TURN}, optional=world.optional | {TURN})


def _dismissed(world: World, _: ev.TurnDismissed, __: Policy) -> World:
    """No answer is owed to the turn; for which a greeting that is under way was needless, and may be said again if it fails."""
    causes = [answer.cause for answer in world.answers if answer.generated or answer.audible] + ([world.asked.cause] if world.asked else [])
    greets = {GREETING} if Cause.GREETING in causes else set()
    optional = (world.optional - {TURN, SOUND}) | greets
    return world._replace(owed=world.owed - {TURN, SOUND}, optional=optional, doubt="", auto=None)


def _noticed(world: World, event: ev.NoticeRequested, _: Policy) -> World:
    name = NOTICE + event.text
    while name in world.owed:
        name += "+"
    return world._replace(owed=world.owed | {name})


def _progressed(world: World, event: Any, _: Policy) -> World:
    """What the device says of a response that it holds no more is past."""
    answer = world.answer(event.response_id)
    return world if answer is None or not answer.audible else with_answer(world, event.response_id, sound=Sound.HEARD, more=False)


def _finished(world: World, event: ev.PlayoutFinished, _: Policy) -> World:
    answer = world.answer(event.response_id)
    known = answer is not None and answer.audible and answer.sound
    return with_answer(world, event.response_id, sound=Sound.OUT, more=False) if known else world


def _stopped(world: World, event: ev.PlayoutStopped, _: Policy) -> World:
    answer = world.answer(event.response_id)
    if answer is None or answer.device is not Device.FLUSHED:
        return world
    return with_answer(world, answer.id, device=Device.SILENCED, items=_all_settled(answer))


def _all_settled(answer: Answer) -> tuple[Item, ...]:
    return tuple(item._replace(settled=True) for item in answer.items)


def _position_unknown(world: World, _: ev.TruncationExpired, __: Policy) -> World:
    answers = tuple(
        answer._replace(device=Device.SILENCED, items=_all_settled(answer)) if answer.device is Device.FLUSHED else answer
        for answer in world.answers
    )
    return world._replace(answers=answers)


def _create_overdue(world: World, _: ev.ResponseExpired, __: Policy) -> World:
    """The deadline of whatever is awaited of the server: of a create, or of the end of what was cancelled."""
    waits = all(_end_awaited(answer) for answer in world.answers if answer.generated)
    answers = tuple(answer._replace(overdue=True) if waits and _end_awaited(answer) else answer for answer in world.answers)
    if world.asked is not None:
        world = world._replace(asked=None, failed=True, wait_ms=0.0)
    return world._replace(answers=answers)


def _pressed(world: World, event: ev.DigitPressed, policy: Policy) -> World:
    if event.digit == policy.dtmf_terminator:
        return world._replace(entry=world.digits, digits="", handed=world.handed or bool(world.digits))
    digits = world.digits + event.digit
    whole = len(digits) == policy.dtmf_digits
    return world._replace(entry=digits if whole else "", digits="" if whole else digits, handed=whole)


def _key_pause(world: World, _: ev.DtmfExpired, __: Policy) -> World:
    return world._replace(entry=world.digits, digits="", handed=False)


def _calibrated(world: World, _: ev.Event, __: Policy) -> World:
    return world._replace(calibrated=True)


def _cooled(world: World, _: ev.CooldownExpired, __: Policy) -> World:
    return world._replace(replaced=False)


def _near_its_end(world: World, _: ev.LimitExpired, __: Policy) -> World:
    return world._replace(warned=True, owed=world.owed | {WARNING})


def _end_awaited(answer: Answer) -> bool:
    """Is nothing but its end awaited? The cancel of one that was never heard is sent once."""
    return answer.live and (answer.cancelled or (answer.unsent > 0 and answer.device is Device.NEVER))


def _opened(world: World, _: ev.SessionOpened, __: Policy) -> World:
    return world._replace(opened=True)


def _confirmed(world: World, _: ev.SessionConfirmed, __: Policy) -> World:
    return world._replace(confirmed=True)


def session_lost(world: World, _: ev.SessionLost | fx.OpenSession, __: Policy) -> World:
    """The session is gone, and all that was under way in it."""
    for answer in world.answers:
        world = came_to_nothing(world, answer.id) if answer.generated else world
    answers = tuple(answer._replace(live=False) if answer.live else answer for answer in world.answers)
    failed = world.failed or world.asked is not None or bool(world.live)
    world = world._replace(answers=answers, failed=failed, stopped=world.stopped or world.speaking, asked=None, auto=None)
    world = world._replace(opened=False, configured=False, confirmed=False, speaking=False)
    return world if world.away else world._replace(away=True, lost=world.lost + 1)


def _taken_up(world: World, event: ev.TakenUp, _: Policy) -> World:
    """Nothing is under way any more, neither at the server nor here; what was heard is known by the record."""
    whole = next((of.response_id for of in event.heard if 0 < of.received_ms <= of.played_ms), "")
    said, front, to_follow = world.answer(world.bye), world.front, sum(answer.audible for answer in world.answers) > 1
    if front is not None and front.notice and front.completed and front.id == whole and not to_follow:
        world = world._replace(owed=world.owed - front.pays)
    answers = tuple(
        answer._replace(live=False, device=Device.SILENCED, items=_all_settled(answer))
        if answer.audible or answer.device is Device.FLUSHED
        else answer._replace(live=False)
        for answer in world.answers
    )
    failed = world.failed or world.asked is not None or bool(world.live) or front is not None
    again = {one.tool_call_id for one in event.repeatable}
    tools = tuple(tool._replace(response_id="", how="told") if tool.how == "runs" and tool.id in again else tool for tool in world.tools)
    waited = any(tool.how == "told" for tool in world.tools)
    world = world._replace(answers=answers, failed=failed, tools=tools, stopped=world.stopped or world.speaking, asked=None, auto=None)
    world = world._replace(opened=False, configured=False, confirmed=False, away=False, speaking=False, line=False, held=False)
    if not (said is not None and said.audible and said.completed and said.id == whole):
        world = world._replace(bye="*" if world.bye and world.why is not Reason.GOODBYE else "")
    world = world._replace(committing=False)
    return owe(world, TOOL) if waited else world


def _owner_lost(world: World, _: ev.OwnershipLost, __: Policy) -> World:
    """The call is another's, and so is all that becomes of it."""
    return World(hung_up=world.hung_up, told=True, closed=True)


def _line(world: World, _: ev.LineOpened, __: Policy) -> World:
    return world._replace(line=True)


def _closed(world: World, _: ev.LineClosed, __: Policy) -> World:
    return world._replace(closed=True)


_EVENTS: dict[type[ev.Event], Callable[[World, Any, Policy], World]] = {
    **dict.fromkeys((ev.ResponseCompleted, ev.ResponseCancelled, ev.ResponseFailed, ev.ResponseIncomplete), _ended),
    **dict.fromkeys((ev.SynthesisDiscarded, ev.SynthesisFailed), _unspoken),
    ev.GoodbyeSaid: _goodbye,
    ev.HangupRequested: _wished,
    ev.ItemAdded: _item,
    ev.AudioArrived: _item,
    ev.SentenceCut: _sentence,
    ev.SentenceSynthesised: _synthesised,
    ev.SynthesisExpired: _unanswered,
    ev.SentenceStarted: _begun,
    ev.ToolCalled: _called,
    ev.QuestionAsked: _asks,
    ev.TextArrived: _words,
    ev.ItemsDone: _whole,
    ev.CreateRefused: _refused,
    ev.CancelUnsent: _unsent,
    ev.SpeechStarted: _starts,
    ev.SpeechStopped: _stops,
    ev.TurnCommitted: _committed,
    ev.CommitRefused: _commit_refused,
    ev.TurnExpired: _turn_over,
    ev.Transcribed: _transcribed,
    ev.BackchannelHeard: _listened,
    ev.TurnDismissed: _dismissed,
    ev.NoticeRequested: _noticed,
    ev.PlayoutProgressed: _progressed,
    ev.QueueEmptied: _progressed,
    ev.PlayoutFinished: _finished,
    ev.PlayoutStopped: _stopped,
    ev.TruncationExpired: _position_unknown,
    ev.ResponseExpired: _create_overdue,
    ev.SessionOpened: _opened,
    ev.SessionConfirmed: _confirmed,
    ev.SessionLost: session_lost,
    ev.TakenUp: _taken_up,
    ev.OwnershipLost: _owner_lost,
    ev.LineOpened: _line,
    ev.LineClosed: _closed,
    ev.DigitPressed: _pressed,
    ev.DtmfExpired: _key_pause,
    ev.VadCalibrated: _calibrated,
    ev.CalibrationExpired: _calibrated,
    ev.CooldownExpired: _cooled,
    ev.LimitExpired: _near_its_end,
}
