// What must not compile. An expected error that does not come is an error itself (TS2578).

import { io, type Socket } from "socket.io-client";
import type { ClientToServerEvents, ServerToClientEvents, SignallingSocket } from "../../../clients/typescript/events";

const socket: SignallingSocket = io("http://localhost");
const plain: Socket<ServerToClientEvents, ClientToServerEvents> = io("http://localhost");

// @ts-expect-error - no such event
socket.emit("call:begin", { to: "bob" });
// @ts-expect-error - no such event to listen to
socket.on("call:begun", () => undefined);
// @ts-expect-error - a call id is a string
socket.emit("call:end", { callId: 5 });
// @ts-expect-error - the call id is missing
socket.emit("call:accept", {});
// @ts-expect-error - not a type of call
socket.emit("call:initiate", { to: "bob", callType: "hologram" });
// @ts-expect-error - not a description
socket.emit("call:offer", { offer: { type: "proposal" }, to: "bob" });
// @ts-expect-error - the user id is required
socket.emit("user:join", {});
// @ts-expect-error - the event has no such field
socket.on("call:incoming", ({ caller }) => caller);
// @ts-expect-error - no event is sent to its own name's receiver
plain.emit("call:incoming", { from: "alice", callType: "audio", callId: "x" }, () => undefined);

export async function answers(): Promise<void> {
  const ack = await socket.timeout(5000).emitWithAck("call:initiate", { to: "bob", callType: "audio" });
  // @ts-expect-error - only a success has the fields of the confirmation
  ack.callId;
  // @ts-expect-error - a call id is no number
  const wrong: number = ack.ok ? ack.callId : 0;
  // @ts-expect-error - not an error code
  if (!ack.ok && ack.error.code === "unlucky") return;
  // @ts-expect-error - the payload is checked here too
  await socket.timeout(5000).emitWithAck("call:end", { callId: wrong });

  const bare = await plain.emitWithAck("call:end", { callId: "x" });
  // @ts-expect-error - not an end code
  if (bare.ok && bare.code === "bored") return;
}
