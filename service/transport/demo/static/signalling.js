// The Socket.IO connection: requests with a deadline, and every event into the log.

const ACK_TIMEOUT_MS = 8000;

/** What the server says by closing the websocket with these codes. */
const CLOSE_CODES = { 4001: "the token has run out", 4029: "too many events were sent" };

/** A request that failed. `code` is the server's, or `offline` or `timeout`. */
export class RequestError extends Error {
  constructor(code, message, retryAfterMs = 0) {
    super(message);
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

export class Signalling {
  #socket;

  /**
   * @param io the function of the client library
   * @param {import("./log.js").EventLog} log
   * @param {import("./token.js").Token} token
   */
  constructor(io, log, token) {
    const auth = (send) => send(token.credentials);
    this.#socket = io({ autoConnect: false, reconnectionDelay: 500, reconnectionDelayMax: 4000, auth });
    this.#socket.onAny((event, payload) => log.received(event, payload));
    this.#socket.onAnyOutgoing((event, payload) => log.sent(event, payload));
    this.#socket.on("connect", () => log.note("connected"));
    this.#socket.on("connect_error", ({ data }) => log.note(data?.code ? `refused: ${data.code}` : "server not reachable"));
    this.#socket.on("disconnect", (reason, details) => {
      const why = CLOSE_CODES[details?.context?.code];
      log.note(`disconnected: ${reason}${why ? `, ${why}` : ""}`);
    });
  }

  /** Whether the connection stands. */
  get connected() {
    return this.#socket.connected;
  }

  /** Call `handler` with the payload of each such event; also `connect`, `connect_error` and `disconnect`. */
  on(event, handler) {
    this.#socket.on(event, handler);
  }

  /** Connect, and connect again whenever the connection is lost. */
  connect() {
    this.#socket.connect();
  }

  /** Say goodbye. */
  disconnect() {
    this.#socket.disconnect();
  }

  /**
   * Send an event and wait for its acknowledgement. An event is never kept for a later connection: it would
   * arrive there before the user has joined.
   *
   * @throws {RequestError} refused by the server, no connection, or no acknowledgement in time
   */
  async request(event, payload) {
    if (!this.connected) throw new RequestError("offline", "No connection to the server");
    let ack;
    try {
      ack = await this.#socket.timeout(ACK_TIMEOUT_MS).emitWithAck(event, payload);
    } catch {
      const code = this.connected ? "timeout" : "offline";
      throw new RequestError(code, "The server did not answer");
    }
    if (!ack.ok) throw new RequestError(ack.error.code, ack.error.message, ack.error.retryAfterMs);
    return ack;
  }

  /** Send an event whose failure changes nothing, such as a candidate for a call that has just ended. */
  tell(event, payload) {
    if (this.connected) this.#socket.emit(event, payload);
  }
}
