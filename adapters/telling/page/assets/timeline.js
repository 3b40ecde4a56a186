// Both voices, the marks and a lane for each region on one canvas, with the cursor over all of them.

import { clock } from "./model.js";

const RULER = 20, FLAGS = 34, VOICE = 46, LANE = 22, BAR = 16, GAP = 6;
const FIRST = ["phase", "response", "playout", "interruption", "turn", "pending", "synthesis", "truncation", "hangup", "tool"];
const STEPS = [10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 15000, 30000, 60000, 120000, 300000, 600000];

export class Timeline {
  constructor(root, model, on) {
    this.root = root;
    this.model = model;
    this.on = on;
    this.names = root.querySelector(".names");
    this.canvas = root.querySelector("canvas");
    this.tip = root.querySelector(".tip");
    this.least = 2000; // a shorter call is not stretched over the whole width
    this.ghost = null; // another course of the call, shown as a thin line under each lane
    this.parting = null; // where the two part
    this.ahead = 0; // how much room is left behind the end
    this.all = false;
    this.region = "phase";
    this.hits = [];
    this.dragged = null;
    this.widths = new Map();
    this.use(model);
    this.paint();
    this.listen();
  }

  use(model) {
    this.model = model;
    this.cursor = 0;
    this.labelled = null;
    this.levels = { caller: new Uint8Array(0), agent: new Uint8Array(0), from: 0, hz: 100, size: 0 };
    this.fit();
  }

  lanes() {
    const order = [...FIRST, ...this.model.names.filter((name) => !FIRST.includes(name))];
    return this.all ? order : order.filter((name) => this.model.moved(name) || name === this.region);
  }

  // Labels stand beside the canvas as buttons, so that they are read out and reached by Tab.
  label() {
    const lanes = this.lanes(), key = lanes.join();
    if (key === this.labelled) return;
    this.labelled = key;
    this.names.replaceChildren();
    const add = (text, height, name) => {
      const label = document.createElement(name ? "button" : "span");
      label.textContent = text;
      label.style.height = `${height}px`;
      if (name) {
        label.dataset.region = name;
        label.title = this.model.regions.get(name).doc;
        label.addEventListener("click", () => this.on.pick(name));
      }
      this.names.append(label);
    };
    add("", RULER + FLAGS);
    add("caller", VOICE);
    add("agent", VOICE);
    add("", GAP);
    for (const name of lanes) add(name, LANE, name);
    const quiet = this.model.names.length - lanes.length;
    if (quiet || this.all) {
      const more = document.createElement("button");
      more.className = "more";
      more.textContent = this.all ? "fewer" : `+ ${quiet} still`;
      more.title = this.all ? "show only the regions that moved" : "show the regions that have not moved, too";
      more.addEventListener("click", () => { this.all = !this.all; this.draw(); });
      this.names.append(more);
    }
    this.height = RULER + FLAGS + 2 * VOICE + GAP + lanes.length * LANE + 8;
    this.canvas.style.height = `${this.height}px`;
    this.size();
  }

  paint() {
    const style = getComputedStyle(document.documentElement), of = (name) => style.getPropertyValue(name).trim();
    this.ink = of("--ink"), this.soft = of("--soft"), this.line = of("--line"), this.mark = of("--accent"), this.ground = of("--panel");
    this.sides = { caller: of("--caller"), agent: of("--agent") };
    this.fills = new Map(), this.inks = new Map();
    for (const tone of ["rest", "over", "listen", "greet", "guard", "speak", "make", "near", "caller", "await", "cancel", "cut", "doubt", "hold", "fault", "close", "other"]) {
      this.fills.set(tone, of(`--${tone}-fill`));
      this.inks.set(tone, of(`--${tone}-ink`));
    }
    this.draw();
  }

  size() {
    const ratio = window.devicePixelRatio || 1;
    this.width = this.canvas.clientWidth;
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.pen = this.canvas.getContext("2d");
    this.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  }

  x(ms) {
    return ((ms - this.from) / (this.to - this.from)) * this.width;
  }

