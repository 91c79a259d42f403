// The call of this tab, from the first ring to its end: what the server and the user do to it.
//
//   idle -> preparing -> ringing-out -> connecting -> connected -> ended
//   idle -> ringing-in ---------------> connecting
//
// The server's events move the call; acknowledgements only tell of failures.

import { MediaError } from "./media.js";
import { Peer } from "./peer.js";
import { RequestError } from "./signalling.js";

/** How long media may take to connect before the call is given up. */
const CONNECT_TIMEOUT_MS = 30_000;

/** How often the server is told how the media fares. */
const REPORT_EVERY_MS = 10_000;

/** @typedef {"idle" | "preparing" | "ringing-out" | "ringing-in" | "connecting" | "connected" | "ended"} Phase */

export class Call {
  /** @type {Phase} */
  phase = "idle";
  id = "";
  peerName = "";
  callType = "video";
  /** Whether the accepted call waits for this user's devices. */
  answering = false;
  /** Why the last action failed: an error code and the action, or null. */
  problem = null;
  /** What is wrong for now, a key of `NOTES` in words.js, or "". */
  note = "";
  /** A question about devices: `{kind, wanted, answer}`, or null. */
  question = null;
  /** How it ended: `{code, byMe, wasIncoming, seconds}`, or null. */
  ending = null;
  /** When media began to flow, in milliseconds of the page's clock. */
  connectedAt = 0;

  #signalling;
  #presence;
  #media;
  #changed;
  #peer = null;
  #early = [];
  #isAnswered = false;
  #isCallee = false;
  /** The end of a call that could not be told to the server. */
  #untold = null;
  #waiting = null;
  #timer = 0;
  #reports = 0;
  #wasIncoming = false;

