// The call as the page knows it, folded from the document step by step: states, rows, why-nots. Nothing is drawn here.

export class Model {
  constructor(head) {
    this.tables = head.tables;
    this.call = head.call;
    this.regions = new Map(head.tables.regions.map((region) => [region.name, region]));
    this.names = [...this.regions.keys()];
    this.tones = new Map(head.tables.regions.map((region) => [region.name, new Map(region.states.map((state) => [state.name, state.tone]))]));
    this.docs = new Map(head.tables.regions.map((region) => [region.name, new Map(region.states.map((state) => [state.name, state]))]));
    this.steps = [];
    this.marks = [];
    this.said = [];
    this.waits = [];
    this.barges = [];
    this.end = null;
    this.begun = Object.fromEntries(this.names.map((name) => [name, { ...head.call.start[name], since: 0 }]));
    this.after = []; // the records behind each step; what did not change is shared
    this.spans = new Map(this.names.map((name) => [name, [{ from: 0, state: this.begun[name].state }]]));
    this.fired = new Map(head.tables.regions.map((region) => [region.name, region.rows.map(() => 0)]));
    this.sound = null;
    this.ms = 0;
  }

  static of(document) {
    const model = new Model(document);
    for (const step of document.steps) model.push(step);
    model.finish(document.end);
    model.sound = document.sound;
    model.ms = Math.max(model.ms, soundEnd(document.sound));
    return model;
  }

  push(step) {
    const before = this.steps.length ? this.after[this.after.length - 1] : this.begun;
    const after = { ...before };
    for (const [name, changed] of Object.entries(step.moves)) after[name] = { ...after[name], ...changed };
    step.rows.forEach((rows) => rows.forEach((row, place) => {
      const name = this.names[place];
      const to = this.regions.get(name).rows[row].go;
      this.fired.get(name)[row] += 1;
      if (to !== null) {
        after[name] = { ...after[name], since: step.at };
        const spans = this.spans.get(name);
        if (spans[spans.length - 1].state !== to) spans.push({ from: step.at, state: to });
      }
    }));
    this.steps.push(step);
    this.after.push(after);
    this.ms = Math.max(this.ms, step.at);
    this.hear(step);
  }

  finish(end) {
    this.end = end;
    this.ms = end.ms; // the clock of a call that goes on has run past it
    this.hear(end);
  }

  hear(news) {
    this.marks.push(...(news.marks ?? []));
    this.said.push(...(news.said ?? []));
    this.waits.push(...(news.waits ?? []));
    for (const [number, barge] of news.barges ?? []) this.barges[number] = barge;
  }

  // The number of the last step at or before a time; -1 before the first.
  indexAt(ms) {
    let low = 0, high = this.steps.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.steps[middle].at <= ms) low = middle + 1; else high = middle;
    }
    return low - 1;
  }

  records(index) {
    return index < 0 ? this.begun : this.after[index];
  }

  tone(region, state) {
    return this.tones.get(region).get(state) ?? "other";
  }

  // Did a region do more than be over at the end?
  moved(name) {
    const spans = this.spans.get(name);
    return spans.some(({ state }) => state !== spans[0].state && state !== "over");
  }

  // Each region's answer to a step's event, and to each signal that it raised: the row that fired, and those above it that did not.
  answers(index) {
    const step = this.steps[index];
    const states = Object.fromEntries(this.names.map((name) => [name, this.records(index - 1)[name].state]));
    return [step.event, ...step.signals].map((cause, part) => {
      const given = this.names.map((name, place) => {
        const region = this.regions.get(name), number = step.rows[part][place];
        const state = states[name], row = region.rows[number];
        const above = region.rows.slice(0, number).filter((other) => this.covers(other, state, cause));
        return { name, region, number, row, state, above };
      });
      for (const one of given) states[one.name] = one.row.go ?? one.state;
      return { cause, given };
    });
  }

  covers(row, state, event) {
    const families = this.tables.events[event].families;
    return row.while.includes(state) && row.on.some((name) => families.includes(name));
  }

  // The rows of a region that a step took, by number.
  lit(index, name) {
    const place = this.names.indexOf(name);
    return index < 0 ? new Set() : new Set(this.steps[index].rows.map((rows) => rows[place]));
  }

  where(region, row) {
    return row.line === null ? `${region.file}, a shared row` : `${region.file}:${row.line}`;
  }
}

export function soundEnd(sound) {
  return sound ? sound.from_ms + (decoded(sound.caller).length * 1000) / sound.hz : 0;
}

// Bytes, as the document has them, or as they are.
export function decoded(text) {
  return typeof text === "string" ? Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)) : text;
}

export function clock(ms) {
  const s = Math.max(0, ms) / 1000, minutes = Math.floor(s / 60);
  return minutes ? `${minutes}:${(s - 60 * minutes).toFixed(2).padStart(5, "0")}` : `${s.toFixed(2)} s`;
}

export function span(ms) {
  return ms >= 10000 ? `${(ms / 1000).toFixed(1)} s` : ms >= 1000 ? `${(ms / 1000).toFixed(2)} s` : `${Math.round(ms)} ms`;
}
