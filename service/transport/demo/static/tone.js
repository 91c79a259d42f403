// A soft ring, where the browser lets a page make sound before it was touched.

const PERIOD_MS = 2400;
const VOLUME = 0.06;
const RINGS = { "ringing-in": [587, 740], "ringing-out": [440] };

export class Ringer {
  #context = null;
  #phase = "";
  #timer = 0;

  /** Ring as this phase asks for; phases without a ring are silent. */
  follow(phase) {
    if (phase === this.#phase) return;
    this.#phase = phase;
    clearInterval(this.#timer);
    const notes = RINGS[phase];
    if (!notes) return;
    this.#context ??= new AudioContext();
    this.#context.resume(); // never settles without a touch; then the page rings silently
    this.#ring(notes);
    this.#timer = setInterval(() => this.#ring(notes), PERIOD_MS);
  }

  #ring(notes) {
    if (this.#context.state !== "running") return;
    const start = this.#context.currentTime;
    notes.forEach((note, index) => this.#play(note, start + index * 0.22));
  }

  #play(frequency, start) {
    const gain = new GainNode(this.#context, { gain: 0 });
    const oscillator = new OscillatorNode(this.#context, { frequency });
    gain.gain.setValueAtTime(0, start);
    gain.gain.linearRampToValueAtTime(VOLUME, start + 0.04);
    gain.gain.exponentialRampToValueAtTime(0.0001, start + 0.5);
    oscillator.connect(gain).connect(this.#context.destination);
    oscillator.start(start);
    oscillator.stop(start + 0.55);
  }
}
