// The call's line in the sound thread of a page: plays what it is given, counts what it has played, and hands over the microphone.

const RATE = 24000, FRAME = 480; // 20 ms
const AHEAD = 1200, MOST = 24000; // of an ear's sound: 50 ms are there before any is taken, and a second at most waits

class Line extends AudioWorkletProcessor {
  constructor() {
    super();
    this.waiting = [];
    this.at = 0;
    this.played = 0;
    this.heard = new Int16Array(FRAME);
    this.filled = 0;
    this.ear = { samples: [], ready: false };
    this.port.onmessage = ({ data }) => {
      if (data.ear) data.ear.onmessage = ({ data: samples }) => this.take(samples);
      if (data.pcm) this.waiting.push(new Int16Array(data.pcm));
      if (data.cut) {
        // What follows is silence from the next render quantum on, 128 samples.
        this.waiting = [];
        this.at = 0;
        this.port.postMessage({ cut: data.cut, played: this.played });
      }
    };
  }

  take(samples) {
    this.ear.samples.push(...samples);
    if (this.ear.samples.length > MOST) this.ear.samples.splice(0, this.ear.samples.length - AHEAD);
    this.ear.ready ||= this.ear.samples.length >= AHEAD;
  }

  listen(size) {
    if (this.ear.ready && this.ear.samples.length >= size) return this.ear.samples.splice(0, size);
    this.ear.ready = false;
    return undefined;
  }

  process([input], [output]) {
    const out = output[0], microphone = input[0] ?? this.listen(out.length);
    for (let at = 0; at < out.length; at += 1) {
      while (this.waiting.length && this.at >= this.waiting[0].length) { this.waiting.shift(); this.at = 0; }
      if (this.waiting.length) { out[at] = this.waiting[0][this.at] / 32768; this.at += 1; this.played += 1; }
      this.heard[this.filled] = microphone ? Math.max(-1, Math.min(1, microphone[at])) * 32767 : 0;
      this.filled += 1;
      if (this.filled === FRAME) {
        const pcm = this.heard.buffer;
        this.port.postMessage({ heard: pcm, played: this.played }, [pcm]);
        this.heard = new Int16Array(FRAME);
        this.filled = 0;
      }
    }
    return true;
  }
}

// The microphone in a sound thread of its own rate, for browsers that connect it to no other: ours is the mean of the samples that it covers.
class Ear extends AudioWorkletProcessor {
  constructor() {
    super();
    this.due = 0;
    this.sum = 0;
    this.count = 0;
    this.port.onmessage = ({ data }) => { this.line = data.line; };
  }

  process([input]) {
    const heard = [];
    for (const sample of input[0] ?? []) {
      this.sum += sample;
      this.count += 1;
      this.due += RATE / sampleRate;
      if (this.due < 1) continue;
      for (; this.due >= 1; this.due -= 1) heard.push(this.sum / this.count);
      this.sum = this.count = 0;
    }
    if (heard.length) this.line?.postMessage(heard);
    return true;
  }
}

registerProcessor("line", Line);
registerProcessor("ear", Ear);
