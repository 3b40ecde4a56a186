"""Claims about the explorer: everything reachable once, by a shortest way, each rule's nearest fault."""

from collections.abc import Iterable
from random import Random

from hypothesis import given, settings, strategies as st

from fsm.engine.explore import Fault, Move, Space, explore, wander

STEADY = settings(max_examples=200, derandomize=True, database=None)
SIZE = 8
EDGES = st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(0, SIZE - 1)), max_size=20)
Edges = list[tuple[int, int]]


def spotless(_: int) -> Iterable[str]:
    return ()


def walk_of(edges: Edges) -> Space[int]:
    """Explore a graph from node 0."""

    def moves(node: int) -> Iterable[Move[int]]:
        return [Move(f"{source}>{target}", target) for source, target in edges if source == node]

    return explore(0, moves, spotless)


def counted(node: int) -> Iterable[Move[int]]:
    """One up, two up, and back to the start, without an end."""
    return [Move("+1", node + 1), Move("+2", node + 2), Move("0", 0)]


@given(EDGES)
@STEADY
def test_every_reachable_node_is_met_once_by_a_shortest_way(edges: Edges) -> None:
    space = walk_of(edges)
    far, front = {0: 0}, [0]
    for node in front:
        for source, target in edges:
            if source == node and target not in far:
                far[target] = far[node] + 1
                front.append(target)
    assert sorted(space.nodes) == sorted(far)
    assert [far[node] for node in space.nodes] == space.depth
    assert space.depth == sorted(space.depth)
    assert space.complete
    for number, node in enumerate(space.nodes):
        at = 0
        for label in space.way_to(number):
            source, at_next = map(int, label.split(">"))
            assert source == at
            at = at_next
        assert at == node
        assert len(space.way_to(number)) == space.depth[number]


def test_an_exploration_without_end_stops_at_its_limit() -> None:
    space = explore(0, counted, spotless, most=5)
    assert not space.complete
    assert space.explored == 5
    assert space.way_to(3) == ["+1", "+2"]


def test_the_nearest_fault_of_each_rule_is_told_once() -> None:
    def faults(node: int) -> Iterable[str]:
        return ["too many"] if node >= 3 else []

    space = explore(0, counted, faults, most=20)
    fault = Fault("too many", 3, None)
    assert space.faults == [fault]
    assert space.nodes[fault.node] == 3
    assert space.way_to(fault.node) == ["+1", "+2"]


def test_a_move_that_breaks_a_rule_is_told_and_not_followed() -> None:
    def moves(node: int) -> Iterable[Move[int]]:
        return [Move("fine", (node + 1) % 3), Move("bad", 9, ("never",))]

    space = explore(0, moves, spotless)
    assert space.faults == [Fault("never", 0, "bad")]
    assert 9 not in space.nodes
    assert space.moves == 6


def test_the_start_is_judged_too() -> None:
    space = explore(0, lambda _: [], lambda _: ["wrong from the first"])
    assert space.faults == [Fault("wrong from the first", 0, None)]


def test_progress_is_told_once_in_a_thousand_nodes() -> None:
    told: list[int] = []
    explore(0, lambda node: [Move("on", node + 1)], spotless, most=2500, watch=lambda _, at: told.append(at))
    assert told == [0, 1000, 2000]


def climbing(node: int, rng: Random) -> Move[int] | None:
    """One up one time in two, else nothing comes of it or it is down to the start again; 25 is the top."""
    if rng.random() < 0.5:
        return Move("+1", node + 1, ("too high",) if node == 25 else ())
    return Move("0", 0) if rng.random() < 0.5 else None


def walked(steps: int, news: bool, seed: int = 1) -> Space[int]:
    """Walks of five steps, from where each new number was found, if that is news."""
    rng = Random(seed)

    def told(node: int) -> list[str]:
        return ["ten"] if node == 10 else []

    return wander(0, lambda node: climbing(node, rng), told, lambda node: node if news else 0, steps=steps, length=5, chance=rng.random)


def test_a_walk_goes_on_from_what_was_new_and_so_gets_further() -> None:
    far, near = walked(2_000, news=True), walked(2_000, news=False)
    assert max(near.nodes) < 6 < max(far.nodes)
    assert [fault.rule for fault in far.faults] == ["ten", "too high"]
    assert not far.complete
    assert far.explored == len(far.nodes) == len(set(far.nodes))
    assert far.moves < 2_000


def test_a_walk_tells_a_way_to_each_of_its_nodes_and_is_the_same_for_the_same_seed() -> None:
    space = walked(500, news=True)
    for number, node in enumerate(space.nodes):
        way = space.way_to(number)
        assert len(way) == space.depth[number]
        assert way == ["+1"] * node
    assert walked(500, news=True) == space
    assert walked(40, news=True, seed=1) != walked(40, news=True, seed=2)
