// The user of this tab: from the address, or remembered for this tab alone.

const KEY = "demo-user";

/** The name to suggest, and whether to join with it without being asked. */
export function rememberedUser() {
  const asked = new URLSearchParams(location.search).get("user");
  const kept = sessionStorage.getItem(KEY);
  return { name: kept ?? asked ?? "alice", isKnown: Boolean(kept ?? asked) };
}

/** The name to suggest for a call. */
export function suggestedCallee(user) {
  return new URLSearchParams(location.search).get("call") || otherThan(user);
}

/** A reload of this tab joins with this name again. */
export function remember(user) {
  sessionStorage.setItem(KEY, user);
}

/** A reload of this tab asks. */
export function forget() {
  sessionStorage.removeItem(KEY);
  history.replaceState(null, "", location.pathname);
}

/** The address that opens a tab as `user`, ready to call `callee`. */
export function addressFor(user, callee) {
  return `?${new URLSearchParams({ user, call: callee })}`;
}

/** A name for the second tab. */
export function otherThan(user) {
  return user === "bob" ? "alice" : "bob";
}
