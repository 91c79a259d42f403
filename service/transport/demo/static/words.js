// Everything that the page says about states, ends and failures.

/** The visible state, by phase. */
export const STATES = {
  offline: "Offline",
  joined: "Joined",
  preparing: "Starting devices",
  "ringing-out": "Ringing",
  "ringing-in": "Incoming call",
  connecting: "Connecting",
  connected: "Connected",
  ended: "Call ended",
};

const INVITATIONS = { video: "wants to start a video call", audio: "wants to start an audio call" };

/** The line below the other party's name. */
export function lineOf({ phase, callType, answering }) {
  const lines = {
    preparing: callType === "video" ? "Starting camera and microphone…" : "Starting the microphone…",
    "ringing-out": callType === "video" ? "Video call, ringing…" : "Audio call, ringing…",
    "ringing-in": answering ? "Starting your devices…" : INVITATIONS[callType],
    connecting: "Connecting media…",
    connected: "",
  };
  return lines[phase] ?? "";
}

/** What is wrong for now, while the call goes on. */
export const NOTES = {
  "peer-away": (peer) => `${peer} has lost the connection to the server and may come back. The call goes on.`,
  "media-interrupted": () => "Sound and picture are interrupted. Waiting for the network…",
};

const FAILED =
  "Sound and picture found no way between the two devices. A firewall may be in between: " +
  "try another network, or a server with TURN.";

const ENDINGS = {
  hangup: ({ byMe, peer }) => [byMe ? "You hung up" : `${peer} hung up`, ""],
  cancelled: ({ byMe, peer }) =>
    byMe ? ["You cancelled the call", ""] : ["Missed call", `${peer} cancelled before you answered.`],
  rejected: ({ byMe, peer }) => (byMe ? ["You declined the call", ""] : [`${peer} declined`, "Try again later."]),
  busy: ({ byMe, peer }) => (byMe ? ["You were busy", ""] : [`${peer} is busy`, "Try again later."]),
  no_answer: ({ wasIncoming, peer }) =>
    wasIncoming
      ? ["Missed call", `You did not answer ${peer} in time.`]
      : ["No answer", `${peer} did not answer in time.`],
  answered_elsewhere: () => ["Answered elsewhere", "You took this call on another device."],
  connection_lost: ({ byMe, peer }) =>
    byMe
      ? ["The call was lost", "Your connection to the server broke off."]
      : [`${peer} is gone`, "The connection broke off, or the tab was closed."],
  replaced: () => ["The call moved", "You have joined in another tab or on another device; the call goes on there."],
  server_shutdown: () => ["The server stopped", "Try again when it is back."],
  failed: () => ["No connection for sound and picture", FAILED],
  by_the_service: () => ["The service ended the call", ""],
};

/** Title and text for how a call ended. */
export function endingWords(ending, peer) {
  const words = ENDINGS[ending.code] ?? ((_) => ["Call ended", ""]);
  const [title, text] = words({ ...ending, peer });
  const duration = ending.seconds === null ? "" : `Duration ${clock(ending.seconds)}.`;
  return { title, text: [text, duration].filter(Boolean).join(" ") };
}

const TOKEN_WORDS = {
  unauthenticated: "This server asks for a token. Paste yours.",
  token_invalid: "The server does not accept this token. Paste another one.",
  token_expired: "Your token has expired. Paste a fresh one.",
  token_not_yet_valid: "Your token is not good yet: a clock is wrong. Try again in a while.",
  authentication_unavailable: "The server cannot check tokens just now. Try the same one again in a while.",
  unauthorized: "That token belongs to somebody else. Paste one of yours.",
  ends_soon: "Your token expires within a minute. Paste a fresh one to stay connected.",
};

/** Why a fresh token is wanted. */
export function tokenWords(code) {
  return TOKEN_WORDS[code] ?? `The server did not take the token (${code}). Try again.`;
}

/** Why joining failed. */
export function joinWords({ code, message }) {
  return code === "already_joined" ? "Your token is another user's. Join under the name that it is for." : message;
}

const PROBLEMS = {
  self_call: () => "You cannot call yourself. Enter the name of somebody else.",
  already_in_call: () => "You are in a call already. End it first.",
  user_not_found: (peer) => `${peer} is offline. Join as ${peer} in a second tab, or check the spelling.`,
  user_not_available: (peer) => `${peer} is in another call. Try again later.`,
  call_not_found: () => "This call is already over.",
  not_joined: () => "The server does not know you any more. Reload the page.",
  not_allowed: (peer) => `You are not allowed to call ${peer}.`,
  unauthorized: () => "The server did not let you do that. Reload the page.",
  rate_limited: (_, seconds) => `That was too often. Try again in ${seconds} ${seconds === 1 ? "second" : "seconds"}.`,
  receiver_not_found: (peer) => `${peer} cannot be reached now.`,
  offline: () => "There is no connection to the server. Wait until it is back, then try again.",
  timeout: () => "The server did not answer in time. Try again.",
  invalid_payload: () => "The server does not accept this name. Use 1 to 128 characters.",
};

/** Why an action failed and what to do. */
export function problemWords({ code, retryAfterMs = 0 }, peer) {
  const seconds = Math.max(1, Math.ceil(retryAfterMs / 1000));
  return (PROBLEMS[code] ?? (() => `The server refused this (${code}). Try again.`))(peer, seconds);
}

/** Why the page cannot work without its client library, and what helps. */
export function libraryWords(source) {
  return (
    `The Socket.IO client could not be loaded from ${source}. Check the network and blockers of this browser. ` +
    "Or run “make node” where the server is and start it again: then the page brings the file itself."
  );
}

const MEDIA_PROBLEMS = {
  refused: (what) => [
    `The browser may not use the ${what}`,
    "Allow it with the icon beside the address, then try again. Or go on without.",
  ],
  absent: (what) => [
    `There is no ${what}`,
    "None was found on this device. Plug one in, then try again. Or go on without.",
  ],
  taken: (what) => [
    `The ${what} cannot be started`,
    "Another program may be using it. Close that, then try again. Or go on without.",
  ],
  insecure: (what) => [
    `The ${what} needs a secure page`,
    "Browsers give it only to https:// pages and to http://localhost. Open this page that way. Or go on without.",
  ],
};

/** Title and text for missing devices. */
export function mediaWords({ kind, wanted }) {
  const [title, text] = MEDIA_PROBLEMS[kind](wanted.video ? "camera or microphone" : "microphone");
  return { title, text };
}

/** Minutes and seconds. */
export function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
