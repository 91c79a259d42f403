// The event log as a list on the page.

const ARROWS = { sent: "↑", received: "↓", note: "·" };
const NEAR_PX = 40;

const list = document.getElementById("log");

/** Show the entries of the log; follow the newest unless the user has scrolled back. */
export function renderLog(log) {
  const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_PX;
  const shown = new Map([...list.children].map((row) => [row.entry, row]));
  list.replaceChildren(...log.entries.map((entry) => shown.get(entry) ?? rowFor(entry)));
  document.getElementById("log-count").textContent = String(log.count);
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}

function rowFor(entry) {
  const row = document.createElement("li");
  row.entry = entry;
  row.dataset.kind = entry.event === "error" ? "error" : entry.direction;
  const arrow = part("b", ARROWS[entry.direction]);
  if (entry.direction !== "note") arrow.setAttribute("aria-label", entry.direction);
  const words = document.createElement("p");
  words.append(part("code", entry.event), " ", part("span", entry.summary));
  row.append(part("time", clockTime(entry.time)), arrow, words);
  return row;
}

function part(kind, text) {
  const node = document.createElement(kind);
  node.textContent = text;
  return node;
}

function clockTime(time) {
  const parts = [time.getHours(), time.getMinutes(), time.getSeconds()];
  const clock = parts.map((part) => String(part).padStart(2, "0")).join(":");
  return `${clock}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}
