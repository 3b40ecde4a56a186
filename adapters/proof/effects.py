"""What each effect makes of the world, as soon as it is asked for: whoever carries it out does so."""

from collections.abc import Callable
from typing import Any

from adapters.proof.events import session_lost
from adapters.proof.world import (
    ENTRY,
    GREETING,
    IN_CONVERSATION,
    OWN_WORDS,
    TOOL,
    WARNING,
    Asked,
    Device,
    Sentence,
    Sound,
    World,
    is_broken,
    is_notice,
    owe,
    sentence_lost,
    with_answer,
    with_sentence,
)
from fsm.call import effects as fx
from fsm.call.effects import Cause, Reason
from fsm.call.policy import Policy


def done(world: World, effect: fx.Effect, policy: Policy) -> World:
    """The world after an effect was carried out."""
    does = _EFFECTS.get(type(effect))
    return world if does is None else does(world, effect, policy)


def _opened_anew(world: World, effect: fx.OpenSession, policy: Policy) -> World:
    """Whoever speaks as a detector of ours tells, speaks on."""
    after = session_lost(world, effect, policy)._replace(away=False, lost=world.lost)
    return after._replace(speaking=world.speaking, stopped=world.stopped) if policy.turns == "local" else after


def _create(world: World, effect: fx.CreateResponse, _: Policy) -> World:
    match effect.cause:
        case Cause.GREETING:
            pays = frozenset({GREETING})
        case Cause.NOTICE:
            pays = frozenset([debt for debt in sorted(world.owed) if is_notice(debt, effect.instructions)][:1])
        case Cause.LIMIT_WARNING:
            pays = frozenset({WARNING})
        case cause if cause in OWN_WORDS:
            pays = frozenset()
        case _:
            pays = (world.owed | world.optional) & IN_CONVERSATION
    if effect.cause in OWN_WORDS:
        world = world._replace(sure=0)
    bye = world.bye or ("*" if effect.cause is Cause.FAREWELL else "")
    if bye and not world.bye:
        world = world._replace(why=Reason.IDLE, wish="")
    return world._replace(asked=Asked(effect.cause, pays), failed=False, bye=bye, busy=False)


def _cancel(world: World, effect: fx.CancelResponse, _: Policy) -> World:
    return with_answer(world, effect.response_id, cancelled=True, overdue=False)


def _admit(world: World, effect: fx.Admit, _: Policy) -> World:
    return with_answer(world, effect.response_id, device=Device.ADMITTED)


def _flush(world: World, effect: fx.Flush, _: Policy) -> World:
    return with_answer(world._replace(failed=True), effect.response_id, device=Device.FLUSHED)


def _retire(world: World, effect: fx.Retire, _: Policy) -> World:
    answer = world.answer(effect.response_id)
    if answer is None or not answer.audible:
        return world
    if answer.notice and (answer.completed or (answer.whole and answer.live)) and answer.sound:
        world = world._replace(owed=world.owed - answer.pays)
    failed = world.failed or not (answer.sound or (answer.called and not answer.notice))
    items = answer.items
    if is_broken(answer):
        # more of it may come, which nobody will hear: what was heard of it stays known
        items = tuple(item._replace(settled=item.settled or item.came) for item in items)
    return with_answer(world._replace(failed=failed), answer.id, device=Device.RETIRED, items=items)


def _hold(world: World, _: fx.Hold, __: Policy) -> World:
    return world._replace(held=True)


def _resume(world: World, _: fx.Resume, __: Policy) -> World:
    return world._replace(held=False)


def _hang_up(world: World, _: fx.HangUp, __: Policy) -> World:
    return world._replace(hung_up=True)


def _tell(world: World, _: fx.TellEnded, __: Policy) -> World:
    return world._replace(told=True)


def _close(world: World, _: fx.CloseSession, __: Policy) -> World:
    return world._replace(opened=False, configured=False, confirmed=False)


def _configure(world: World, _: fx.ConfigureSession, policy: Policy) -> World:
    return world._replace(configured=True, rights=not policy.guards_greeting)


def _protect(world: World, _: fx.ProtectResponse, __: Policy) -> World:
    return world._replace(rights=False)


def _release(world: World, _: fx.ReleaseResponse, __: Policy) -> World:
    return world._replace(rights=True)


def _commit(world: World, _: fx.CommitTurn, __: Policy) -> World:
    return world._replace(committing=True)


def _enter(world: World, _: fx.AddEntry, __: Policy) -> World:
    return owe(world, ENTRY, entry="", failures=0)


def _run(world: World, effect: fx.RunTool, _: Policy) -> World:
    return _tool(world, effect.tool_call_id, "runs")


def _result(world: World, effect: fx.SendToolResult, _: Policy) -> World:
    ran = effect.tool_call_id in world.running
    world = _tool(world, effect.tool_call_id, "answered")
    return owe(world, TOOL, failures=0) if ran and not world.running else world


def _tool(world: World, tool_call_id: str, how: str) -> World:
    tools = tuple(tool._replace(how=how) if tool.id == tool_call_id else tool for tool in world.tools)
    return world._replace(tools=tools)


def _synthesise(world: World, effect: fx.Synthesise, _: Policy) -> World:
    answer = world.answer(effect.response_id)
    if answer is not None and all(sentence.session != effect.session_id for sentence in answer.sentences):
        # words of ours, which are no item of the model's (R92)
        world = with_answer(world, answer.id, sentences=(*answer.sentences, Sentence(effect.session_id, "", effect.text)))
    return with_sentence(world._replace(synthesis=effect.session_id), effect.session_id, Sound.NONE, begun=True)


def _noted(world: World, effect: fx.Log, _: Policy) -> World:
    return sentence_lost(world, effect.detail) if effect.code == "sentence_dropped" else world


def _unsynthesise(world: World, effect: fx.CancelSynthesis, _: Policy) -> World:
    return world._replace(synthesis="") if world.synthesis == effect.session_id else world


def _forget(world: World, effect: fx.TruncateItem | fx.DeleteItem | fx.RewriteItem, _: Policy) -> World:
    for answer in world.answers:
        if any(item.name == effect.item_id and not item.settled for item in answer.items):
            items = tuple(item._replace(settled=True) if item.name == effect.item_id else item for item in answer.items)
            return with_answer(world, answer.id, items=items)
    return world


_EFFECTS: dict[type[fx.Effect], Callable[[World, Any, Policy], World]] = {
    fx.CreateResponse: _create,
    fx.CancelResponse: _cancel,
    fx.Admit: _admit,
    fx.Flush: _flush,
    fx.Retire: _retire,
    fx.Hold: _hold,
    fx.Resume: _resume,
    fx.HangUp: _hang_up,
    fx.TellEnded: _tell,
    fx.CloseSession: _close,
    fx.OpenSession: _opened_anew,
    fx.ConfigureSession: _configure,
    fx.ProtectResponse: _protect,
    fx.ReleaseResponse: _release,
    fx.CommitTurn: _commit,
    fx.AddEntry: _enter,
    fx.RunTool: _run,
    fx.SendToolResult: _result,
    fx.Log: _noted,
    fx.Synthesise: _synthesise,
    fx.CancelSynthesis: _unsynthesise,
    **dict.fromkeys((fx.TruncateItem, fx.DeleteItem, fx.RewriteItem), _forget),
}
