// The server that is replaced, as bare as it is: maps of users and calls, the original's checks and answers, one
// process. No logs, no metrics, no validation beyond those checks. Usage: HOST=127.0.0.1 PORT=8001 node server.mjs
import { createServer } from "node:http";
import { Server } from "socket.io";

const users = new Map(); // userId -> socket id
const calls = new Map(); // callId -> { caller, callee }
const busy = new Map(); // userId -> callId

const http = createServer((request, response) => {
  response.writeHead(request.url === "/livez" ? 200 : 404).end();
});
const io = new Server(http, { cors: { origin: "*", methods: ["GET", "POST"], credentials: true } });

const to = (userId) => io.to(users.get(userId));

function finish(callId) {
  const call = calls.get(callId);
  if (call) {
    busy.delete(call.caller);
    busy.delete(call.callee);
    calls.delete(callId);
  }
  return call;
}

io.on("connection", (socket) => {
  let me = null;

  function on(event, failure, handle) {
    socket.on(event, (data) => {
      try {
        const message = handle(data);
        if (message) socket.emit("error", { message });
      } catch {
        socket.emit("error", { message: failure });
      }
    });
  }

  function relay(event, failure, pick) {
    on(event, failure, (data) => {
      if (!me || data.from !== me) return "Unauthorized";
      if (!users.has(data.to)) return "Receiver not found";
      to(data.to).emit(event, pick(data));
    });
  }

  on("user:join", "Failed to join", ({ userId }) => {
    if (!userId) return "User ID is required";
    const older = users.get(userId);
    if (older && older !== socket.id) io.sockets.sockets.get(older)?.disconnect(true);
    me = userId;
    users.set(userId, socket.id);
    socket.emit("user:joined", { userId, socketId: socket.id });
  });

  on("user:status", "Failed to get user status", ({ userId }) => {
    socket.emit("user:status", { userId, isOnline: users.has(userId), isInCall: busy.has(userId) });
  });

  on("call:initiate", "Failed to initiate call", ({ to: callee, callType }) => {
    if (!me) return "User not authenticated";
    if (busy.has(me)) return "Already in a call";
    if (!users.has(callee)) return "User not found";
    if (busy.has(callee)) return "User is not available";
    const callId = `${me}-${callee}`;
    calls.set(callId, { caller: me, callee });
    busy.set(me, callId);
    busy.set(callee, callId);
    to(callee).emit("call:incoming", { from: me, callType, callId });
    socket.emit("call:initiated", { callId, to: callee });
  });

  on("call:accept", "Failed to accept call", ({ callId, from }) => {
    if (!me) return "User not authenticated";
    if (!calls.has(callId)) return "Call not found or expired";
    to(from).emit("call:accepted", { callId, by: me });
    socket.emit("call:accepted", { callId, by: me });
  });

  on("call:reject", "Failed to reject call", ({ callId, from }) => {
    if (!me) return "User not authenticated";
    finish(callId);
    if (users.has(from)) to(from).emit("call:rejected", { callId, by: me });
    socket.emit("call:rejected", { callId, by: me });
  });

  relay("call:offer", "Failed to send offer", ({ offer, from, callType }) => ({ offer, from, callType }));
  relay("call:answer", "Failed to send answer", ({ answer, from }) => ({ answer, from }));
  relay("ice:candidate", "Failed to send ICE candidate", ({ candidate, from }) => ({ candidate, from }));

  on("call:end", "Failed to end call", ({ callId }) => {
    if (!me) return "User not authenticated";
    const call = finish(callId);
    if (!call) return "Call not found";
    for (const party of [call.caller, call.callee]) {
      if (users.has(party)) to(party).emit("call:ended", { callId, by: me });
    }
  });

  socket.on("disconnect", () => {
    if (!me || users.get(me) !== socket.id) return;
    users.delete(me);
    const callId = busy.get(me);
    const call = finish(callId);
    if (call) {
      const other = call.caller === me ? call.callee : call.caller;
      if (users.has(other)) to(other).emit("call:ended", { callId, by: me, reason: "User disconnected" });
    }
  });
});

// For whoever reads the memory in use: not what happens to be uncollected garbage at that moment.
process.on("SIGUSR2", () => globalThis.gc?.());
process.on("SIGTERM", () => process.exit(0));
http.listen(Number(process.env.PORT), process.env.HOST);
