// One call between two users without media, under Node.js: shows the events in their order and prints what came
// back, one JSON object. Usage: node roundtrip.js http://localhost:8001 [caller] [callee]

import type {
  CallAnswer,
  CallEnded,
  CallIncoming,
  CallOffer,
  Candidate,
  SessionDescription,
} from "../../clients/typescript/events";
import { confirmed, connect, hangUp } from "./client";

const OFFER: SessionDescription = { type: "offer", sdp: "v=0\r\n" };
const ANSWER: SessionDescription = { type: "answer", sdp: "v=0\r\n" };

async function main(url: string, callerId: string, calleeId: string): Promise<void> {
  const caller = await connect(url, callerId);
  const callee = await connect(url, calleeId);

  const ringing = new Promise<CallIncoming>((resolve) => callee.once("call:incoming", resolve));
  const initiated = confirmed(
    await caller.timeout(5000).emitWithAck("call:initiate", { to: calleeId, callType: "video" }),
  );
  const incoming = await ringing;

  const accepted = confirmed(await callee.timeout(5000).emitWithAck("call:accept", { callId: incoming.callId }));

  const offered = new Promise<CallOffer>((resolve) => callee.once("call:offer", resolve));
  caller.emit("call:offer", { offer: OFFER, to: calleeId });
  const offer = await offered;

  const answered = new Promise<CallAnswer>((resolve) => caller.once("call:answer", resolve));
  confirmed(await callee.timeout(5000).emitWithAck("call:answer", { answer: ANSWER, to: callerId }));
  const answer = await answered;

  const candidates = new Promise<Candidate>((resolve) => callee.once("ice:candidate", resolve));
  caller.emit("ice:candidate", { candidate: null, to: calleeId });
  const candidate = await candidates;

  const over = new Promise<CallEnded>((resolve) => callee.once("call:ended", resolve));
  await hangUp(caller, initiated.callId);
  const ended = await over;

  const refused = await caller.timeout(5000).emitWithAck("call:end", { callId: initiated.callId });
  process.stdout.write(
    `${JSON.stringify({ initiated, incoming, accepted, offer, answer, candidate, ended, refused })}\n`,
  );
  caller.disconnect();
  callee.disconnect();
}

const [url = "http://localhost:8001", callerId = "alice", calleeId = "bob"] = process.argv.slice(2);
main(url, callerId, calleeId).catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`);
  process.exit(1);
});
