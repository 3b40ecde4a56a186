// The call's line in the sound thread of a page: plays what it is given, counts what it has played, and hands over the microphone.

const FRAME = 480; // 20 ms at 24 kHz

class Line extends AudioWorkletProcessor {
  constructor() {
    super();
    this.waiting = [];
    this.at = 0;
    this.played = 0;
    this.heard = new Int16Array(FRAME);
    this.filled = 0;
    this.port.onmessage = ({ data }) => {
      if (data.pcm) this.waiting.push(new Int16Array(data.pcm));
      if (data.cut) {
        // What follows is silence from the next render quantum on, 128 samples.
        this.waiting = [];
        this.at = 0;
        this.port.postMessage({ cut: data.cut, played: this.played });
      }
    };
  }

  process([input], [output]) {
    const out = output[0], microphone = input[0];
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

registerProcessor("line", Line);
