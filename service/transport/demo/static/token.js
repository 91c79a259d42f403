// The proof of who this tab's user is, where the server asks for one: from the address, from the user, kept for this tab.

const KEY = "demo-token";
const MARK = "#token=";

/** How long before its end a token is worth a fresh one. */
const SOON_MS = 60_000;

export class Token {
  /** The token, or "". */
  text = "";

  constructor() {
    this.text = sessionStorage.getItem(KEY) ?? "";
    const given = this.takeFromAddress();
    if (given) this.use(given);
  }

  /**
   * Take a token from the part of the address that is not sent to any server, and take it out of there.
   *
   * @returns {string} the token, or "" where there is none
   */
  takeFromAddress() {
    if (!location.hash.startsWith(MARK)) return "";
    const text = decodeURIComponent(location.hash.slice(MARK.length));
    history.replaceState(null, "", location.pathname + location.search);
    return text;
  }

  /** What the Socket.IO handshake proves this user with. */
  get credentials() {
    return this.text ? { token: this.text } : {};
  }

  /** Use another token from now on; "" is none. */
  use(text) {
    this.text = text;
    if (text) sessionStorage.setItem(KEY, text);
    else sessionStorage.removeItem(KEY);
  }

  /** Whether it ends within a minute, or has ended. A token that does not say when lasts. */
  get endsSoon() {
    const { exp } = claimsOf(this.text);
    return typeof exp === "number" && exp * 1000 - Date.now() < SOON_MS;
  }
}

/** What a token says. Whether it is true is for the server to know. */
function claimsOf(text) {
  try {
    return JSON.parse(atob(text.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
  } catch {
    return {};
  }
}
