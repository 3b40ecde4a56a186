// All calls of a phone server: what they are in, how they went, and each to be looked at.

import { make } from "./panels.js";
import { clock, span } from "./model.js";

const LOOK_AGAIN = 1500; // ms until a server is looked for again

export class FleetView {
  constructor(root, url, look) {
    this.root = root;
    this.url = url;
    this.look = look; // shows a call
    this.watch();
  }

  watch() {
    this.socket = new WebSocket(`${this.url}fleet`);
    this.socket.addEventListener("message", ({ data }) => { this.fleet = JSON.parse(data); this.show(); });
    this.socket.addEventListener("close", ({ reason }) => {
      if (this.left) return;
      this.root.classList.add("gone");
      this.root.querySelector(".gone-words")?.replaceChildren(reason || "The server is gone; this page comes back with it.");
      setTimeout(() => this.watch(), LOOK_AGAIN);
    });
  }

  leave() {
    this.left = true;
    this.socket.close();
  }

  show() {
    const { fleet } = this, { answers } = fleet, focus = document.activeElement?.dataset?.call;
    this.root.classList.remove("gone");
    const places = fleet.places === null ? `${fleet.live.length}` : `${fleet.live.length} of ${fleet.places}`;
    const figures = [["calls now", places], ["barge-ins", `${fleet.barge_ins}`], ["answers", answers.count ? `${answers.count}` : "none yet"]];
    if (answers.count) figures.push(["answer time, half within", span(answers.p50)], ["95 of 100 within", span(answers.p95)]);
    this.root.replaceChildren(
      make("div", "fleet-head", make("h2", "", fleet.machine), fleet.draining ? make("span", "draining", "draining: nobody is let in") : null,
        make("dl", "figures", ...figures.map(([name, value]) => make("div", "", make("dt", "", name), make("dd", "", value)))), make("span", "gone-words")),
      make("section", "panel fleet-calls", make("div", "panel-head", make("h2", "", "Calls")), this.calls(fleet.live, false)),
      make("section", "panel fleet-states", make("div", "panel-head", make("h2", "", "What they are in")), this.states()),
      make("section", "panel fleet-calls", make("div", "panel-head", make("h2", "", "Over")), this.calls(fleet.over, true)),
      make("section", "panel", make("div", "panel-head", make("h2", "", "Why they ended")), this.reasons()),
    );
    if (focus) this.root.querySelector(`[data-call="${CSS.escape(focus)}"]`)?.focus();
  }

  chip(region, state, text = state) {
    const one = make("span", "chip", text);
    one.dataset.tone = this.fleet.tones[region][state];
    return one;
  }

  calls(calls, over) {
    if (!calls.length) return make("p", "none", over ? "No call is over yet." : "Nobody calls.");
    const names = over ? ["call", "why it ended", "length", "barge-ins", "answers", "longest"] : ["call", "phase", "response", "playout", "caller", "since", "barge-ins", "last answer"];
    return make("div", "scroll", make("table", "fleet-table", make("thead", "", make("tr", "", ...names.map((name) => make("th", "", name)))), make("tbody", "", ...calls.map((call) => {
      const button = make("button", "region", call.id.length > 16 ? `${call.id.slice(0, 6)}…${call.id.slice(-7)}` : call.id);
      button.title = call.id;
      button.dataset.call = call.id;
      button.addEventListener("click", () => this.look(call.id));
      const wait = (ms) => (ms === null ? "–" : span(ms));
      const cells = over
        ? [call.ended, clock(call.ms), `${call.barge_ins}`, `${call.answers}`, wait(call.worst_ms)]
        : [this.chip("phase", call.phase), this.chip("response", call.response), this.chip("playout", call.playout), this.chip("turn", call.turn), clock(call.ms), `${call.barge_ins}`, wait(call.last_ms)];
      return make("tr", "", make("th", "", button), ...cells.map((cell) => make("td", "", cell)));
    }))));
  }

  states() {
    const rows = Object.entries(this.fleet.regions).filter(([, counts]) => Object.keys(counts).length).map(([region, counts]) =>
      make("tr", "", make("th", "", region), make("td", "", ...Object.entries(counts).sort((one, other) => other[1] - one[1]).map(([state, count]) => this.chip(region, state, `${count} ${state}`)))));
    return rows.length ? make("div", "scroll", make("table", "fleet-table", make("tbody", "", ...rows))) : make("p", "none", "Of each table, how many calls are in which state.");
  }

  reasons() {
    const reasons = Object.entries(this.fleet.reasons).sort((one, other) => other[1] - one[1]), most = Math.max(...reasons.map(([, count]) => count));
    if (!reasons.length) return make("p", "none", "No call is over yet.");
    return make("div", "scroll", make("table", "fleet-table", make("tbody", "", ...reasons.map(([reason, count]) => {
      const bar = make("i", "share");
      bar.style.width = `${(100 * count) / most}%`;
      return make("tr", "", make("th", "", reason), make("td", "count", `${count}`), make("td", "wide", bar));
    }))));
  }
}
