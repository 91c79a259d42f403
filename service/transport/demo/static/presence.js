// Who this tab is: joining, joining again after a reconnect, proving it, and being replaced by another tab.

import { joinWords } from "./words.js";

/** @typedef {"out" | "joining" | "joined" | "reconnecting" | "replaced" | "refused"} Status */

export class Presence {
  /** @type {Status} */
  status = "out";
  user = "";
  /** Why joining failed, for the user. */
  problem = "";
  iceServers = [];
  /** Why a fresh token is wanted: the server's code, or `ends_soon`; "" where none is. */
  wantsToken = "";
  #signalling;
  #token;
  #changed;
  #back;
  #joining = Promise.resolve();

  /**
   * @param {import("./signalling.js").Signalling} signalling
   * @param {import("./token.js").Token} token
   * @param {{changed: () => void, back: (call: object | undefined, caughtUp: Promise<void>) => void}} handlers
   *   `back` gets the live call that the server knows of, whenever the user has joined; what was missed of it has
   *   come when `caughtUp` resolves
   */
  constructor(signalling, token, { changed, back }) {
    this.#signalling = signalling;
    this.#token = token;
    this.#changed = changed;
    this.#back = back;
    signalling.on("connect", () => {
      this.#joining = this.#join();
    });
    signalling.on("user:joined", (joined) => this.#joined(joined));
    signalling.on("disconnect", (reason) => this.#lost(reason));
    signalling.on("connect_error", ({ data }) => this.#refused(data?.code));
  }

  /** Be this user, as soon as the server can be reached. */
  enter(user) {
    this.user = user;
    this.#set("joining");
    this.#signalling.connect();
  }

  /** Prove with this token who the user is: in band where the connection stands, else by connecting again. */
  async renew(token) {
    this.wantsToken = "";
    if (!this.#signalling.connected) {
      this.#token.use(token);
      this.enter(this.user);
      return;
    }
    try {
      await this.#signalling.request("auth:refresh", { token });
      this.#token.use(token);
    } catch (error) {
      this.wantsToken = error.code;
    }
    this.#changed();
  }

  /** See whether the token runs out; to be called from time to time. */
  watchToken() {
    if (this.status !== "joined" || this.wantsToken || !this.#token.endsSoon) return;
    this.wantsToken = "ends_soon";
    this.#changed();
  }

  /** Be nobody. */
  leave() {
    this.wantsToken = "";
    this.#set("out");
    this.#signalling.disconnect();
  }

  /** The order of the server's answer: `user:joined`, what was missed, the acknowledgement. */
  #joined({ iceServers, call }) {
    this.iceServers = iceServers ?? [];
    this.#set("joined");
    this.#back(call, this.#joining);
  }

  async #join() {
    try {
      await this.#signalling.request("user:join", { userId: this.user });
    } catch (error) {
      if (error.code === "offline") return; // the next connection joins again
      this.leave();
      this.problem = joinWords(error);
      this.#changed();
    }
  }

  /** The connection did not come about: with a code the server refused it, and the library does not try again. */
  #refused(code) {
    if (code) this.wantsToken = code;
    this.#set(code ? "refused" : "reconnecting");
  }

  #lost(reason) {
    if (this.status === "out") return;
    // The server says goodbye to a tab whose user has joined elsewhere; from anything else the library connects again.
    this.#set(reason === "io server disconnect" ? "replaced" : "reconnecting");
  }

  #set(status) {
    this.status = status;
    this.problem = "";
    this.#changed();
  }
}
