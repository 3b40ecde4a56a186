// The page of a call: one cursor over voices, lanes, events, states and tables; by mouse, touch and keyboard.

import { Model, clock, decoded } from "./model.js";
import { Sound } from "./sound.js";
import { Timeline } from "./timeline.js";
import { diagram } from "./diagram.js";
import { Events, answers, make, states, table, times, words } from "./panels.js";

export class Page {
  constructor(model, root = document) {
    this.root = root;
    this.tab = "states";
    this.region = "phase";
    this.speed = 1;
    // `drag` and `onward` are added by a page that can ask what would have happened.
    this.on = { seek: (ms) => this.seek(ms, true), step: (index) => this.step(index), region: (name) => this.choose(name, "table"), pick: (name) => this.choose(name) };
    this.timeline = new Timeline(root.querySelector("#timeline"), model, this.on);
    this.events = new Events(root.querySelector("#events"), model, this.on);
    this.sound = new Sound((ms) => this.seek(ms));
    this.tabsOf = this.panels();
    this.buttons();
    this.tabs();
    this.keys();
    this.use(model);
  }

  // Show this call, from its beginning.
  use(model) {
    this.model = model;
    this.ms = 0;
    this.index = -1;
    this.told = this.shown = null;
    this.sound.use(model.sound);
    this.timeline.use(model);
    this.events.use(model);
    if (model.sound) this.hear(model.sound);
    this.head();
    this.show();
  }

  // Follow a call that goes on: the cursor is at its end, and so many ms before it are in view.
  edge(wide) {
    this.ms = this.model.ms;
    this.index = this.model.steps.length - 1;
    this.timeline.show(this.ms + this.timeline.ahead - wide, wide);
    this.show();
  }

  hear(sound) {
    const caller = decoded(sound.caller), agent = decoded(sound.agent);
    this.timeline.levels = { caller, agent, from: sound.from_ms, hz: sound.hz, size: Math.max(caller.length, agent.length) };
  }

  head() {
    const { call, end } = this.model, figures = this.root.querySelector("#figures");
    this.root.querySelector("#call").textContent = call.redacted ? "a call, without words and numbers" : call.id;
    figures.replaceChildren(...(end?.figures ?? []).map(([name, value]) => make("div", "", make("dt", "", name), make("dd", "", value))));
    const cut = this.root.querySelector("#cut");
    cut.hidden = !end || end.whole;
    this.root.querySelector("#play").hidden = !this.sound.hearable;
    this.root.querySelector("#speed").hidden = !this.sound.hearable;
  }

  buttons() {
    const press = (id, act) => this.root.querySelector(id)?.addEventListener("click", act);
    press("#play", () => this.play());
    press("#speed", () => this.faster());
    press("#back", () => this.step(this.index - 1));
    press("#next", () => this.step(this.index + 1));
    press("#closer", () => this.timeline.zoom(0.5));
    press("#wider", () => this.timeline.zoom(2));
    press("#fit", () => this.timeline.fit());
    press("#help", () => this.root.querySelector("#keys").showModal());
  }

  // What stands beside the events: of each tab its title, what its content depends on, and how it is made.
  panels() {
    return {
      states: { title: "States", key: () => `${this.ms} ${this.region}`, make: () => states(this.model, this.index, this.ms, this.on, this.region) },
      table: { title: "Table", key: () => `${this.region} ${this.index}`, make: () => [this.picker(), ...table(this.model, this.index, this.region)] },
      diagram: { title: "Diagram", key: () => `${this.region} ${this.index}`, make: () => [this.picker(), ...diagram(this.model, this.index, this.region, this.on)] },
      words: { title: "Words", key: () => `${this.ms}`, make: () => words(this.model, this.ms, this.on) },
      times: { title: "Time", key: () => `${this.model.waits.length} ${JSON.stringify(this.model.barges)}`, make: () => times(this.model, this.ms, this.on) },
    };
  }

  tabs() {
    const bar = this.root.querySelector("#tabs");
    bar.replaceChildren(...Object.entries(this.tabsOf).map(([name, { title }]) => {
      const tab = make("button", "", title);
      tab.id = `tab-${name}`;
      tab.setAttribute("role", "tab");
      tab.addEventListener("click", () => this.go(name));
      return tab;
    }));
  }

  // Move the cursor to a time.
  seek(ms, byHand = false) {
    if (byHand) { this.pause(); this.follows = false; }
    this.ms = Math.max(0, Math.min(ms, this.model.ms));
    this.index = this.model.indexAt(this.ms);
    this.show();
  }

