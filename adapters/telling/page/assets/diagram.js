// A region's diagram, drawn from its table: the states in a column, ways down on the right and ways up on the left of them; the present state,
// the ways that lead from it, and the last one that was taken stand out. Below, what each of these ways needs.

import { clock } from "./model.js";
import { chip, make, tell } from "./panels.js";

const BROAD = 264, HALF = 62, HIGH = 29, TOP = 15; // the drawing's width, half that of a state, the distance of two, and what is above the first

// The ways between two states, each with the rows that lead there; the end of the call is a way from everywhere, and is left out.
function waysOf(region) {
  const ways = new Map();
  for (const [number, row] of region.rows.entries()) {
    if (row.go === null) continue;
    for (const from of row.while) {
      if (row.go === "over" || from === row.go) continue;
      const key = `${from} ${row.go}`;
      if (!ways.has(key)) ways.set(key, { from, to: row.go, rows: [] });
      ways.get(key).rows.push(number);
    }
  }
  return [...ways.values()];
}

// The last way that a region took up to a step: from where to where, by which row, and when.
function lastWay(model, index, name) {
  const place = model.names.indexOf(name), { rows } = model.regions.get(name);
  for (let at = index; at >= 0; at -= 1) {
    const step = model.steps[at];
    let from = model.records(at - 1)[name].state, last = null;
    step.rows.forEach((fired, part) => {
      const row = rows[fired[place]];
      if (row.go === null) return;
      if (row.go !== from) last = { from, to: row.go, row, cause: part ? step.signals[part - 1] : step.event, at: step.at, step: at };
      from = row.go;
    });
    if (last) return last;
  }
  return null;
}

export function diagram(model, index, name, on) {
  const region = model.regions.get(name), now = model.records(index)[name].state, last = lastWay(model, index, name);
  const states = region.states.map((state) => state.name), ways = waysOf(region);
  const box = make("div", "diagram"), svg = drawn("svg", { viewBox: `0 0 ${BROAD} ${TOP + states.length * HIGH}`, "aria-hidden": "true" });
  const lit = (way) => last && way.from === last.from && way.to === last.to;
  if (last && !ways.some(lit)) ways.push({ from: last.from, to: last.to, rows: [] });
  const rank = (way) => (lit(way) ? 2 : way.from === now ? 1 : 0);
  for (const way of ways.sort((one, other) => rank(one) - rank(other))) svg.append(arrow(way, states, ["", "next", "last"][rank(way)]));
  box.append(svg, ...states.map((state, at) => {
    const one = chip(model, name, state);
    one.classList.toggle("now", state === now);
    one.style.top = `${TOP + at * HIGH - 10}px`;
    return one;
  }));
  const parts = [make("p", "doc", `${region.doc[0].toUpperCase()}${region.doc.slice(1)}.`), box];
  if (last) {
    const button = make("button", "last-way", make("span", "", "The last way: "), make("code", "", last.cause), last.row.if === "always" ? null : make("span", "then", ` if ${last.row.if}`), make("time", "", ` at ${clock(last.at)}`));
    button.addEventListener("click", () => on.step(last.step));
    parts.push(button);
  }
  const onward = ways.filter((way) => way.from === now && way.rows.length);
  parts.push(make("h3", "", "Could come next"), onward.length ? make("dl", "next-states", ...onward.flatMap((way) => [
    make("dt", "", chip(model, name, way.to)),
    make("dd", "", ...way.rows.flatMap((number, place) => {
      const row = region.rows[number];
      return [place ? ", " : "", tell(row.on.join(" | "), row.on.map((event) => model.tables.events[event]?.doc ?? "").join(" ")), ...(row.if === "always" ? [] : [" if ", tell(row.if, model.tables.guards[row.if])])];
    })),
  ])) : make("p", "doc", "Nothing but the end of the call."), ...(on.onward?.(name) ?? []));
  return parts;
}

function arrow({ from, to }, states, kind) {
  const one = states.indexOf(from), other = states.indexOf(to), down = other > one, side = down ? 1 : -1, far = Math.abs(other - one);
  const x = BROAD / 2 + side * HALF, bulge = side * Math.min(BROAD / 2 - HALF - 2, 12 + 9 * far), y = (at, by) => TOP + at * HIGH + by;
  const start = y(one, down ? 5 : -5), end = y(other, down ? -5 : 5), tip = x + side * 7;
  const group = drawn("g", { class: `way ${kind}` });
  group.append(drawn("path", { d: `M${x},${start} C${x + 1.3 * bulge},${start} ${tip + 1.3 * bulge},${end} ${tip},${end}` }), drawn("polygon", { points: `${x},${end} ${tip},${end - 3.5} ${tip},${end + 3.5}` }));
  return group;
}

function drawn(tag, given) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(given)) element.setAttribute(name, value);
  return element;
}
