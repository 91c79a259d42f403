// Loads socket.io-client. The page names the file and its hash; the browser refuses any other content.

const PATIENCE_MS = 10_000;

/** The library's `io` function. Rejects when the file is blocked, missing, changed or too slow. */
export function loadClientLibrary() {
  const named = document.getElementById("client-library");
  const script = document.createElement("script");
  script.crossOrigin = named.crossOrigin;
  script.integrity = named.integrity;
  script.src = named.href;
  return new Promise((resolve, reject) => {
    const fail = () => reject(new Error(`${named.href} could not be loaded`));
    const timer = setTimeout(fail, PATIENCE_MS);
    script.addEventListener("error", fail);
    script.addEventListener("load", () => {
      clearTimeout(timer);
      resolve(globalThis.io);
    });
    document.head.append(script);
  });
}

/** Where the library was to come from, in words. */
export function librarySource() {
  const { hostname, origin } = new URL(document.getElementById("client-library").href);
  return origin === location.origin ? "this server" : hostname;
}
