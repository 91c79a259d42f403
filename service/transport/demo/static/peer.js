// One RTCPeerConnection: descriptions and candidates in the order in which they arrive.

import { Quality } from "./quality.js";

export class Peer {
  /** What the other party sends. */
  stream = new MediaStream();
  #connection;
  #candidates = [];
  #work = Promise.resolve();
  #remoteOrigin = "";
  #quality;

  /**
   * @param {{iceServers: RTCIceServer[], stream: MediaStream, onCandidate: (candidate: object | null) => void,
   *   onTrack: () => void, onState: (state: RTCPeerConnectionState) => void}} options
   */
  constructor({ iceServers, stream, onCandidate, onTrack, onState }) {
    const connection = new RTCPeerConnection({ iceServers });
    this.#connection = connection;
    this.#quality = new Quality(connection);
    for (const track of stream.getTracks()) connection.addTrack(track, stream);
    connection.addEventListener("icecandidate", ({ candidate }) => onCandidate(candidate));
    connection.addEventListener("connectionstatechange", () => onState(connection.connectionState));
    connection.addEventListener("track", ({ track }) => {
      this.stream.addTrack(track);
      for (const change of ["mute", "unmute", "ended"]) track.addEventListener(change, onTrack);
      onTrack();
    });
  }

  /** Whether an offer of this side waits for its answer. */
  get isOffering() {
    return this.#connection.signalingState === "have-local-offer";
  }

  /** Whether media can flow now. */
  get isConnected() {
    return this.#connection.connectionState === "connected";
  }

  /** An offer to send, and to receive what this device does not have itself; if asked, with new ways for media. */
  offer(kinds, { restart = false } = {}) {
    return this.#inOrder(async () => {
      if (restart) this.#connection.restartIce();
      for (const kind of kinds) {
        const isSent = this.#connection.getSenders().some((sender) => sender.track?.kind === kind);
        if (!isSent) this.#connection.addTransceiver(kind, { direction: "recvonly" });
      }
      await this.#connection.setLocalDescription();
      return this.#connection.localDescription;
    });
  }

  /** The answer to an offer; null where both have made one and it is the other party's that gives way. */
  answer(offer, { givesWay }) {
    return this.#inOrder(async () => {
      if (this.isOffering && !givesWay) return null;
      await this.#describe(offer);
      await this.#connection.setLocalDescription();
      return this.#connection.localDescription;
    });
  }

  /** Take the other party's answer; one to an offer that was given up means nothing any more. */
  settle(answer) {
    return this.#inOrder(async () => {
      if (this.isOffering) await this.#describe(answer);
    });
  }

  /** Take a candidate; kept until there is a description that it belongs to. `null` says that it was the last. */
  addCandidate(candidate) {
    return this.#inOrder(async () => {
      if (this.#connection.remoteDescription) await this.#try(candidate);
      else this.#candidates.push(candidate);
    });
  }

  /** Whether this comes from another RTCPeerConnection than the descriptions before: its page was loaded anew. */
  isFromAnother(description) {
    return this.#remoteOrigin !== "" && originOf(description) !== this.#remoteOrigin;
  }

  /** How the media fares, for the server; `ice` is what ICE has just come to, if anything. */
  stats(ice) {
    return this.#quality.stats(ice);
  }

  close() {
    this.#connection.close();
    this.#work = Promise.resolve();
  }

  async #describe(description) {
    await this.#connection.setRemoteDescription(description);
    this.#remoteOrigin = originOf(description);
    for (const candidate of this.#candidates.splice(0)) await this.#try(candidate);
  }

  /** One candidate more or less: the browser refuses those of a description that was given up. */
  async #try(candidate) {
    try {
      await this.#connection.addIceCandidate(candidate);
    } catch (error) {
      if (error.name !== "OperationError") throw error;
    }
  }

  #inOrder(task) {
    const done = this.#work.then(task);
    this.#work = done.catch(() => {}); // the caller hears of it; the next task runs all the same
    return done;
  }
}

/** The session id in the origin line of an SDP: the same for all descriptions of one RTCPeerConnection. */
function originOf({ sdp }) {
  return /^o=\S+ (\d+)/m.exec(sdp)?.[1] ?? "";
}