  /**
   * @param {{signalling: import("./signalling.js").Signalling, presence: import("./presence.js").Presence,
   *   media: import("./media.js").Media, changed: () => void}} parts
   */
  constructor({ signalling, presence, media, changed }) {
    this.#signalling = signalling;
    this.#presence = presence;
    this.#media = media;
    this.#changed = changed;
    signalling.on("call:incoming", (event) => this.#onIncoming(event));
    signalling.on("call:initiated", (event) => this.#onInitiated(event));
    signalling.on("call:accepted", (event) => this.#onAccepted(event));
    signalling.on("call:rejected", (event) => this.#onOver(event));
    signalling.on("call:ended", (event) => this.#onOver(event));
    signalling.on("call:offer", ({ offer, from }) => this.#onRelay(from, () => this.#answer(offer), true));
    signalling.on("call:answer", ({ answer, from }) => this.#onRelay(from, () => this.#settle(answer)));
    signalling.on("ice:candidate", ({ candidate, from }) =>
      this.#onRelay(from, () => this.#peer.addCandidate(candidate)),
    );
    signalling.on("call:peer-reconnecting", ({ callId }) => this.#setNote(callId, "peer-away"));
    signalling.on("call:peer-reconnected", ({ callId }) => this.#setNote(callId, ""));
  }

  /** What the other party sends, or null. */
  get remoteStream() {
    return this.#peer?.stream ?? null;
  }

  // --- what the user does -------------------------------------------------------------------------------

  /** Call somebody. */
  async place(peerName, callType) {
    this.#begin("preparing", "", peerName, callType);
    if (!(await this.#prepare())) return;
    const payload = { to: peerName, callType };
    await this.#attempt("call:initiate", payload, () => this.phase === "preparing" && this.#toIdle());
  }

  /** Answer the call that rings here. */
  async accept() {
    this.answering = true;
    this.#changed();
    const { id, peerName } = this;
    const isReady = await this.#prepare();
    if (this.id !== id || this.phase !== "ringing-in") return;
    if (isReady) await this.#attempt("call:accept", { callId: id, from: peerName });
    this.answering = false;
    this.#changed();
  }

  /** Decline the call that rings here. */
  async reject() {
    await this.#attempt("call:reject", { callId: this.id, from: this.peerName });
  }

  /** Cancel or end the call. Without a server to tell, it ends on this side. */
  async hangUp(code) {
    if (this.phase === "preparing") {
      this.#giveUp();
      return;
    }
    const payload = code ? { callId: this.id, code } : { callId: this.id };
    await this.#attempt("call:end", payload, () => {
      this.#untold = payload;
      this.#finish(code ?? "hangup", true);
    });
  }

  /** Put the ended call away. */
  dismiss() {
    if (this.phase === "ended") this.#toIdle();
  }

  /** Forget the call because this tab no longer speaks for its user. */
  abandon(code) {
    if (this.isLive) this.#finish(code, true);
  }

  /** Forget why the last action failed. */
  clearProblem() {
    this.problem = null;
    this.#changed();
  }

  get isLive() {
    return this.phase !== "idle" && this.phase !== "ended";
  }

  /**
   * The user has joined (again); `snapshot` is the live call that the server knows of, if any. What was missed of it
   * has come when `caughtUp` resolves.
   */
  async resume(snapshot, caughtUp) {
    const untold = this.#untold;
    this.#untold = null;
    if (!snapshot) {
      if (this.id && this.isLive) this.#finish("connection_lost", true);
      else if (this.phase === "preparing") this.#giveUp();
      return;
    }
    if (untold?.callId === snapshot.callId) {
      await this.#attempt("call:end", untold);
      return;
    }
    const isMine = this.id === snapshot.callId && this.isLive;
    const isRinging = snapshot.state === "ringing";
    if (isRinging && (isMine || snapshot.role === "callee")) return;
    if (isMine && this.#peer) await this.#recover(snapshot, caughtUp);
    else await this.#takeUp(snapshot, caughtUp, isMine);
  }

  /** Go on with the same media; where it is interrupted, or messages are missing, look for new ways for it. */
  async #recover({ missed }, caughtUp) {
    const peer = this.#peer;
    await caughtUp;
    if (this.#peer === peer && (missed || !peer.isConnected)) this.#run(() => this.#offer(peer, { restart: true }));
  }

  /** Go on with a call that this page has no media for, because it was loaded anew or took over. */
  async #takeUp({ callId, peer, callType, role, state }, caughtUp, isMine) {
    if (!isMine) {
      this.#begin("connecting", callId, peer, callType);
      this.#wasIncoming = role === "callee";
    }
    this.#isCallee = role === "callee";
    if (!isMine && !(await this.#prepare())) return;
    const call = this.#early;
    await caughtUp;
    if (this.#early !== call || !this.isLive || this.#peer) return;
    if (state === "ringing" && !this.#isAnswered) this.#set("ringing-out");
    else await this.#negotiate(!call.some(({ isOffer }) => isOffer));
  }

  // --- what the server says -----------------------------------------------------------------------------

  #onIncoming({ callId, from, callType }) {
    if (this.id === callId) return;
    if (this.phase === "preparing" && this.peerName === from) {
      this.#waiting = { callId, from, callType }; // glare: our own attempt will be the answer
      return;
    }
    this.#begin("ringing-in", callId, from, callType);
    this.#wasIncoming = true;
  }

  #onInitiated({ callId, to }) {
    if (this.phase !== "preparing" || this.peerName !== to) {
      this.#signalling.tell("call:end", { callId }); // given up in the meantime
      return;
    }
    this.#waiting = null;
    this.id = callId;
    this.#set("ringing-out");
  }

  #onAccepted({ callId, by }) {
    if (this.id !== callId || !this.isLive) return;
    this.#isCallee = by === this.#presence.user;
    if (this.phase === "connecting") {
      this.#isAnswered = true; // taken up while it rang; the devices are being opened
      return;
    }
    this.#negotiate(!this.#isCallee);
  }

  #onOver({ callId, by, code }) {
    if (this.#waiting?.callId === callId) this.#waiting = null;
    if (this.id !== callId || !this.isLive) return;
    const byTheService = by === null && code !== "server_shutdown";
    this.#finish(byTheService ? "by_the_service" : (code ?? "hangup"), by === this.#presence.user);
  }

  #onRelay(from, task, isOffer = false) {
    if (from !== this.peerName || !this.isLive) return;
    if (this.#peer) this.#run(task);
    else this.#early.push({ task, isOffer });
  }

  // --- media --------------------------------------------------------------------------------------------

  /** Open the devices; where that fails, ask what to do instead. False when the call is not to be. */
  async #prepare() {
    const call = this.#early; // a new list with every call: its mark
    const isSame = () => this.#early === call && this.isLive;
    let wanted = { audio: true, video: this.callType === "video" };
    while (wanted && isSame()) {
      try {
        await this.#media.open(wanted);
        if (!isSame()) this.#media.close();
        return isSame();
      } catch (error) {
        if (!(error instanceof MediaError)) throw error;
        if (isSame()) wanted = await this.#ask(error.kind, wanted);
      }
    }
    if (isSame()) this.#decline();
    return false;
  }

  #ask(kind, wanted) {
    return new Promise((resolve) => {
      const answer = (choice) => {
        this.question = null;
        this.#changed();
        resolve(choice);
      };
      this.question = { kind, wanted, answer };
      this.#changed();
    });
  }

  /** The user does not want to go on without devices. */
  #decline() {
    if (this.phase === "preparing") this.#giveUp();
    else if (this.phase === "connecting") this.hangUp();
  }

  async #negotiate(isOfferer) {
    const peer = this.#newPeer();
    this.#set("connecting");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#peer === peer && this.hangUp("failed"), CONNECT_TIMEOUT_MS);
    for (const { task } of this.#early.splice(0)) this.#run(task);
    if (isOfferer) this.#run(() => this.#offer(peer));
  }

  #newPeer() {
    this.#peer?.close();
    const to = this.peerName;
    const peer = new Peer({
      iceServers: this.#presence.iceServers,
      stream: this.#media.stream,
      onCandidate: (candidate) => this.#signalling.tell("ice:candidate", this.#addressed({ candidate }, to)),
      onTrack: this.#changed,
      onState: (state) => this.#peer === peer && this.#onMedia(state),
    });
    this.#peer = peer;
    return peer;
  }

  async #offer(peer, options) {
    const offer = await peer.offer(this.callType === "video" ? ["audio", "video"] : ["audio"], options);
    const payload = this.#addressed({ offer, callType: this.callType }, this.peerName);
    if (this.#peer === peer) await this.#attempt("call:offer", payload);
  }

  async #answer(offer) {
    if (this.#peer.isFromAnother(offer)) this.#newPeer();
    const peer = this.#peer;
    const answer = await peer.answer(offer, { givesWay: this.#isCallee });
    if (answer && this.#peer === peer) await this.#attempt("call:answer", this.#addressed({ answer }, this.peerName));
  }

  async #settle(answer) {
    if (this.#peer.isOffering && this.#peer.isFromAnother(answer)) await this.#offer(this.#newPeer());
    else await this.#peer.settle(answer);
  }

  #addressed(payload, to) {
    return { ...payload, from: this.#presence.user, to };
  }

  #onMedia(state) {
    if (state === "connected") this.#onConnected();
    else if (state === "disconnected") this.#setNote(this.id, "media-interrupted");
    if (state === "failed") this.#report(state).then((isSame) => isSame && this.#onMediaFailed());
    else if (state === "connected" || state === "disconnected") this.#report(state);
  }

  /** Tell the server how the media fares. False when the call has gone on to another connection meanwhile. */
  async #report(ice) {
    const { id: callId } = this;
    const peer = this.#peer;
    const stats = await peer.stats(ice);
    if (this.#peer !== peer) return false;
    this.#signalling.tell("call:quality", { callId, stats });
    return true;
  }

  /** Without a way for media the call is over, unless a party is away that will look for new ones when it is back. */
  #onMediaFailed() {
    const isAway = !this.#signalling.connected || this.note === "peer-away";
    if (this.phase === "connected" && isAway) this.#setNote(this.id, "media-interrupted");
    else this.hangUp("failed");
  }

  #onConnected() {
    clearTimeout(this.#timer);
    this.note = "";
    if (this.phase === "connecting") {
      this.connectedAt ||= performance.now();
      this.#signalling.tell("call:connected", { callId: this.id });
    }
    clearInterval(this.#reports);
    this.#reports = setInterval(() => this.phase === "connected" && this.#report(), REPORT_EVERY_MS);
    this.#set("connected");
  }

  // --- state --------------------------------------------------------------------------------------------

  #begin(phase, id, peerName, callType) {
    this.#reset();
    Object.assign(this, { id, peerName, callType });
    this.#wasIncoming = false;
    this.#set(phase);
  }

  #finish(code, byMe) {
    const seconds = this.connectedAt ? Math.round((performance.now() - this.connectedAt) / 1000) : null;
    const ending = { code, byMe, wasIncoming: this.#wasIncoming, seconds };
    this.#reset();
    this.ending = ending;
    this.#set("ended");
  }

  /** Let go of a call that was not placed yet; the one that waited behind it rings now. */
  #giveUp() {
    const waiting = this.#waiting;
    this.#toIdle();
    if (waiting) this.#onIncoming(waiting);
  }

  #toIdle() {
    this.#reset();
    this.#set("idle");
  }

  /** Let go of everything that a call holds. */
  #reset() {
    clearTimeout(this.#timer);
    clearInterval(this.#reports);
    const { question } = this;
    this.#peer?.close();
    this.#peer = null;
    this.#media.close();
    this.#early = [];
    this.#isAnswered = false;
    this.#waiting = null;
    Object.assign(this, { id: "", answering: false, note: "", ending: null, connectedAt: 0, problem: null });
    question?.answer(null);
  }

  #set(phase) {
    this.phase = phase;
    this.#changed();
  }

  #setNote(callId, note) {
    if (this.id !== callId) return;
    this.note = note;
    this.#changed();
  }

  /** Send a request; where it fails, tell the user next to the action, after `otherwise`. */
  async #attempt(event, payload, otherwise = () => {}) {
    const call = this.#early;
    try {
      await this.#signalling.request(event, payload);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      if (this.#early !== call) return; // another call by now
      otherwise();
      if (this.phase !== "ended") this.problem = { code: error.code, retryAfterMs: error.retryAfterMs, event };
      this.#changed();
    }
  }

  /** Run a step of the negotiation; one that the browser refuses ends the call. */
  async #run(task) {
    const peer = this.#peer;
    try {
      await task();
    } catch {
      if (this.#peer === peer && this.phase === "connecting") await this.hangUp("failed");
    }
  }
}
