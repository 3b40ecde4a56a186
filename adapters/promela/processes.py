"""The processes of a model: the world that spin chooses, or a script that is read; and what both tell."""

from collections.abc import Iterator

import attrs

from adapters.promela.rules import LIVELOCK, Rules
from adapters.promela.tables import Tables
from adapters.promela.world import World

BEGIN, EVENT, FIRST = " ", "!", 33
"""A script: what begins a walk, what begins an event; the numbers of an event follow as characters from `FIRST` on."""
SAYS = "AT "
"""What a line begins with that says where the regions are."""


@attrs.frozen
class Processes:
    """Writes the processes of a model."""

    tables: Tables
    rules: Rules
    world: World

    def lines(self) -> Iterator[str]:
        """All of them."""
        names = [region.name for region in self.tables.regions]
        begins = [f"{one.name} = {one.start}" for one in self.tables.variables()]
        begins += [f"{one.rpartition(' ')[2]} = 0" for one in self.rules.remembered]
        yield "#ifdef SCRIPT"
        yield "chan STDIN;"
        yield "active proctype script()"
        yield "{"
        yield "    int c;"
        yield "    do"
        yield "    :: STDIN?c ->"
        yield "        if"
        yield f"        :: c == {ord(BEGIN)} -> d_step {{ {'; '.join(begins)}; late = 0; chain = 0 }}"
        yield f"        :: c == {ord(EVENT)} -> {self.world.script()} answer();"
        yield f'            printf("{SAYS}{" ".join(["%e"] * len(names))}\\n", {", ".join(names)})'
        yield "        :: else -> break"
        yield "        fi"
        yield "    od"
        yield "}"
        yield "#else"
        yield from self._told_once()
        yield from self._world()
        yield "#endif"

    def _world(self) -> Iterator[str]:
        yield "active proctype world()"
        yield "{"
        yield "again:"
        yield "    atomic {"
        yield "        choose();"
        yield "        answer();"
        yield "        c_code {"
        for place, region in enumerate(self.tables.regions):
            yield f"            ROW({place}, r_{region.name});"
        for place, flaw in enumerate(self.rules.flaws):
            yield f"            FLAW({place}, {flaw});"
        yield "            SOFAR"
        shown = ["e_kind", "e_stale", *[f"e_{name}" for name in self.world.told], *self.world.chosen]
        for sort in self.world.renamed():
            shown += [f"to_{sort}[{number}]" for number in range(1, self.tables.shape.most(sort) + 1)]
        yield f'            STEP("{" ".join(["%d"] * len(shown))}\\n", {", ".join(shown)})'
        yield "        };"
        yield "        if"
        yield from (f"        :: {flaw} -> assert({flaw} != 1); goto end_stopped" for flaw in self.rules.flaws)
        yield "        :: else"
        yield "        fi;"
        yield "#ifdef SILENCE"
        yield from self._owed()
        yield "#endif"
        yield "    };"
        yield "#ifdef SILENCE"
        yield f"    /* {self.rules.flaws[LIVELOCK]}: a round in which all had their turn must not come again */"
        yield f"    if :: owed == {len(self.world.running())} -> accept_{LIVELOCK}: owed = 0 :: else fi;"
        yield f"    if :: silent && ({self.rules.closed}) -> goto end_stopped :: else fi;"
        yield "#endif"
        yield "    goto again;"
        yield "end_stopped: false"
        yield "}"

    def _told_once(self) -> Iterator[str]:
        """C that says, once each, which rows answered and which flaws were found: pan keeps no account of what happens within a step."""
        most = max(len(region.declared) for region in self.tables.regions) + 1
        yield "c_decl {"
        yield f"    static unsigned char row_taken[{len(self.tables.regions)}][{most}], flaw_found[{len(self.rules.flaws)}];"
        first = "row && !readtrail && !row_taken[of][row]"
        yield f'#define ROW(of, row) if ({first}) row_taken[of][row] = printf("ROW %d %d\\n", of, (int) row) > 0;'
        yield "#define FLAW(of, flaw) if (flaw && flaw_found[of]) flaw = 2; else if (flaw) flaw_found[of] = 1;"
        yield "    static unsigned long told;"
        yield '#define SOFAR if (!(++told & 0xfff)) { printf("SOFAR %.0f %lu\\n", nstates, told); fflush(stdout); }'
        yield '#define STEP(...) if (readtrail) printf("STEP " __VA_ARGS__);'
        yield "}"

    def _owed(self) -> Iterator[str]:
        """While the world is silent each deadline that runs is owed its turn; when all had theirs, `owed` is at its end."""
        yield "        if"
        yield "        :: silent -> d_step {"
        for place, (region, waiting) in enumerate(self.world.running()):
            bit = 1 << self.tables.regions.index(region)
            yield f"            if :: owed == {place} && (!({waiting}) || (entered & {bit})) -> owed = {place + 1} :: else fi;"
        yield "            skip }"
        yield "        :: else"
        yield "        fi"