  ms(x) {
    return this.from + (x / this.width) * (this.to - this.from);
  }

  draw() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => { this.due = false; this.now(); });
  }

  now() {
    this.label();
    if (this.canvas.clientWidth !== this.width) this.size();
    const pen = this.pen;
    pen.clearRect(0, 0, this.width, this.height);
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    this.hits = [];
    this.ruler(pen);
    this.voice(pen, "caller", RULER + FLAGS);
    this.voice(pen, "agent", RULER + FLAGS + VOICE);
    let y = RULER + FLAGS + 2 * VOICE + GAP;
    for (const name of this.lanes()) {
      this.lane(pen, name, y);
      y += LANE;
    }
    this.flags(pen);
    this.part(pen);
    this.line_at(pen, this.cursor);
    for (const label of this.names.querySelectorAll("[data-region]")) label.classList.toggle("on", label.dataset.region === this.region);
  }

  ruler(pen) {
    const wide = ((this.to - this.from) / this.width) * 90, step = STEPS.find((one) => one >= wide) ?? 600000;
    pen.fillStyle = this.soft;
    pen.strokeStyle = this.line;
    pen.textAlign = "left";
    for (let at = Math.ceil(this.from / step) * step; at <= this.to; at += step) {
      const x = Math.round(this.x(at)) + 0.5;
      pen.beginPath();
      pen.moveTo(x, 0);
      pen.lineTo(x, this.height);
      pen.stroke();
      const s = at / 1000, minutes = Math.floor(s / 60), rest = step < 1000 ? (s - 60 * minutes).toFixed(2) : Math.round(s - 60 * minutes);
      pen.fillText(minutes ? `${minutes}:${String(rest).padStart(step < 1000 ? 5 : 2, "0")}` : `${rest} s`, x + 4, RULER / 2);
    }
  }

  voice(pen, side, top) {
    const levels = this.levels[side], { from, hz } = this.levels, middle = top + VOICE / 2, half = VOICE / 2 - 3;
    pen.fillStyle = this.line;
    pen.fillRect(0, middle - 0.5, this.width, 1);
    pen.fillStyle = this.sides[side];
    const size = this.levels.size;
    for (let x = 0; x < this.width; x += 1) {
      const first = Math.max(0, Math.floor(((this.ms(x) - from) * hz) / 1000));
      const last = Math.min(size, Math.max(first + 1, Math.ceil(((this.ms(x + 1) - from) * hz) / 1000)));
      let peak = 0;
      for (let at = first; at < last; at += 1) if (levels[at] > peak) peak = levels[at];
      // Loudness is drawn by its root: speech at -20 dB fills a third of the lane.
      if (peak > 2) { const high = Math.max(0.5, Math.sqrt(peak / 255) * half); pen.fillRect(x, middle - high, 1, 2 * high); }
    }
  }

  lane(pen, name, top) {
    const spans = this.model.spans.get(name), y = top + (LANE - BAR) / 2;
    if (name === this.region) { pen.fillStyle = this.line; pen.fillRect(0, top, this.width, LANE); }
    for (let at = 0; at < spans.length; at += 1) {
      const begin = spans[at].from, end = at + 1 < spans.length ? spans[at + 1].from : this.model.ms;
      if (end < this.from || begin > this.to || end <= begin) continue;
      const x = Math.max(-4, this.x(begin)), width = Math.max(1, Math.min(this.width + 4, this.x(end)) - x);
      const state = spans[at].state, tone = this.model.tone(name, state);
      pen.fillStyle = this.fills.get(tone) || this.fills.get("other");
      pen.beginPath();
      pen.roundRect(x, y, Math.max(1, width - (width > 3 ? 1 : 0)), BAR, width > 8 ? 3 : 0);
      pen.fill();
      if (tone === "hold" && width > 3) this.hatch(pen, x, y, width - 1);
      const left = Math.max(x, 0) + 6;
      if (left + this.wide(state) + 5 < Math.min(x + width, this.width + 4)) {
        pen.fillStyle = this.inks.get(tone) || this.ink;
        pen.textAlign = "left";
        pen.fillText(state, left, y + BAR / 2 + 0.5);
      }
      this.hits.push({ x, y: top, width, height: LANE, text: `${name}: ${state}, ${clock(begin)} to ${clock(end)}` });
    }
    this.shadow(pen, name, top);
    const known = this.model.records(this.model.indexAt(this.cursor))[name].due_ms;
    const due = known + (this.dragged?.name === name ? this.dragged.by : 0);
    if (known !== null && known !== undefined && due >= this.from && due <= this.to) {
      pen.strokeStyle = this.mark;
      pen.setLineDash([2, 2]);
      pen.beginPath();
      pen.moveTo(Math.max(0, this.x(this.cursor)), top + LANE - 1.5);
      pen.lineTo(this.x(due), top + LANE - 1.5);
      pen.stroke();
      pen.setLineDash([]);
      pen.fillStyle = this.mark;
      pen.fillRect(this.x(due) - 1, top + 4, 2, LANE - 6);
      this.hits.push({ x: this.x(due) - 5, y: top, width: 10, height: LANE, text: `${name}: deadline at ${clock(due)}${this.on.drag ? "; drag it" : ""}`, due: name });
    }
  }

  // The same lane in the other course of the call.
  shadow(pen, name, top) {
    const spans = this.ghost?.spans.get(name) ?? [];
    spans.forEach(({ from, state }, at) => {
      const begin = Math.max(-2, this.x(from)), end = Math.min(this.width + 2, this.x(spans[at + 1]?.from ?? this.ghost.ms));
      if (end <= begin) return;
      pen.fillStyle = this.fills.get(this.ghost.tone(name, state)) || this.fills.get("other");
      pen.fillRect(begin, top + LANE - 4, end - begin, 3);
    });
  }

  part(pen) {
    if (this.parting === null) return;
    const x = Math.round(this.x(this.parting)) + 0.5;
    pen.strokeStyle = pen.fillStyle = this.ink;
    pen.setLineDash([4, 3]);
    pen.beginPath();
    pen.moveTo(x, RULER);
    pen.lineTo(x, this.height);
    pen.stroke();
    pen.setLineDash([]);
    pen.textAlign = "left";
    const words = "first difference", y = RULER + FLAGS + 2 * VOICE;
    pen.fillStyle = this.ground;
    pen.fillRect(x + 2, y - 9, this.wide(words) + 6, 14);
    pen.fillStyle = this.ink;
    pen.fillText(words, x + 5, y - 1);
  }

  wide(text) {
    let width = this.widths.get(text);
    if (width === undefined) this.widths.set(text, (width = this.pen.measureText(text).width));
    return width;
  }

  hatch(pen, x, y, width) {
    pen.save();
    pen.beginPath();
    pen.rect(x, y, width, BAR);
    pen.clip();
    pen.strokeStyle = this.inks.get("hold");
    pen.globalAlpha = 0.4;
    pen.beginPath();
    for (let at = x - BAR; at < x + width; at += 6) { pen.moveTo(at, y + BAR); pen.lineTo(at + BAR, y); }
    pen.stroke();
    pen.restore();
  }

  flags(pen) {
    const rows = [-Infinity, -Infinity];
    for (const mark of [...this.model.marks].sort((one, other) => one.at_ms - other.at_ms)) {
      if (mark.at_ms < this.from || mark.at_ms > this.to) continue;
      const x = this.x(mark.at_ms), text = mark.label || mark.kind, strong = ["barge-in", "error", "hang-up"].includes(mark.kind);
      const tone = { "barge-in": "cancel", error: "fault", "hang-up": "close", cancel: "cut", "synthesis cancel": "guard", truncate: "near", "false alarm": "doubt" }[mark.kind] ?? "rest";
      const width = pen.measureText(text).width + 10;
      pen.fillStyle = this.fills.get(tone);
      pen.globalAlpha = strong ? 0.9 : 0.5;
      pen.fillRect(x - 0.5, RULER + FLAGS - 4, 1, strong ? this.height : 2 * VOICE + 4);
      pen.globalAlpha = 1;
      const row = rows.findIndex((taken) => x >= taken), left = Math.min(x, this.width - width);
      if (row >= 0 && left >= rows[row]) {
        const y = RULER + row * 16;
        rows[row] = left + width + 3;
        pen.fillStyle = this.fills.get(tone);
        pen.beginPath();
        pen.roundRect(left, y, width, 14, 3);
        pen.fill();
        pen.fillStyle = this.inks.get(tone);
        pen.textAlign = "left";
        pen.fillText(text, left + 5, y + 7.5);
        this.hits.push({ x: left, y, width, height: 14, text: `${clock(mark.at_ms)}  ${text}${mark.detail ? `: ${mark.detail}` : ""}` });
      } else {
        pen.fillStyle = this.fills.get(tone);
        pen.fillRect(x - 1.5, RULER + FLAGS - 5, 3, 5);
      }
    }
  }

  line_at(pen, ms) {
    const x = Math.round(this.x(ms));
    if (x < -1 || x > this.width + 1) return;
    pen.fillStyle = this.mark;
    pen.fillRect(x - 0.75, 0, 1.5, this.height);
    pen.beginPath();
    pen.moveTo(x - 5, 0);
    pen.lineTo(x + 5, 0);
    pen.lineTo(x, 7);
    pen.fill();
  }

  // Zoom about a time that stays where it is.
  zoom(factor, about = this.cursor) {
    const whole = this.whole(), wide = Math.min(whole, Math.max(50, (this.to - this.from) * factor));
    const share = Math.min(1, Math.max(0, (about - this.from) / (this.to - this.from)));
    this.show(about - share * wide, wide);
  }

  show(from, wide) {
    this.from = Math.max(0, Math.min(from, this.whole() - wide));
    this.to = this.from + wide;
    this.draw();
  }

  fit() {
    this.show(0, this.whole());
  }

  whole() {
    return Math.max(this.least, this.model.ms + this.ahead);
  }

  // Keep the cursor in view.
  reveal() {
    const wide = this.to - this.from;
    if (this.cursor < this.from || this.cursor > this.to) this.show(this.cursor - wide / 2, wide);
  }

  listen() {
    const canvas = this.canvas, place = (event) => event.clientX - canvas.getBoundingClientRect().left;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      const name = this.model.end && this.on.drag ? this.hit(event)?.due : null;
      if (name) { this.dragged = { name, from: place(event), by: 0 }; return; }
      this.held = true;
      this.on.seek(this.ms(place(event)));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (this.dragged) { this.dragged.by = this.ms(place(event)) - this.ms(this.dragged.from); this.draw(); }
      else if (this.held) this.on.seek(this.ms(place(event)));
      else this.hover(event);
    });
    const end = () => { this.held = false; this.dragged = null; };
    canvas.addEventListener("pointerup", () => { const { dragged } = this; end(); if (dragged?.by) this.on.drag(dragged.name, dragged.by); });
    canvas.addEventListener("pointercancel", end);
    canvas.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey && !event.shiftKey && !event.deltaX) return;
      event.preventDefault();
      const wide = this.to - this.from;
      if (event.ctrlKey || event.metaKey) this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.ms(place(event)));
      else this.show(this.from + ((event.deltaX || event.deltaY) / this.width) * wide, wide);
    }, { passive: false });
    new ResizeObserver(() => this.draw()).observe(this.root);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
  }

  hit(event) {
    const box = this.canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    return this.hits.findLast((one) => x >= one.x && x <= one.x + one.width && y >= one.y && y < one.y + one.height);
  }

  hover(event) {
    const box = this.canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top, hit = this.hit(event);
    this.canvas.style.cursor = hit?.due && this.on.drag ? "ew-resize" : "";
    this.tip.hidden = !hit;
    if (!hit) return;
    this.tip.textContent = hit.text;
    this.tip.style.left = `${Math.min(x + 14 + this.canvas.offsetLeft, this.root.clientWidth - this.tip.offsetWidth - 8)}px`;
    this.tip.style.top = `${y + 18}px`;
  }
}