  step(index) {
    this.pause();
    this.follows = false;
    this.index = Math.max(-1, Math.min(index, this.model.steps.length - 1));
    this.ms = this.index < 0 ? 0 : this.model.steps[this.index].at;
    this.timeline.cursor = this.ms;
    this.timeline.reveal();
    this.show();
  }

  // Look at a region: in its table, or in the list of states if that is open.
  choose(name, tab = ["states", "diagram"].includes(this.tab) ? this.tab : "table") {
    this.region = name;
    this.timeline.region = name;
    this.tab = tab;
    this.timeline.draw();
    this.side();
  }

  show() {
    this.timeline.cursor = this.ms;
    this.timeline.draw();
    if (this.due) return;
    this.due = true;
    // What is read need not change faster than it can be; what is drawn does.
    if (this.follows) setTimeout(() => { this.due = false; this.now(); }, 100);
    else requestAnimationFrame(() => { this.due = false; this.now(); });
  }

  now() {
    this.root.querySelector("#now").textContent = `${clock(this.ms)} / ${clock(this.model.ms)}`;
    this.events.select(this.index);
    if (this.told !== this.index) {
      this.told = this.index;
      this.root.querySelector("#answers").replaceChildren(...answers(this.model, this.index, this.on));
    }
    this.side();
  }

  side() {
    const panel = this.root.querySelector("#side"), kind = this.tab, key = `${kind} ${this.tabsOf[kind].key()}`;
    for (const name of Object.keys(this.tabsOf)) this.root.querySelector(`#tab-${name}`).setAttribute("aria-selected", String(name === kind));
    if (this.shown === key) return;
    this.shown = key;
    const top = panel.dataset.tab === kind && (!["table", "diagram"].includes(kind) || this.looked === this.region) ? panel.scrollTop : 0;
    panel.dataset.tab = kind;
    this.looked = this.region;
    panel.replaceChildren(...this.tabsOf[kind].make());
    panel.scrollTop = top;
    const lit = { table: ".lit", diagram: ".diagram .now" }[kind];
    if (lit) panel.querySelector(lit)?.scrollIntoView({ block: "nearest" });
  }

  picker() {
    const select = make("select", "", ...this.model.names.map((name) => { const one = make("option", "", name); one.value = name; one.selected = name === this.region; return one; }));
    select.setAttribute("aria-label", "region");
    select.addEventListener("change", () => this.choose(select.value));
    return select;
  }

  play() {
    if (!this.sound.hearable) return;
    if (this.sound.playing) this.pause();
    else this.sound.play(this.ms >= this.model.ms ? 0 : this.ms, this.speed).then(() => this.label());
  }

  pause() {
    this.sound.pause();
    this.label();
  }

  label() {
    this.root.querySelector("#play").textContent = this.sound.playing ? "Pause" : "Play";
  }

  faster() {
    this.speed = { 1: 2, 2: 0.5, 0.5: 1 }[this.speed];
    this.root.querySelector("#speed").textContent = `${this.speed}×`;
    if (this.sound.playing) this.sound.play(this.ms, this.speed);
  }

  keys() {
    const lane = (by) => { const lanes = this.timeline.lanes(); this.choose(lanes[Math.max(0, Math.min(lanes.length - 1, lanes.indexOf(this.region) + by))]); };
    const keys = {
      ArrowRight: (event) => (event.shiftKey ? this.seek(this.ms + 1000, true) : this.step(this.index + 1)),
      ArrowLeft: (event) => (event.shiftKey ? this.seek(this.ms - 1000, true) : this.step(this.index - 1)),
      ArrowDown: () => lane(1),
      ArrowUp: () => lane(-1),
      Home: () => this.step(-1),
      End: () => this.step(this.model.steps.length - 1),
      " ": () => this.play(),
      "+": () => this.timeline.zoom(0.5),
      "=": () => this.timeline.zoom(0.5),
      "-": () => this.timeline.zoom(2),
      0: () => this.timeline.fit(),
      ...Object.fromEntries([1, 2, 3, 4, 5, 6].map((number) => [number, () => { const tab = Object.keys(this.tabsOf)[number - 1]; if (tab) this.go(tab); }])),
      "/": () => this.events.filter.focus(),
      "?": () => this.root.querySelector("#keys").showModal(),
    };
    document.addEventListener("keydown", (event) => {
      const field = event.target.closest?.("input, select, textarea, dialog");
      if (field) { if (event.key === "Escape") field.blur(); return; }
      if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
      if (event.key === " " && event.target.closest?.("button, summary")) return;
      event.preventDefault();
      keys[event.key](event);
    });
  }

  go(tab) {
    this.tab = tab;
    this.side();
  }
}
