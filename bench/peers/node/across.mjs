// The server that is replaced, spread over several processes as Socket.IO's documentation does it: rooms for users,
// messages between processes through the Redis adapter, and what its maps held in Redis. As bare as server.mjs.
// Usage: LOOK_UP_RECEIVERS=true HOST=127.0.0.1 PORT=8001 REDIS_URL=redis://127.0.0.1:6379 node across.mjs
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

// Whether the receiver of a relay is online, as the original checks; that is one more question to Redis for each.
const looksUp = process.env.LOOK_UP_RECEIVERS !== "false";

const redis = createClient({ url: process.env.REDIS_URL });
const subscriber = redis.duplicate();
await Promise.all([redis.connect(), subscriber.connect()]);

const http = createServer((request, response) => {
  response.writeHead(request.url === "/livez" ? 200 : 404).end();
});
const io = new Server(http, {
  adapter: createAdapter(redis, subscriber),
  cors: { origin: "*", methods: ["GET", "POST"], credentials: true },
});

const room = (userId) => `user:${userId}`;
const to = (userId) => io.to(room(userId));
const online = (userId) => `online:${userId}`; // -> socket id
const busy = (userId) => `busy:${userId}`; // -> callId
const call = (callId) => `call:${callId}`; // -> "caller callee"

async function finish(callId) {
  const parties = (await redis.getDel(call(callId)))?.split(" ");
  if (parties) await redis.del(parties.map(busy));
  return parties;
}

io.on("connection", (socket) => {
  let me = null;

  // The messages of one socket take effect in the order sent, as they did without Redis.
  let last = Promise.resolve();

  function on(event, failure, handle) {
    socket.on(event, (data) => {
      last = last.then(() => answer(failure, handle, data));
    });
  }

  async function answer(failure, handle, data) {
    try {
      const message = await handle(data);
      if (message) socket.emit("error", { message });
    } catch {
      socket.emit("error", { message: failure });
    }
  }

  function relay(event, failure, pick) {
    on(event, failure, async (data) => {
      if (!me || data.from !== me) return "Unauthorized";
      if (looksUp && !(await redis.exists(online(data.to)))) return "Receiver not found";
      to(data.to).emit(event, pick(data));
    });
  }

  on("user:join", "Failed to join", async ({ userId }) => {
    if (!userId) return "User ID is required";
    const older = await redis.set(online(userId), socket.id, { GET: true });
    if (older && older !== socket.id) io.in(older).disconnectSockets(true);
    me = userId;
    socket.join(room(userId));
    socket.emit("user:joined", { userId, socketId: socket.id });
  });

  on("user:status", "Failed to get user status", async ({ userId }) => {
    const [isOnline, isInCall] = await redis.mGet([online(userId), busy(userId)]);
    socket.emit("user:status", { userId, isOnline: isOnline !== null, isInCall: isInCall !== null });
  });

  on("call:initiate", "Failed to initiate call", async ({ to: callee, callType }) => {
    if (!me) return "User not authenticated";
    const [mine, there, theirs] = await redis.mGet([busy(me), online(callee), busy(callee)]);
    if (mine) return "Already in a call";
    if (!there) return "User not found";
    if (theirs) return "User is not available";
    const callId = `${me}-${callee}`;
    await redis.mSet([call(callId), `${me} ${callee}`, busy(me), callId, busy(callee), callId]);
    to(callee).emit("call:incoming", { from: me, callType, callId });
    socket.emit("call:initiated", { callId, to: callee });
  });

  on("call:accept", "Failed to accept call", async ({ callId, from }) => {
    if (!me) return "User not authenticated";
    if (!(await redis.exists(call(callId)))) return "Call not found or expired";
    to(from).emit("call:accepted", { callId, by: me });
    socket.emit("call:accepted", { callId, by: me });
  });

  on("call:reject", "Failed to reject call", async ({ callId, from }) => {
    if (!me) return "User not authenticated";
    await finish(callId);
    to(from).emit("call:rejected", { callId, by: me });
    socket.emit("call:rejected", { callId, by: me });
  });

  relay("call:offer", "Failed to send offer", ({ offer, from, callType }) => ({ offer, from, callType }));
  relay("call:answer", "Failed to send answer", ({ answer, from }) => ({ answer, from }));
  relay("ice:candidate", "Failed to send ICE candidate", ({ candidate, from }) => ({ candidate, from }));

  on("call:end", "Failed to end call", async ({ callId }) => {
    if (!me) return "User not authenticated";
    const parties = await finish(callId);
    if (!parties) return "Call not found";
    for (const party of parties) (party === me ? socket : to(party)).emit("call:ended", { callId, by: me });
  });

  socket.on("disconnect", () => {
    last = last.then(async () => {
      if (!me || (await redis.get(online(me))) !== socket.id) return;
      await redis.del(online(me));
      const callId = await redis.get(busy(me));
      const parties = callId ? await finish(callId) : null;
      if (!parties) return;
      const other = parties[0] === me ? parties[1] : parties[0];
      to(other).emit("call:ended", { callId, by: me, reason: "User disconnected" });
    });
  });
});

process.on("SIGTERM", () => process.exit(0));
http.listen(Number(process.env.PORT), process.env.HOST);
