// The call's sound: unpacked from the page, played from the cursor.

import { decoded } from "./model.js";

export class Sound {
  constructor(on) {
    this.on = on;
    this.playing = null;
  }

  use(sound) {
    this.pause();
    this.sound = sound;
    this.sides = sound?.sides ?? null;
  }

  get hearable() {
    return Boolean(this.sound && this.sound.pcm);
  }

  async unpacked() {
    this.context ??= new AudioContext();
    if (this.sides) return;
    const stream = new Blob([decoded(this.sound.pcm)]).stream().pipeThrough(new DecompressionStream("deflate"));
    const bytes = new Int8Array(await new Response(stream).arrayBuffer()), half = bytes.length / 2;
    const loud = Float32Array.from({ length: 256 }, (_, at) => { const code = (at << 24) >> 24; return (Math.sign(code) * (256 ** (Math.abs(code) / 127) - 1)) / 255; });
    this.sides = this.context.createBuffer(2, half, this.sound.rate);
    for (const side of [0, 1]) this.sides.getChannelData(side).set(Float32Array.from(bytes.subarray(side * half, (side + 1) * half), (code) => loud[code & 255]));
  }

  async play(ms, speed = 1) {
    this.pause();
    await this.unpacked();
    await this.context.resume();
    const node = new AudioBufferSourceNode(this.context, { buffer: this.sides, playbackRate: speed });
    node.connect(this.context.destination);
    const offset = Math.max(0, (ms - this.sound.from_ms) / 1000), wait = Math.max(0, (this.sound.from_ms - ms) / 1000);
    node.start(this.context.currentTime + wait, offset);
    this.playing = { node, began: this.context.currentTime, from: ms, speed };
    this.follow(this.playing);
  }

  follow(playing) {
    if (this.playing !== playing) return;
    const ms = playing.from + (this.context.currentTime - playing.began) * 1000 * playing.speed;
    if (ms >= this.sound.from_ms + this.sides.duration * 1000) this.pause();
    else requestAnimationFrame(() => this.follow(playing));
    this.on(ms);
  }

  // A call.wav as the sound of a page: what it holds, and how loud that is every 10 ms.
  static async opened(file, from) {
    const sides = await new AudioContext().decodeAudioData(await file.arrayBuffer());
    if (sides.numberOfChannels !== 2) throw new Error("it has not two sides");
    const size = sides.sampleRate / 100;
    const peaks = (side) => Uint8Array.from({ length: Math.ceil(sides.length / size) }, (_, at) => {
      let peak = 0;
      for (const sample of side.subarray(Math.round(at * size), Math.round((at + 1) * size))) peak = Math.max(peak, Math.abs(sample));
      return Math.min(255, Math.ceil(peak * 255));
    });
    return { from_ms: from, hz: 100, caller: peaks(sides.getChannelData(0)), agent: peaks(sides.getChannelData(1)), pcm: "opened", sides };
  }

  pause() {
    if (!this.playing) return;
    this.playing.node.stop();
    this.playing = null;
  }
}
