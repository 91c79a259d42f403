// A client for one call at a time: join, place a call, answer a call, hang up. Whoever uses it brings the
// RTCPeerConnection, with its ICE servers and tracks. A new call takes the place of the listeners of the last one.

import { io } from "socket.io-client";
import type { Ack, CallIncoming, CallType, SignallingError, SignallingSocket } from "../../clients/typescript/events";

const ACK_TIMEOUT_MS = 5000;

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
  connection.onconnectionstatechange = () => {
    if (connection.connectionState === "connected") socket.emit("call:connected", { callId });
    if (connection.connectionState === "failed") socket.emit("call:end", { callId, code: "failed" });
  };
}
