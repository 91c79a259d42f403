// What getStats says of a connection, as `call:quality` takes it: kinds and numbers, no address and no candidate.

export class Quality {
  #connection;
  #last = null;
  #wasConnected = false;

  /** @param {RTCPeerConnection} connection */
  constructor(connection) {
    this.#connection = connection;
  }

  /** What there is to report; `ice` is what ICE has just come to: `connected`, `disconnected`, `failed`, or nothing. */
  async stats(ice) {
    const report = await this.#connection.getStats();
    const all = [...report.values()];
    const failedIn = ice === "failed" ? this.#stage(all) : undefined;
    this.#wasConnected ||= ice === "connected";
    return { ice, failedIn, ...this.#measures(all, chosenPair(report, all), report) };
  }

  #stage(all) {
    if (this.#wasConnected) return "connected";
    return all.some(({ type }) => type === "local-candidate") ? "checking" : "gathering";
  }

  #measures(all, pair, report) {
    if (!pair) return {};
    const before = this.#last?.id === pair.id ? this.#last : pair;
    this.#last = pair;
    const bitrate = (bytes) => (8000 * (pair[bytes] - before[bytes])) / (pair.timestamp - before.timestamp);
    const worst = (type, name) => Math.max(...all.filter((each) => each.type === type).map((each) => each[name] ?? 0));
    const local = report.get(pair.localCandidateId);
    const remote = report.get(pair.remoteCandidateId);
    const protocol = local?.relayProtocol || local?.protocol;
    return {
      pair: local && remote && { local: local.candidateType, remote: remote.candidateType, protocol },
      roundTripTime: pair.currentRoundTripTime,
      jitter: worst("inbound-rtp", "jitter"),
      fractionLost: worst("remote-inbound-rtp", "fractionLost"),
      inboundBitrate: bitrate("bytesReceived"),
      outboundBitrate: bitrate("bytesSent"),
    };
  }
}

function chosenPair(report, all) {
  const transport = all.find(({ type }) => type === "transport");
  const isChosen = ({ type, nominated, state }) => type === "candidate-pair" && nominated && state === "succeeded";
  return report.get(transport?.selectedCandidatePairId) ?? all.find(isChosen);
}
