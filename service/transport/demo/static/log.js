// What went over the signalling connection, as a list that is safe to show: descriptions and candidates only as
// their size, since they hold network addresses, and no credentials.

const KEPT = 300;
const SHORT_ID = 8;

/** @typedef {{time: Date, direction: "sent" | "received" | "note", event: string, summary: string}} Entry */

export class EventLog {
  /** @type {Entry[]} */
  entries = [];
  /** How many there were, the forgotten ones too. */
  count = 0;
  #changed;

  /** @param {() => void} changed */
  constructor(changed) {
    this.#changed = changed;
  }

  sent(event, payload) {
    this.#add("sent", event, summarise(event, payload));
  }

  received(event, payload) {
    this.#add("received", event, summarise(event, payload));
  }

  note(text) {
    this.#add("note", text, "");
  }

  clear() {
    this.entries = [];
    this.count = 0;
    this.#changed();
  }

  #add(direction, event, summary) {
    this.entries = [...this.entries.slice(1 - KEPT), { time: new Date(), direction, event, summary }];
    this.count += 1;
    this.#changed();
  }
}

const OPAQUE = { "call:offer": "offer", "call:answer": "answer", "ice:candidate": "candidate" };

function summarise(event, payload) {
  const opaque = OPAQUE[event];
  if (opaque) return payload?.[opaque] ? `${opaque}, ${size(payload[opaque])}` : "end of candidates";
  return Object.entries(payload ?? {})
    .map(([field, value]) => `${field}: ${brief(field, value)}`)
    .join(", ");
}

function brief(field, value) {
  if (field === "token") return "…";
  if (Array.isArray(value)) return `[${value.length}]`;
  if (value !== null && typeof value === "object") return "{…}";
  const text = String(value);
  return field.endsWith("Id") && field !== "userId" && text.length > SHORT_ID ? `${text.slice(0, SHORT_ID)}…` : text;
}

function size(value) {
  const bytes = new TextEncoder().encode(JSON.stringify(value)).length;
  return bytes < 100 ? `${bytes} B` : `${(bytes / 1000).toFixed(1)} kB`;
}
