// The microphone and the camera of this device.

/** Why there is no microphone or camera. `kind` is a key of `MEDIA_PROBLEMS` in words.js. */
export class MediaError extends Error {
  constructor(kind) {
    super(kind);
    this.kind = kind;
  }
}

const KINDS = {
  NotAllowedError: "refused",
  SecurityError: "refused",
  NotFoundError: "absent",
  OverconstrainedError: "absent",
  NotReadableError: "taken",
  AbortError: "taken",
};

const VIDEO = { width: { ideal: 1280 }, height: { ideal: 720 }, facingMode: "user" };

export class Media {
  /** What goes to the other party; empty when only receiving. */
  stream = new MediaStream();

  /**
   * Open what is wanted and nothing else.
   *
   * @param {{audio: boolean, video: boolean}} wanted
   * @throws {MediaError}
   */
  async open({ audio, video }) {
    this.close();
    if (!audio && !video) return;
    if (!navigator.mediaDevices) throw new MediaError(isSecureContext ? "absent" : "insecure");
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio, video: video && VIDEO });
    } catch (error) {
      throw new MediaError(KINDS[error.name] ?? "taken");
    }
  }

  /** Let go of the devices. */
  close() {
    for (const track of this.stream.getTracks()) track.stop();
    this.stream = new MediaStream();
  }

  /** Whether there is a track of this kind (`audio` or `video`). */
  has(kind) {
    return this.#tracks(kind).length > 0;
  }

  /** Whether the track of this kind is sent now. */
  isOn(kind) {
    return this.#tracks(kind).some((track) => track.enabled);
  }

  /** Send the track of this kind, or silence and darkness in its place. */
  toggle(kind) {
    for (const track of this.#tracks(kind)) track.enabled = !track.enabled;
  }

  #tracks(kind) {
    return this.stream.getTracks().filter((track) => track.kind === kind);
  }
}
