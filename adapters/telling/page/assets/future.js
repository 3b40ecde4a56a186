// What would have happened: the call at hand folded again by the server, beside the call as it was.

import { Model, clock } from "./model.js";
import { make } from "./panels.js";

export class Futures {
  constructor(page, url, trace) {
    this.page = page;
    this.url = url;
    this.trace = trace; // gives the text of the trace at hand
    this.settings = {};
    this.without = new Set();
    this.words = "";
    this.was = this.now = this.difference = null;
    page.tabsOf.future = { title: "What if", key: () => `${this.words} ${this.page.index} ${this.page.model === this.now}`, make: () => this.panel() };
    page.tabs();
  }

  // Another call is at hand.
  forget() {
    this.settings = {};
    this.without.clear();
    this.words = "";
    this.was = this.now = this.difference = null;
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
    const parts = [make("p", "doc", "Change a field of the policy, or leave out the event at the cursor: the call is folded again. It is exact up to the first difference; behind it the world might have answered otherwise."), form, left];
    const changes = [...Object.entries(this.settings).map(([field, to]) => `${field} = ${to}`), ...[...this.without].map((at) => `without ${(this.was ?? model).steps[at].event} at ${clock((this.was ?? model).steps[at].at)}`)];
    if (changes.length) parts.push(make("h3", "", "Changed"), make("ul", "changes", ...changes.map((words) => make("li", "", words))));
    if (this.words) parts.push(make("p", "outcome", this.words));
    if (this.now) {
      const other = make("button", "", this.page.model === this.now ? "Show it as it was" : "Show what if");
      other.addEventListener("click", () => this.swap());
      const save = make("a", "", "Save as a trace");
      save.download = "whatif.trace";
      save.href = this.file;
      const back = make("button", "", "Forget the changes");
      back.addEventListener("click", () => { const { was } = this; this.forget(); this.look(was); });
      parts.push(make("p", "choices", other, save, back));
    }
    return parts;
  }

  async ask() {
    const body = JSON.stringify({ trace: await this.trace(), settings: this.settings, without: [...this.without] });
    const answer = await fetch(`${this.url}future`, { method: "POST", body });
    if (!answer.ok) {
      this.words = (await answer.text()).trim();
      this.settings = {};
      this.page.side();
      return;
    }
    const { document, trace, difference } = await answer.json();
    this.was ??= this.page.model;
    this.now = Model.of(document);
    this.now.sound = this.was.sound;
    this.difference = difference;
    this.saved = trace;
    if (this.file) URL.revokeObjectURL(this.file);
    this.file = URL.createObjectURL(new Blob([trace], { type: "text/plain" }));
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
