// Puts the page together and connects its buttons.

import { Call } from "./call.js";
import { forget, remember, rememberedUser, suggestedCallee } from "./identity.js";
import { librarySource, loadClientLibrary } from "./library.js";
import { renderLog } from "./log-view.js";
import { EventLog } from "./log.js";
import { Media } from "./media.js";
import { Presence } from "./presence.js";
import { Signalling } from "./signalling.js";
import { Token } from "./token.js";
import { Ringer } from "./tone.js";
import { phaseOf, playSound, render, showProblem } from "./view.js";
import { clock, libraryWords } from "./words.js";

const element = (id) => document.getElementById(id);
const on = (id, event, handler) => element(id).addEventListener(event, handler);

/** A page without its client library: says so, and can be loaded again. */
function showWithoutLibrary() {
  const nothing = { phase: "idle", isLive: false, peerName: "", question: null, problem: null, remoteStream: null };
  const nobody = { status: "out", user: "", problem: "", wantsToken: "" };
  render({ presence: nobody, call: nothing, media: new Media(), libraryProblem: libraryWords(librarySource()) });
  on("join-form", "submit", (event) => event.preventDefault());
  on("banner-action", "click", () => location.reload());
}

function start(io) {
  const ringer = new Ringer();
  const log = new EventLog(() => renderLog(log));
  const token = new Token();
  const signalling = new Signalling(io, log, token);
  const media = new Media();
  const update = () => {
    const model = { presence, call, media, libraryProblem: "" };
    render(model);
    ringer.follow(phaseOf(model));
  };
  const presence = new Presence(signalling, token, {
    changed: () => {
      if (presence.status === "replaced") call.abandon("replaced");
      update();
    },
    back: (snapshot, caughtUp) => call.resume(snapshot, caughtUp),
  });
  const call = new Call({ signalling, presence, media, changed: () => update() });

  connectJoining(presence, token);
  connectCalling(call);
  connectControls(call, media, update);
  on("log-clear", "click", () => log.clear());
  on("banner-action", "click", () => presence.enter(presence.user));
  setInterval(() => showTimer(call), 250);
  setInterval(() => presence.watchToken(), 1000);
  update();
  if (rememberedUser().isKnown) element("join-form").requestSubmit();
}

function connectJoining(presence, token) {
  on("join-form", "submit", (event) => {
    event.preventDefault();
    const user = element("user").value.trim();
    showProblem("join-problem", "user", user ? "" : "Enter a name: any name that is not in use in another tab.");
    if (!user) return;
    remember(user);
    element("callee").value ||= suggestedCallee(user);
    presence.enter(user);
  });
  on("token-form", "submit", (event) => {
    event.preventDefault();
    const text = element("token").value.trim();
    element("token").value = "";
    if (text) presence.renew(text);
  });
  addEventListener("hashchange", () => {
    const text = token.takeFromAddress();
    if (text && presence.user) presence.renew(text);
  });
  on("leave", "click", () => {
    forget();
    token.use("");
    element("callee").value = "";
    presence.leave();
  });
}

function connectCalling(call) {
  on("call-form", "submit", (event) => {
    event.preventDefault();
    const callee = element("callee").value.trim();
    showProblem("call-problem", "callee", callee ? "" : "Enter the name of the user to call.");
    if (callee) call.place(callee, event.submitter?.value ?? "video");
  });
  on("callee", "input", () => showProblem("call-problem", "callee", ""));
  on("again", "click", () => call.place(call.peerName, call.callType));
  on("done", "click", () => call.dismiss());
}

function connectControls(call, media, update) {
  on("accept", "click", () => call.accept());
  on("reject", "click", () => call.reject());
  on("hangup", "click", () => call.hangUp());
  on("unmute", "click", playSound);
  on("question", "cancel", (event) => {
    event.preventDefault();
    call.question?.answer(null);
  });
  for (const [id, kind] of [["mic", "audio"], ["camera", "video"]]) {
    on(id, "click", () => {
      media.toggle(kind);
      update();
    });
  }
}

function showTimer({ connectedAt }) {
  const seconds = connectedAt ? clock(Math.floor((performance.now() - connectedAt) / 1000)) : "";
  if (element("timer").textContent !== seconds) element("timer").textContent = seconds;
}

element("user").value ||= rememberedUser().name; // unless the user was quicker
element("log-panel").open = matchMedia("(min-width: 900px)").matches;
let io;
try {
  io = await loadClientLibrary();
} catch {
  showWithoutLibrary();
}
if (io) start(io);
