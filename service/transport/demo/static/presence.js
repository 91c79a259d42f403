// Who this tab is: joining, joining again after a reconnect, and being replaced by another tab.

/** @typedef {"out" | "joining" | "joined" | "reconnecting" | "replaced"} Status */

export class Presence {
  /** @type {Status} */
  status = "out";
  user = "";
  /** Why joining failed, for the user. */
  problem = "";
  iceServers = [];
  #signalling;
  #changed;
  #back;
  #joining = Promise.resolve();

  /**
   * @param {import("./signalling.js").Signalling} signalling
   * @param {{changed: () => void, back: (call: object | undefined, caughtUp: Promise<void>) => void}} handlers
   *   `back` gets the live call that the server knows of, whenever the user has joined; what was missed of it has
   *   come when `caughtUp` resolves
   */
  constructor(signalling, { changed, back }) {
    this.#signalling = signalling;
    this.#changed = changed;
    this.#back = back;
    signalling.on("connect", () => {
      this.#joining = this.#join();
    });
    signalling.on("user:joined", (joined) => this.#joined(joined));
    signalling.on("disconnect", (reason) => this.#lost(reason));
    signalling.on("connect_error", () => this.#set("reconnecting"));
  }

  /** Be this user, as soon as the server can be reached. */
  enter(user) {
    this.user = user;
    this.#set("joining");
    this.#signalling.connect();
  }

  /** Be nobody. */
  leave() {
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
      this.problem = error.message;
      this.#changed();
    }
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
