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

  /** An offer to send, and to receive what this device does not have itself. */
  offer(kinds) {
    return this.#inOrder(async () => {
      for (const kind of kinds) {
        const isSent = this.#connection.getSenders().some((sender) => sender.track?.kind === kind);
        if (!isSent) this.#connection.addTransceiver(kind, { direction: "recvonly" });
      }
      await this.#connection.setLocalDescription();
      return this.#connection.localDescription;
    });
  }

  /** The answer to an offer. */
  answer(offer) {
    return this.#inOrder(async () => {
      await this.#describe(offer);
      await this.#connection.setLocalDescription();
      return this.#connection.localDescription;
    });
  }

  /** Take the other party's answer. */
  settle(answer) {
    return this.#inOrder(() => this.#describe(answer));
  }

  /** Take a candidate; kept until there is a description that it belongs to. `null` says that it was the last. */
  addCandidate(candidate) {
    return this.#inOrder(async () => {
      if (this.#connection.remoteDescription) await this.#connection.addIceCandidate(candidate);
      else this.#candidates.push(candidate);
    });
  }

  /** Whether an offer comes from another RTCPeerConnection than the descriptions before: its page was loaded anew. */
  isFromAnother(offer) {
    return this.#remoteOrigin !== "" && originOf(offer) !== this.#remoteOrigin;
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
    for (const candidate of this.#candidates.splice(0)) await this.#connection.addIceCandidate(candidate);
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
