// The browser as the line of a call: microphone and loudspeaker in the sound thread, and one socket.

const RATE = 24000, MOST_WAITING = 96000; // bytes of the microphone that may wait for a slow socket: 2 s

export class Talking {
  constructor(url, on) {
    this.on = on;
    this.url = url;
    this.cuts = [];
  }

  async begin() {
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 } });
    } catch (error) {
      this.end(error.name === "NotAllowedError" ? "The microphone is not allowed: allow it for this page, and press Talk again." : `There is no microphone: ${error.message}`);
    }
    if (this.over) { this.release(); return; }
    this.on.allowed();
    try {
      this.context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
      await this.context.audioWorklet.addModule("line.js");
      this.node = new AudioWorkletNode(this.context, "line", { numberOfInputs: 1, outputChannelCount: [1] });
      await this.listen();
      this.node.connect(this.context.destination);
      await this.context.resume();
    } catch (error) {
      this.end(`This browser cannot carry a call: ${error.message}`);
    }
    if (this.over) { this.release(); return; }
    this.stream.getAudioTracks()[0].addEventListener("ended", () => this.end("The microphone was taken away."));
    this.socket = new WebSocket(`${this.url}talk`);
    this.socket.binaryType = "arraybuffer";
    this.socket.addEventListener("message", ({ data }) => this.take(data));
    this.socket.addEventListener("close", ({ code, reason }) => this.end(reason || (code === 1006 ? "The server is gone." : "The call is over.")));
    this.node.port.onmessage = ({ data }) => this.send(data);
    this.on.began();
  }

  // Firefox connects a microphone to a context of the microphone's own rate alone.
  async listen() {
    try {
      this.context.createMediaStreamSource(this.stream).connect(this.node);
    } catch {
      this.own = new AudioContext();
      await this.own.audioWorklet.addModule("line.js");
      const ear = new AudioWorkletNode(this.own, "ear", { numberOfInputs: 1, numberOfOutputs: 0 }), { port1, port2 } = new MessageChannel();
      ear.port.postMessage({ line: port1 }, [port1]);
      this.node.port.postMessage({ ear: port2 }, [port2]);
      this.own.createMediaStreamSource(this.stream).connect(ear);
      await this.own.resume();
    }
  }

  take(data) {
    if (data instanceof ArrayBuffer) { this.node.port.postMessage({ pcm: data }, [data]); return; }
    const { cut } = JSON.parse(data);
    this.cuts.push(performance.now());
    this.node.port.postMessage({ cut });
  }

  send({ heard, cut, played }) {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    if (cut) { this.socket.send(JSON.stringify({ cut, played })); return; }
    this.played = played;
    this.level(heard);
    if (this.socket.bufferedAmount > MOST_WAITING) return;
    const message = new Uint8Array(4 + heard.byteLength);
    new DataView(message.buffer).setUint32(0, played, true);
    message.set(new Uint8Array(heard), 4);
    this.socket.send(message);
  }

  level(heard) {
    let peak = 0;
    for (const sample of new Int16Array(heard)) peak = Math.max(peak, Math.abs(sample));
    this.on.level(peak / 32768);
  }

  hangUp() {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send('{"left": true}');
    else this.end("The call is over.");
  }

  end(words) {
    if (this.over) return;
    this.over = true;
    this.release();
    this.on.ended(words);
  }

  // Also what has come since the caller hung up.
  release() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.socket?.close();
    for (const context of [this.context, this.own]) context?.close().catch(() => {}); // it may be closed already
  }
}
