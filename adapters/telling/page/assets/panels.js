// What is told in words: the events, what one of them did and did not do, the states, a table, the words said, and where the time went.

import { clock, span } from "./model.js";

const ROW = 26;

// An element with a class and children; text is never markup.
export function make(tag, name = "", ...children) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function told(text, doc) {
  const element = make("span", "told", text);
  if (doc) element.title = doc;
  return element;
}

// A value in words; of a long id, where there is little room, only its ends.
function short(value, brief = false) {
  if (value === null || value === "") return "–";
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : value.toFixed(1);
  if (typeof value === "string") return brief && value.length > 16 && !value.includes(" ") ? `${value.slice(0, 5)}…${value.slice(-5)}` : value;
  if (Array.isArray(value)) return value.map((one) => short(one, brief)).join(", ");
  if (typeof value === "object") return `(${fields(value, [], brief)})`;
  return value === true ? "yes" : "no";
}

export function fields(given, skip = [], brief = false) {
  return Object.entries(given).filter(([name, value]) => !skip.includes(name) && value !== "" && value !== null)
    .map(([name, value]) => `${name} ${short(value, brief)}`).join(" · ");
}

// The list of events: only what is seen is in the page, however long the call.
export class Events {
  constructor(root, model, on) {
    this.root = root.querySelector(".list");
    this.filter = root.querySelector("input");
    this.on = on;
    this.inner = make("div", "inner");
    this.root.append(this.inner);
    this.use(model);
    this.root.addEventListener("scroll", () => this.draw());
    this.filter.addEventListener("input", () => { this.shown = null; this.draw(); });
    new ResizeObserver(() => this.draw()).observe(this.root);
  }

  use(model) {
    this.model = model;
    this.index = -1;
    this.shown = null;
    this.root.scrollTop = 0;
    this.draw();
  }

  // The numbers of the steps that the filter lets through; there is room for all of them.
  list() {
    const words = this.filter.value.trim().toLowerCase(), steps = this.model.steps;
    if (!this.shown || this.words !== words) { this.shown = []; this.looked = 0; this.words = words; }
    for (; this.looked < steps.length; this.looked += 1) {
      const step = steps[this.looked];
      const text = [step.event, ...step.signals, ...step.effects.map((effect) => effect.effect), ...Object.keys(step.moves), fields(step.fields)].join(" ").toLowerCase();
      if (!words || text.includes(words)) this.shown.push(this.looked);
    }
    this.inner.style.height = `${this.shown.length * ROW}px`;
    return this.shown;
  }

  draw() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => { this.due = false; this.now(); });
  }

  now() {
    const list = this.list(), top = Math.max(0, Math.floor(this.root.scrollTop / ROW) - 4), many = Math.ceil(this.root.clientHeight / ROW) + 8;
    this.inner.replaceChildren(...list.slice(top, top + many).map((index, place) => this.line(index, (top + place) * ROW)));
    if (!list.length) this.inner.replaceChildren(make("p", "none", this.model.steps.length ? "No event fits." : "Nothing has happened yet."));
  }

  line(index, y) {
    const step = this.model.steps[index], line = make("div", "event");
    line.style.top = `${y}px`;
    line.setAttribute("role", "option");
    line.setAttribute("aria-selected", String(index === this.index));
    line.classList.toggle("on", index === this.index);
    line.classList.toggle("calm", !Object.keys(step.moves).length && !step.effects.length);
    const raised = step.signals.map((signal) => make("b", "signal", signal));
    line.append(make("time", "", clock(step.at)), make("span", "name", step.event), ...raised);
    if (step.effects.length) line.append(make("span", "asked", `→ ${step.effects.map((effect) => effect.effect).join(", ")}`));
    line.append(make("span", "fields", Object.values(step.fields).filter((value) => value !== "" && value !== null && !Array.isArray(value)).map((value) => short(value, true)).join(" · ")));
    line.addEventListener("click", () => this.on.step(index));
    return line;
  }

  select(index, reveal = true) {
    if (this.index === index) return;
    this.index = index;
    const place = this.list().findIndex((one) => one >= index);
    const y = (place < 0 ? this.list().length - 1 : place) * ROW;
    if (reveal && (y < this.root.scrollTop + ROW || y > this.root.scrollTop + this.root.clientHeight - 2 * ROW)) this.root.scrollTop = y - this.root.clientHeight / 3;
    this.draw();
  }
}

// What a step did: each region's answer, and why the others did nothing.
export function answers(model, index, on) {
  if (index < 0) return [make("p", "none", model.steps.length ? "Before the first event. Move the cursor, or press →." : "What each event does in each table stands here, as soon as there is one.")];
  const step = model.steps[index], { events, effects, guards } = model.tables;
  const head = make("header", "what", make("h2", "", step.event, make("time", "", clock(step.at))), make("p", "doc", events[step.event].doc));
  const given = fields(step.fields);
  if (given) head.append(make("p", "fields", given));
  const parts = [head];
  if (step.effects.length) {
    parts.push(make("ul", "effects", ...step.effects.map((effect) => make("li", "", told(effect.effect, effects[effect.effect]), make("span", "fields", fields(effect, ["effect"]))))));
  }
  for (const { cause, given: rows } of model.answers(index)) {
    if (cause !== step.event) parts.push(make("h3", "", make("b", "signal", cause), make("span", "doc", events[cause].doc)));
    const acting = rows.filter(({ row }) => !row.reason), idle = rows.filter(({ row }) => row.reason);
    parts.push(...acting.map((one) => card(model, one, cause, guards, on)));
    parts.push(ignored(model, idle, acting.length, guards, on));
  }
  return parts;
}

