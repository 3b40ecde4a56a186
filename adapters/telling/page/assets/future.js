// What would have happened: the call at hand folded again by the server, beside the call as it was.

import { Model, clock } from "./model.js";
import { chip, fields, make } from "./panels.js";

export class Futures {
  constructor(page, url, trace) {
    this.page = page;
    this.url = url;
    this.trace = trace; // gives the text of the trace at hand
    this.none();
    page.on.drag = (name, by) => this.drag(name, by);
    page.on.onward = (name) => this.onward(name);
    page.tabsOf.future = { title: "What if", key: () => `${this.words} ${this.page.index} ${this.page.model === this.now}`, make: () => this.panel() };
    page.tabs();
  }

  none() {
    this.settings = {};
    this.without = new Set();
    this.added = [];
    this.words = "";
    this.was = this.now = this.difference = this.found = null;
  }

  // Another call is at hand.
  forget() {
    this.none();
    this.page.timeline.ghost = null;
    this.page.timeline.parting = null;
  }

  panel() {
    const { model } = this.page, policy = model.call.policy;
    if (!model.end) return [make("p", "none", "When the call is over, or a trace is open, you can change what was, and see what would have come of it.")];
    const name = make("select", "", ...Object.keys(policy).map((one) => { const option = make("option", "", one); option.value = one; option.selected = one === (this.name ?? "interruption_min_ms"); return option; }));
    name.setAttribute("aria-label", "a field of the policy");
    const value = make("input", "");
    value.setAttribute("aria-label", "its value");
    const show = () => { this.name = name.value; value.value = this.settings[name.value] ?? String(policy[name.value]); };
    show();
    name.addEventListener("change", show);
    const form = make("form", "change", name, value, make("button", "", "Try"));
    form.addEventListener("submit", (event) => { event.preventDefault(); this.settings[name.value] = value.value; this.ask(); });
    const step = this.page.model.steps[this.page.index], left = make("button", "", step ? `Leave out ${step.event} at ${clock(step.at)}` : "Move the cursor to an event to leave it out");
    left.disabled = !step || this.page.model === this.now;
    left.addEventListener("click", () => { this.without.add(this.page.index); this.ask(); });
    const parts = [make("p", "doc", "Change a field of the policy (or drag the end of a deadline in its lane), leave out the event at the cursor, or put one in there: the call is folded again. It is exact up to the first difference; behind it the world might have answered otherwise."), form, left, this.putIn()];
    const before = this.was ?? model;
    const changes = [...Object.entries(this.settings).map(([field, to]) => `${field} = ${to}`), ...[...this.without].map((at) => `without ${before.steps[at].event} at ${clock(before.steps[at].at)}`), ...this.added.map((one) => `with ${one.event} at ${clock(one.at_ms)}`)];
    if (changes.length) parts.push(make("h3", "", "Changed"), make("ul", "changes", ...changes.map((words) => make("li", "", words))));
    if (this.words) parts.push(make("p", "outcome", this.words));
    if (this.now) {
      const other = make("button", "", this.page.model === this.now ? "Show it as it was" : "Show what if");
      other.addEventListener("click", () => this.swap());
      const saves = this.files.map(({ words, name, url }) => { const save = make("a", "", words); save.download = name; save.href = url; return save; });
      const back = make("button", "", "Forget the changes");
      back.addEventListener("click", () => { const { was } = this; this.forget(); this.look(was); });
      parts.push(make("p", "choices", other, ...saves, back));
    }
    return parts;
  }

