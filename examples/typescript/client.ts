// A client for one call at a time: join, place a call, answer a call, hang up. Whoever uses it brings the
// RTCPeerConnection, with its ICE servers and tracks. A new call takes the place of the listeners of the last one.

import { io } from "socket.io-client";
import type {
  Ack,
  CallIncoming,
  CallStats,
  CallType,
  SignallingError,
  SignallingSocket,
} from "../../clients/typescript/events";

const ACK_TIMEOUT_MS = 5000;
const REPORT_EVERY_MS = 10_000;

/** An event that the server refused. */
export class RefusedError extends Error {
  constructor(readonly error: SignallingError) {
    super(`${error.event}: ${error.message} (${error.code})`);
  }
}

/** The fields of an acknowledgement, or an exception with its error. */
export function confirmed<T>(ack: Ack<T>): { ok: true } & T {
  if (!ack.ok) throw new RefusedError(ack.error);
  return ack;
}

/** Connect, and speak for this user again after every reconnect. */
export async function connect(url: string, userId: string): Promise<SignallingSocket> {
  const socket: SignallingSocket = io(url, { transports: ["websocket"], forceNew: true });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("connect_error", reject);
  });
  confirmed(await socket.timeout(ACK_TIMEOUT_MS).emitWithAck("user:join", { userId }));
  socket.on("connect", () => socket.emit("user:join", { userId }));
  return socket;
}

/** Ring a user; send the offer as soon as the callee has answered. Gives the call's id. */
export async function placeCall(
  socket: SignallingSocket,
  connection: RTCPeerConnection,
  to: string,
  callType: CallType,
): Promise<string> {
  exchangeCandidates(socket, connection, to);
  socket.off("call:answer").on("call:answer", ({ answer }) => void connection.setRemoteDescription(answer));
  socket.off("call:accepted").once("call:accepted", () => void sendOffer(socket, connection, to));
  const { callId } = confirmed(
    await socket.timeout(ACK_TIMEOUT_MS).emitWithAck("call:initiate", { to, callType }),
  );
  reportMedia(socket, connection, callId);
  return callId;
}

/** Accept a ringing call and answer its offer. */
export async function answerCall(
  socket: SignallingSocket,
  connection: RTCPeerConnection,
  incoming: CallIncoming,
): Promise<void> {
  const { callId, from: caller } = incoming;
  exchangeCandidates(socket, connection, caller);
  socket.off("call:offer").on("call:offer", async ({ offer }) => {
    await connection.setRemoteDescription(offer);
    const answer = await connection.createAnswer();
    await connection.setLocalDescription(answer);
    confirmed(await socket.timeout(ACK_TIMEOUT_MS).emitWithAck("call:answer", { answer, to: caller }));
  });
  reportMedia(socket, connection, callId);
  confirmed(await socket.timeout(ACK_TIMEOUT_MS).emitWithAck("call:accept", { callId }));
}

/** End the call. */
export async function hangUp(socket: SignallingSocket, callId: string): Promise<void> {
  confirmed(await socket.timeout(ACK_TIMEOUT_MS).emitWithAck("call:end", { callId }));
}

async function sendOffer(socket: SignallingSocket, connection: RTCPeerConnection, to: string): Promise<void> {
  const offer = await connection.createOffer();
  await connection.setLocalDescription(offer);
  confirmed(await socket.timeout(ACK_TIMEOUT_MS).emitWithAck("call:offer", { offer, to }));
}

function exchangeCandidates(socket: SignallingSocket, connection: RTCPeerConnection, peer: string): void {
  connection.onicecandidate = ({ candidate }) => socket.emit("ice:candidate", { candidate, to: peer });
  socket.off("ice:candidate").on("ice:candidate", ({ candidate }) => void connection.addIceCandidate(candidate));
}

function reportMedia(socket: SignallingSocket, connection: RTCPeerConnection, callId: string): void {
  const report = async (ice: CallStats["ice"] = null) =>
    socket.emit("call:quality", { callId, stats: { ice, ...(await callStats(connection)) } });
  const timer = setInterval(() => {
    if (connection.connectionState === "connected") void report();
    if (connection.connectionState === "closed") clearInterval(timer);
  }, REPORT_EVERY_MS);
  connection.onconnectionstatechange = async () => {
    const state = connection.connectionState;
    if (state === "connected") socket.emit("call:connected", { callId });
    if (state === "connected" || state === "disconnected" || state === "failed") await report(state);
    if (state === "failed") socket.emit("call:end", { callId, code: "failed" });
  };
}

/** What getStats says, as `call:quality` takes it: kinds and numbers, no address and no candidate. */
async function callStats(connection: RTCPeerConnection): Promise<CallStats> {
  const report = (await connection.getStats()) as unknown as Map<string, any>;
  const find = (fits: (each: any) => boolean) => [...report.values()].find(fits);
  const pair = find(({ type, nominated, state }) => type === "candidate-pair" && nominated && state === "succeeded");
  const [local, remote] = [report.get(pair?.localCandidateId), report.get(pair?.remoteCandidateId)];
  const protocol = local?.relayProtocol || local?.protocol;
  return {
    pair: local && remote ? { local: local.candidateType, remote: remote.candidateType, protocol } : null,
    roundTripTime: pair?.currentRoundTripTime ?? null,
    jitter: find(({ type }) => type === "inbound-rtp")?.jitter ?? null,
    fractionLost: find(({ type }) => type === "remote-inbound-rtp")?.fractionLost ?? null,
  };
}