function card(model, { name, region, row, state, above }, cause, guards, on) {
  const to = row.go ?? state, moves = row.go !== null;
  const where = make("span", "move", chip(model, name, state), ...(moves ? [make("span", "arrow", "→"), chip(model, name, to), ...(to === state ? [make("span", "stays", "anew")] : [])] : [make("span", "stays", "stays")]));
  const because = make("p", "row", "on ", make("code", "", row.on.length > 1 || row.on[0] !== cause ? row.on.join(" | ") : cause));
  if (row.if !== "always") because.append(" if ", tell(row.if, guards[row.if]));
  if (row.acts.length) because.append(" do ", ...row.acts.flatMap((act, at) => [at ? ", " : "", tell(act, model.tables.acts[act])]));
  if (row.raises.length) because.append(" raises ", ...row.raises.map((signal) => make("b", "signal", signal)));
  const title = make("button", "region", name);
  title.addEventListener("click", () => on.region(name));
  return make("article", "card", make("div", "top", title, where, make("span", "file", model.where(region, row))), because, whyNot(above, guards));
}

export function tell(name, doc) {
  const code = make("code", "", name);
  if (doc) code.title = doc;
  return code;
}

export function chip(model, region, state) {
  const element = make("span", "chip", state);
  element.dataset.tone = model.tone(region, state);
  element.title = model.docs.get(region).get(state)?.doc ?? "";
  return element;
}

// The rows above the one that fired: each had a guard that did not hold.
function whyNot(above, guards) {
  if (!above.length) return null;
  const rows = above.map((row) => make("li", "", make("code", "no", row.if), make("span", "", ` no: ${(guards[row.if] ?? "").replace(/\?$/, "?")}`),
    make("span", "then", row.reason ? ` Else it would have been ignored: ${row.reason}.` : ` Else: ${row.go ? `go ${row.go}` : "stay"}${row.raises.length ? `, raise ${row.raises.join(", ")}` : ""}.`)));
  return make("details", "whynot", make("summary", "", `why not ${above.length === 1 ? "the row" : `the ${above.length} rows`} above`), make("ul", "", ...rows));
}

// What did nothing is made when it is looked at: it is most of what there is, and a call that goes on has a new event every moment.
function ignored(model, idle, acting, guards, on) {
  const box = make("details", "idle", make("summary", "", `${acting ? `${idle.length} regions` : `All ${idle.length} regions`} ignored it, and why`));
  const fill = () => { if (box.open && box.childElementCount === 1) box.append(reasons(model, idle, guards, on)); };
  box.addEventListener("toggle", fill);
  box.open = !acting;
  fill();
  return box;
}

function reasons(model, idle, guards, on) {
  return make("dl", "", ...idle.flatMap(({ name, row, state, above }) => {
    const title = make("button", "region", name);
    title.addEventListener("click", () => on.region(name));
    return [make("dt", "", title, chip(model, name, state)), make("dd", "", row.reason, row.if !== "always" ? make("span", "", " (because ", tell(row.if, guards[row.if]), ")") : null, whyNot(above, guards))];
  }));
}

// Every region's state at a moment, since when, its deadline, and what else its record holds.
export function states(model, index, ms, on, chosen) {
  const records = model.records(index);
  return [make("p", "doc", "What each region is in at the cursor; choose one to see what it remembers."), make("table", "states", make("thead", "", make("tr", "", ...["region", "state", "since", "deadline"].map((name) => make("th", "", name)))), make("tbody", "", ...model.names.flatMap((name) => {
    const { state, since, due_ms: due, epoch, ...rest } = records[name];
    const title = make("button", "region", name);
    title.addEventListener("click", () => on.pick(name));
    const left = make("td", "due");
    if (due !== null && due !== undefined) {
      const bar = make("span", "bar", make("i"));
      bar.firstChild.style.width = `${Math.max(0, Math.min(100, (100 * (due - ms)) / Math.max(1, due - since)))}%`;
      left.append(bar, make("span", "", due >= ms ? `in ${span(due - ms)}` : "passed"));
      left.title = `${model.docs.get(name).get(state).lasts}; then comes ${model.regions.get(name).expires}, at ${clock(due)}`;
    } else {
      left.append(make("span", "none", "none"));
      left.title = model.docs.get(name).get(state).lasts;
    }
    const row = make("tr", name === chosen ? "on" : "", make("th", "", title), make("td", "", chip(model, name, state)), make("td", "since", clock(since)), left);
    const more = name !== chosen ? "" : fields(Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== false && value !== 0 && !(Array.isArray(value) && !value.length))));
    return more ? [row, make("tr", "record", make("td"), make("td", "", more))] : [row];
  })))].map((table) => { for (const cell of table.querySelectorAll(".record td:last-child")) cell.colSpan = 3; return table; });
}

