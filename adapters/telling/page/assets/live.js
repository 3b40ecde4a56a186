// The page of a call that goes on: it talks, watches, and follows the call until somebody takes the cursor.

import { Model } from "./model.js";
import { Page } from "./page.js";
import { make } from "./panels.js";
import { Futures } from "./future.js";
import { FleetView } from "./fleet.js";
import { Sound } from "./sound.js";
import { Talking } from "./talk.js";

const WIDE = 15000, AHEAD = 1200, AGAIN = 1500; // ms: in view, of them behind the cursor, and until a server is looked for again
const FOLLOWED = 30, STANDING = 100; // ms between two drawings of a call that goes on, while the cursor follows it and while it does not

class Live {
  constructor(root = document) {
    this.root = root;
    this.offers = JSON.parse(root.querySelector("#offers").textContent);
    this.url = new URL("./", location.href.replace(/^http/, "ws")).href.split(/[?#]/)[0];
    this.drawn = 0;
    this.bar();
    this.faults();
    this.go();
    addEventListener("hashchange", () => this.go());
    requestAnimationFrame(() => this.beat());
  }

  // To the call that the address names; without one to all of them, or to the one that there is.
  go() {
    this.socket?.close();
    this.socket = null;
    this.view?.leave();
    this.view = null;
    this.call = new URLSearchParams(location.hash.slice(1)).get("call") ?? "";
    const all = this.offers.fleet && !this.call;
    this.root.querySelector("main").hidden = all;
    this.root.querySelector("#fleet").hidden = !all;
    this.root.querySelector("#figures").hidden = all;
    this.root.querySelector("#call").textContent = all ? "all calls" : "";
    this.all.hidden = all || !this.offers.fleet;
    this.goes = false;
    this.words.textContent = "";
    if (all) this.view = new FleetView(this.root.querySelector("#fleet"), this.url, (id) => { location.hash = new URLSearchParams({ call: id }); });
    else this.watch();
  }

  bar() {
    const bar = this.root.querySelector("#live");
    this.meter = make("span", "meter", make("i"));
    this.words = make("output", "words-of-line");
    this.all = make("button", "", "All calls");
    this.all.addEventListener("click", () => { location.hash = ""; });
    this.follow = make("button", "", "Follow");
    this.follow.title = "let the cursor follow the call";
    this.follow.hidden = true;
    this.saved = make("a", "", "call.html");
    this.saved.href = "call.html";
    this.saved.target = "_blank";
    this.saved.hidden = true;
    this.talk = make("button", "talk", "Talk");
    this.talk.id = "talk";
    this.talk.addEventListener("click", () => this.press());
    this.follow.addEventListener("click", () => { this.page.follows = true; });
    bar.append(this.words, ...(this.offers.talk ? [this.meter] : []), this.saved, this.follow, this.all, ...this.files(), ...(this.offers.talk ? [this.talk] : []));
    bar.hidden = false;
  }

  // What the stand-in does wrong when it is asked to.
  faults() {
    const group = this.root.querySelector("#faults");
    group.hidden = !this.offers.faults.length;
    this.buttons = this.offers.faults.map(({ name, words, says }) => {
      const button = make("button", "", words);
      button.title = says;
      button.addEventListener("click", async () => {
        const answer = await fetch(`fault?${new URLSearchParams({ name })}`, { method: "POST" });
        this.say(answer.ok ? `${words}: ${says}.` : (await answer.text()).trim());
      });
      return button;
    });
    group.append(...this.buttons);
  }

  files() {
    const input = make("input"), open = make("button", "", "Open");
    Object.assign(input, { type: "file", multiple: true, accept: ".trace,.wav", hidden: true });
    open.title = "open a call.trace, with its call.wav if there is one; or drop them here";
    open.addEventListener("click", () => input.click());
    input.addEventListener("change", () => this.open([...input.files]));
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", (event) => { event.preventDefault(); this.open([...event.dataTransfer.files]); });
    return [open, input];
  }

  // Show a recorded call in the place of the last one.
  async open(files) {
    const file = files.find(({ name }) => name.endsWith(".trace")), wav = files.find(({ name }) => name.endsWith(".wav"));
    if (!file || this.goes) { this.say(this.goes ? "A call goes on: open a trace when it is over." : "That is no call.trace."); return; }
    try {
      const text = await file.text(), answer = await fetch("future", { method: "POST", body: JSON.stringify({ trace: text, settings: {}, without: [] }) });
      if (!answer.ok) throw new Error(await answer.text());
      const { document: told } = await answer.json();
      if (wav) told.sound = await Sound.opened(wav, told.end.line_ms);
      this.text = text;
      this.show(Model.of(told));
      this.page.follows = false;
      this.saved.hidden = true;
      this.say(`${file.name} is open.`);
    } catch (error) {
      this.say(`${file.name} could not be opened: ${error.message.trim()}`);
    }
  }

  press() {
    if (this.talking) { this.talking.hangUp(); return; }
    this.say("Allow the microphone …");
    this.saved.hidden = true;
    this.talk.textContent = "Hang up";
    this.talk.classList.add("on");
    this.talking = new Talking(this.url, {
      allowed: () => this.say("Waiting for the loudspeaker …"),
      began: () => this.say("You are on the line."),
      level: (peak) => { this.meter.firstChild.style.width = `${Math.min(100, Math.sqrt(peak) * 110)}%`; },
      ended: (words) => this.hungUp(words),
    });
    this.talking.begin();
  }

  hungUp(words) {
    this.talking = null;
    this.meter.firstChild.style.width = "0";
    this.talk.textContent = "Talk";
    this.talk.classList.remove("on");
    this.say(`${words[0].toUpperCase()}${words.slice(1).replace(/\.$/, "")}.`);
  }

  say(words) {
    this.words.textContent = words;
  }

  watch() {
    const socket = this.socket = new WebSocket(`${this.url}watch?${new URLSearchParams({ call: this.call })}`);
    socket.addEventListener("open", () => { if (socket === this.socket && !this.talking) this.say(this.offers.talk ? "Press Talk, and speak: the call is on this machine." : ""); });
    socket.addEventListener("message", ({ data }) => { if (socket === this.socket) this.take(JSON.parse(data)); });
    socket.addEventListener("close", ({ reason }) => {
      if (socket !== this.socket) return;
      this.goes = false;
      if (!this.talking) this.say(reason ? `${reason[0].toUpperCase()}${reason.slice(1)}.` : "The server is gone; this page comes back with it.");
      setTimeout(() => { if (socket === this.socket) this.watch(); }, AGAIN);
    });
  }

  take(news) {
    if (news.head) { this.text = null; this.show(new Model(news.head)); }
    const { model } = this.page;
    for (const step of news.steps ?? []) model.push(step);
    if (news.levels) this.hear(news.levels);
    if (news.live) { model.ms = Math.max(model.ms, news.now); this.seen = performance.now() - news.now; }
    if (!this.goes && news.live) this.page.follows = true;
    this.goes = news.live;
    this.page.timeline.ahead = news.live ? AHEAD : 0;
    if (news.end) {
      model.finish(news.end);
      if (this.page.follows) this.page.edge(model.ms);
      this.page.follows = false;
      this.page.timeline.fit();
    }
    if (news.saved) { this.saved.hidden = false; this.saved.title = news.saved; }
    if (news.head || news.end) this.page.head();
    this.page.events.draw();
    this.page.show();
  }

  show(model) {
    if (this.page) {
      this.page.use(model);
      this.futures.forget();
    } else {
      this.page = globalThis.page = new Page(model, this.root);
      this.futures = new Futures(this.page, "./", () => this.trace());
    }
    this.page.timeline.least = WIDE;
    this.page.timeline.fit();
    this.page.follows = true;
  }

  // The text of the trace at hand.
  async trace() {
    if (!this.text) {
      const answer = await fetch(`call.trace?${new URLSearchParams({ call: this.call })}`);
      if (!answer.ok) throw new Error((await answer.text()).trim());
      this.text = await answer.text();
    }
    return this.text;
  }

  hear({ from, caller, agent }) {
    const levels = this.page.timeline.levels, size = from + caller.length;
    for (const [side, given] of [["caller", caller], ["agent", agent]]) {
      if (levels[side].length < size) { const more = new Uint8Array(2 * size); more.set(levels[side]); levels[side] = more; }
      levels[side].set(given, from);
    }
    levels.size = size;
  }

  // The clock runs on between two messages; it is drawn no faster than is of use, so that a key is seen at once.
  beat() {
    const { page } = this, now = performance.now();
    if (page && this.goes && now - this.drawn >= (page.follows ? FOLLOWED : STANDING)) {
      this.drawn = now;
      page.model.ms = Math.max(page.model.ms, now - this.seen);
      if (page.follows) page.edge(WIDE);
      else page.timeline.draw();
    }
    if (page) this.follow.hidden = !this.goes || page.follows;
    for (const button of this.buttons) button.disabled = !this.goes;
    requestAnimationFrame(() => this.beat());
  }
}

globalThis.live = new Live();
