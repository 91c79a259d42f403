// The page's elements, set from the state; knows nothing of sockets and connections.

import { addressFor, otherThan } from "./identity.js";
import { endingWords, lineOf, mediaWords, NOTES, problemWords, STATES, tokenWords } from "./words.js";

const element = (id) => document.getElementById(id);
const TONES = 6;
const CALL_ACTIONS = new Set(["call:initiate"]);

/**
 * @typedef {{presence: import("./presence.js").Presence, call: import("./call.js").Call,
 *   media: import("./media.js").Media, libraryProblem: string}} Model
 */

/** Show the state of the page. @param {Model} model */
export function render(model) {
  const screen = screenOf(model);
  const phase = phaseOf(model);
  renderState(phase, screen);
  renderBanner(model);
  renderToken(model.presence);
  renderNames(model);
  renderForms(model);
  if (screen === "call") renderCall(model);
  renderVideos(model);
  if (screen === "ended") renderEnding(model.call);
  renderQuestion(model.call.question);
}

/** The visible state: a key of `STATES`. @param {Model} model */
export function phaseOf({ presence, call }) {
  if (call.phase !== "idle") return call.phase;
  return presence.status === "joined" ? "joined" : "offline";
}

function screenOf({ presence, call }) {
  if (call.phase === "ended") return "ended";
  if (call.isLive) return "call";
  return presence.status === "joined" || presence.status === "reconnecting" ? "home" : "join";
}

function renderState(phase, screen) {
  const state = element("state");
  setText(state, STATES[phase]);
  state.dataset.state = phase;
  const stage = element("stage");
  const isNew = stage.dataset.screen !== screen;
  stage.dataset.screen = screen;
  stage.dataset.phase = phase;
  for (const part of stage.querySelectorAll(":scope > [data-screen]")) part.hidden = part.dataset.screen !== screen;
  for (const button of stage.querySelectorAll("[data-phases]")) {
    button.hidden = !button.dataset.phases.split(" ").includes(phase);
  }
  if (isNew) focusOn(screen);
}

/** Keyboard users go on where the new screen begins; on a touch screen this must not raise the keyboard. */
function focusOn(screen) {
  if (!matchMedia("(pointer: fine)").matches) return;
  const first = { join: "user", home: "callee", ended: "again" }[screen];
  if (first && document.hasFocus()) element(first).focus();
}

function renderBanner({ presence, libraryProblem }) {
  const banner = bannerOf(presence, libraryProblem);
  element("banner").hidden = !banner;
  if (!banner) return;
  const [title, text, action] = banner;
  setText(element("banner-title"), title);
  setText(element("banner-text"), text);
  setText(element("banner-action"), action);
  element("banner-action").hidden = !action;
}

function renderToken({ wantsToken }) {
  element("token-form").hidden = !wantsToken;
  setText(element("token-text"), wantsToken ? tokenWords(wantsToken) : "");
}

function bannerOf(presence, libraryProblem) {
  if (libraryProblem) return ["The page is not complete.", libraryProblem, "Try again"];
  if (presence.status === "reconnecting") {
    return ["The server cannot be reached.", "Trying again by itself; you will be joined as before.", ""];
  }
  if (presence.status === "replaced") {
    const text = `${presence.user} has joined in another tab or on another device, so this tab was signed out.`;
    return ["You joined elsewhere.", text, "Join here again"];
  }
  return null;
}

function renderNames({ presence, call }) {
  const names = { me: presence.user, peer: call.peerName, other: otherThan(presence.user) };
  for (const place of document.querySelectorAll("[data-name]")) setText(place, names[place.dataset.name]);
  for (const place of document.querySelectorAll("[data-avatar]")) {
    const name = names[place.dataset.avatar];
    setText(place, [...name][0]?.toUpperCase() ?? "");
    place.dataset.tone = String([...name].reduce((sum, letter) => sum + letter.codePointAt(0), 0) % TONES);
  }
  const title = call.phase === "ringing-in" ? `${call.peerName} is calling` : presence.user;
  document.title = [title, "HelloTalk signalling: demo call"].filter(Boolean).join(" · ");
}