// A region's table as it is written, with the rows that the step took lit, and how often each was taken so far.
export function table(model, index, name) {
  const region = model.regions.get(name), lit = model.lit(index, name), fired = model.fired.get(name), now = model.records(index)[name].state;
  const before = model.records(index - 1)[name].state;
  const chips = region.states.map((state) => {
    const one = chip(model, name, state.name);
    one.classList.toggle("now", state.name === now);
    one.classList.toggle("was", state.name === before && before !== now);
    one.title = `${state.doc} It lasts ${state.lasts}.`;
    return one;
  });
  const rows = region.rows.map((row, number) => {
    const states = row.while.length === region.states.length ? "in any state" : row.while.length > 4 ? `in ${row.while.length} states` : row.while.join(" | ");
    const on = make("div", "on", make("span", "while", states), " ", make("b", "", row.on.join(" | ")));
    on.firstChild.title = row.while.join(", ");
    if (row.if !== "always") on.append(" if ", tell(row.if, model.tables.guards[row.if]));
    const then = make("div", "then", "→ ", row.reason ? make("i", "", `ignored: ${row.reason}`) : row.go ? chip(model, name, row.go) : "stay");
    if (row.acts.length) then.append(` ${row.acts.join(", ")}`);
    if (row.raises.length) then.append(" raises ", ...row.raises.map((signal) => make("b", "signal", signal)));
    const line = make("li", lit.has(number) ? "lit" : row.while.includes(now) || row.while.includes(before) ? "" : "away", make("span", "times", fired[number] ? `${fired[number]}×` : ""), make("div", "", on, then));
    return line;
  });
  return [make("p", "doc", `${region.doc[0].toUpperCase()}${region.doc.slice(1)}. `, make("span", "file", region.file)), make("div", "strip", ...chips), make("ol", "rows", ...rows)];
}

export function words(model, ms, on) {
  if (!model.said.length) return [make("p", "none", model.call.redacted ? "The words are left out." : "Nothing has been said yet.")];
  return [make("ol", "words", ...[...model.said].sort((one, other) => one.start_ms - other.start_ms).map((said) => {
    const line = make("button", "", make("time", "", clock(said.start_ms)), make("span", `who ${said.who}`, said.who), make("span", "text", said.text));
    line.addEventListener("click", () => on.seek(said.start_ms));
    return make("li", said.start_ms <= ms && ms < said.end_ms ? "on" : "", line);
  }))];
}

// Where the time went: a bar for each answer, in its parts, and each barge-in.
export function times(model, ms, on) {
  const waits = model.waits.filter((wait) => wait.parts.length), whole = Math.max(1, ...waits.map(total));
  if (!waits.length && !model.barges.length) return [make("p", "none", "Nothing has been answered yet.")];
  const names = [...new Set(waits.flatMap((wait) => wait.parts.map(([name]) => name)))];
  const parts = [make("p", "doc", "From the end of the caller's speech, as the VAD told it, to the first sound that was heard of the answer.")];
  if (waits.length) parts.push(make("p", "legend", ...names.map((name) => { const one = make("span", "", make("i"), name); one.dataset.part = name; return one; })));
  for (const wait of waits) {
    const bar = make("span", "wait", ...wait.parts.filter(([, long]) => long > 0).map(([name, long]) => {
      const one = make("i");
      one.dataset.part = name;
      one.style.width = `${(100 * long) / whole}%`;
      one.title = `${name}: ${span(long)}`;
      return one;
    }));
    const says = wait.parts.filter(([, long]) => long >= 1).map(([name, long]) => `${name} ${span(long)}`).join(" · ");
    const line = make("button", `answer ${wait.answered ? "" : "open"}`, make("span", "head", make("time", "", clock(wait.from)), make("span", "", wait.kind), make("b", "", wait.answered ? span(total(wait)) : "not answered")), bar, make("span", "fields", says));
    line.addEventListener("click", () => on.seek(wait.from));
    parts.push(line);
  }
  if (model.barges.length) parts.push(make("h3", "", "Barge-ins"));
  for (const barge of model.barges) {
    const steps = [["the voice held", barge.held_ms], ["decided", barge.decided_ms], ["the device stopped", barge.stopped_ms], ["the response ended", barge.ended_ms]];
    const says = steps.filter(([, at]) => at !== null && at !== undefined).map(([name, at]) => `${name} +${span(at - barge.heard_ms)}`).join(" · ");
    const heard = barge.received_ms ? `heard ${span(barge.played_ms)} of ${span(barge.received_ms)}` : "";
    const line = make("button", "answer", make("span", "head", make("time", "", clock(barge.heard_ms)), make("span", "", "barge-in"), make("b", "", heard)), make("span", "fields", says));
    line.addEventListener("click", () => on.seek(barge.heard_ms));
    parts.push(line);
  }
  return parts;
}

function total(wait) {
  return wait.parts.reduce((sum, [, long]) => sum + long, 0);
}