  // An event to put in at the cursor, with its fields as the last event had them.
  putIn() {
    const { page } = this, { model } = page, events = Object.entries(model.tables.events).filter(([, { fields }]) => fields);
    const name = make("select", "", ...events.map(([one]) => { const option = make("option", "", one); option.value = one; option.selected = one === (this.event ?? "SpeechStarted"); return option; }));
    name.setAttribute("aria-label", "an event");
    const inputs = make("div", "event-fields"), list = () => {
      this.event = name.value;
      const { fields: known, doc } = model.tables.events[name.value];
      name.title = doc;
      inputs.replaceChildren(...Object.entries(known).filter(([, value]) => !Array.isArray(value)).map(([field, value]) => {
        const input = make("input");
        input.name = field;
        input.value = this.lately(field) ?? value ?? "";
        return make("label", "", make("span", "", field), input);
      }));
    };
    name.addEventListener("change", list);
    list();
    const form = make("form", "put-in", make("div", "change", name, make("button", "", `Put in at ${clock(page.ms)}`)), inputs);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const { fields: known } = model.tables.events[name.value], given = Object.fromEntries([...inputs.querySelectorAll("input")].map((input) => [input.name, input.value]));
      this.put({ event: name.value, ...Object.fromEntries(Object.entries(known).map(([field, value]) => [field, value === null && given[field] === "" ? null : typeof value === "string" || Array.isArray(value) ? given[field] ?? value : Number(given[field])])), at_ms: page.ms });
    });
    return form;
  }

  // What a field was in the last event that had it.
  lately(field) {
    const { steps } = this.page.model;
    for (let at = this.page.index; at >= 0; at -= 1) if (field.endsWith("_id") && steps[at].fields[field]) return steps[at].fields[field];
    return null;
  }

  put(event) {
    this.added.push(event);
    this.ask();
  }

  // The end of a region's deadline is dragged by so many ms: the field of the policy that sets it changes by as much.
  drag(name, by) {
    const { model } = this.page, { state, since, due_ms: due } = model.records(this.page.index)[name], { policy } = model.call;
    const names = model.docs.get(name).get(state).lasts.match(/\w+/g).filter((word) => word in policy);
    const field = names.find((one) => Math.abs(policy[one] - (due - since)) < 1) ?? names[0];
    this.settings[field] = String(Math.round(policy[field] + by));
    this.name = field;
    this.ask();
  }

  // The states that a region could come to at the cursor, each with an event that brings it.
  onward(name) {
    const { page } = this, at = page.index, { model } = page, box = make("div", "onward");
    if (!model.end || at < 0) return [];
    const show = (found) => box.replaceChildren(...found.filter((one) => one.region === name).map(({ region, state, event, at_ms: when, ...given }) => {
      const row = make("div", "", chip(model, region, state), make("code", "", event), make("span", "fields", fields(given, ["items", "epoch"], true)));
      if (!model.tables.events[event].fields) { row.append(make("span", "fields", `at ${clock(when)}`)); return row; }
      const button = make("button", "", "What if");
      button.addEventListener("click", () => this.put({ event, ...given, at_ms: when }));
      row.append(button);
      return row;
    }), ...(found.some((one) => one.region === name) ? [] : [make("p", "doc", "No single event that was tried moves this table.")]));
    if (this.found?.at === at && this.found.model === model) show(this.found.list);
    else {
      const button = make("button", "", "Find an event for each");
      button.addEventListener("click", async () => {
        const answer = await this.fold({ next: at }, model === this.now);
        if (!answer.ok) { box.replaceChildren(make("p", "doc", (await answer.text()).trim())); return; }
        this.found = { at, model, list: await answer.json() };
        show(this.found.list);
      });
      box.append(button);
    }
    return [box];
  }

  async fold(more, changed = true) {
    const none = { settings: {}, without: [], added: [] }, changes = { settings: this.settings, without: [...this.without], added: this.added };
    return fetch(`${this.url}future`, { method: "POST", body: JSON.stringify({ trace: await this.trace(), ...(changed ? changes : none), ...more }) });
  }

  async ask() {
    let refusal = "", answer = null;
    try {
      answer = await this.fold({});
      if (!answer.ok) refusal = (await answer.text()).trim();
    } catch (error) {
      refusal = error.message;
    }
    if (refusal) {
      this.words = refusal;
      this.settings = {};
      this.added.pop();
      this.page.go("future");
      return;
    }
    const { document, trace, test, difference } = await answer.json();
    this.was ??= this.page.model;
    this.now = Model.of(document);
    this.now.sound = this.was.sound;
    this.difference = difference;
    this.saved = trace;
    for (const { url } of this.files ?? []) URL.revokeObjectURL(url);
    this.files = [["Save as a trace", "whatif.trace", trace], ["as a test", "test_whatif.py", test]].map(([words, name, text]) => ({ words, name, url: URL.createObjectURL(new Blob([text], { type: "text/plain" })) }));
    this.words = difference ? `First difference at ${clock(difference.at_ms)}: ${difference.words}.` : "It makes no difference to this call.";
    this.look(this.now);
    if (difference) this.page.step(difference.step);
  }

  swap() {
    const at = this.page.ms;
    this.look(this.page.model === this.now ? this.was : this.now);
    this.page.seek(at);
  }

  look(model) {
    const { timeline } = this.page, { from, to, levels } = timeline;
    this.page.use(model);
    timeline.levels = levels;
    timeline.ghost = this.now && (model === this.now ? this.was : this.now);
    timeline.parting = this.difference?.at_ms ?? null;
    timeline.from = from;
    timeline.to = to;
    this.page.go("future");
  }
}