function renderForms({ presence, call, libraryProblem }) {
  const isJoining = presence.status === "joining";
  element("join").disabled = isJoining || Boolean(libraryProblem);
  setText(element("join"), isJoining ? "Joining…" : "Join");
  if (presence.problem) showProblem("join-problem", "user", presence.problem);
  element("second-tab").href = addressFor(otherThan(presence.user), presence.user);
  const isPlacing = call.problem && CALL_ACTIONS.has(call.problem.event);
  if (isPlacing) showProblem("call-problem", "callee", problemWords(call.problem, call.peerName));
  else if (call.phase !== "idle") showProblem("call-problem", "callee", "");
  for (const id of ["call-video", "call-audio"]) element(id).disabled = presence.status !== "joined";
}

/** Say next to a field what is wrong with it; the empty text takes it back. */
export function showProblem(id, field, text) {
  setText(element(id), text);
  element(field).setAttribute("aria-invalid", String(Boolean(text)));
}

function renderCall({ call, media }) {
  setText(element("line"), lineOf(call));
  const { problem } = call;
  setText(element("action-problem"), problem ? problemWords(problem, call.peerName) : "");
  element("note").hidden = !call.note;
  setText(element("note"), NOTES[call.note]?.(call.peerName) ?? "");
  element("accept").disabled = call.answering;
  setText(element("accept").querySelector(".label"), call.answering ? "Starting…" : "Accept");
  renderToggle("mic", media.has("audio"), media.isOn("audio"), "Mute", "Unmute");
  renderToggle("camera", media.has("video"), media.isOn("video"), "Camera off", "Camera on");
  if (call.callType === "audio") element("camera").hidden = true;
  setText(element("local-note"), media.has("audio") ? (media.isOn("audio") ? "" : ", muted") : ", only listening");
}

function renderToggle(id, has, isOn, turnOff, turnOn) {
  const button = element(id);
  button.disabled = !has;
  button.setAttribute("aria-pressed", String(!isOn));
  const missing = id === "mic" ? "No microphone" : "No camera";
  setText(button.querySelector(".label"), has ? (isOn ? turnOff : turnOn) : missing);
}

function renderVideos({ call, media }) {
  show(element("remote"), call.remoteStream);
  show(element("local"), call.isLive ? media.stream : null);
  const remoteVideo = call.remoteStream?.getVideoTracks()[0];
  const hasPicture = call.phase === "connected" && remoteVideo && !remoteVideo.muted;
  element("remote-tile").dataset.picture = hasPicture ? "yes" : "no";
  element("local-tile").dataset.picture = media.isOn("video") ? "yes" : "no";
  element("local-tile").hidden = call.phase === "ringing-in" || !media.stream.getTracks().length;
}

function show(video, stream) {
  if (video.srcObject === stream) return;
  video.srcObject = stream;
  element("unmute").hidden = true;
  if (!stream) return;
  video.play().catch((error) => {
    if (error.name === "NotAllowedError") element("unmute").hidden = false;
  });
}

/** Play what the browser refused to play before the page was touched. */
export function playSound() {
  element("unmute").hidden = true;
  element("remote").play().catch(() => {});
}

function renderEnding(call) {
  const { title, text } = endingWords(call.ending, call.peerName);
  setText(element("ending-title"), title);
  setText(element("ending-text"), text);
  element("ending").dataset.code = call.ending.code;
}

function renderQuestion(question) {
  const dialog = element("question");
  if (!question) {
    dialog.close();
    return;
  }
  if (dialog.open) return;
  const { title, text } = mediaWords(question);
  setText(element("question-title"), title);
  setText(element("question-text"), text);
  element("question-choices").replaceChildren(...choicesFor(question));
  dialog.showModal();
}

function choicesFor({ wanted, answer }) {
  const choices = [choice("Try again", "primary", () => answer(wanted))];
  if (wanted.video) choices.push(choice("Go on with audio only", "", () => answer({ audio: true, video: false })));
  choices.push(choice("Only watch and listen", "", () => answer({ audio: false, video: false })));
  choices.push(choice("Cancel", "quiet", () => answer(null)));
  return choices;
}

function choice(label, style, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = `button wide ${style}`;
  button.textContent = label;
  button.addEventListener("click", act);
  return button;
}

/** Text set only when it differs, so that screen readers are not made to say it again. */
function setText(place, text) {
  if (place.textContent !== text) place.textContent = text;
}
