// Drives official Socket.IO clients for the tests: one JSON object a line, both ways, over a loopback connection.
// Clients belong to the connection that opened them and go with it. See tests/interop/js_client.py.
import { createServer } from "node:net";
import { io } from "socket.io-client";

const serve = (connection) => {
  const clients = new Map();
  const say = (message) => connection.writable && connection.write(`${JSON.stringify(message)}\n`);

  const open = ({ id, client, url, options }) => {
    const socket = io(url, { reconnection: false, forceNew: true, ...options });
    clients.set(client, socket);
    socket.onAny((event, ...args) => say({ client, event, args }));
    socket.on("disconnect", (reason) => say({ client, event: "disconnect", args: [reason] }));
    let opened = false;
    socket.on("connect_error", (error) => opened || say({ reply: id, error: error.message }));
    socket.on("connect", () => {
      if (opened) return say({ client, event: "connect", args: [socket.id] });
      opened = true;
      const { engine } = socket.io;
      const connected = () => say({ reply: id, value: { sid: socket.id, transport: engine.transport.name } });
      if (options.waitForUpgrade && engine.transport.name === "polling") engine.once("upgrade", connected);
      else connected();
    });
  };

  const actions = {
    open,
    emit: ({ client, event, args }) => clients.get(client).emit(event, ...args),
    ask: ({ id, client, event, args }) =>
      clients.get(client).emit(event, ...args, (...answer) => say({ reply: id, value: answer })),
    // What the client library itself refuses to send.
    packet: ({ client, text }) => clients.get(client).io.engine.write(text),
    transport: ({ id, client }) => say({ reply: id, value: clients.get(client).io.engine.transport.name }),
    disconnect: ({ client }) => clients.get(client).disconnect(),
    // What the client writes gets nowhere any more; it hears nothing of that.
    fallSilent: ({ client }) => { clients.get(client).io.engine.transport.doWrite = () => {}; },
    closeEngine: ({ client }) => clients.get(client).io.engine.close(),
  };

  let rest = "";
  connection.setEncoding("utf8").on("data", (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    for (const command of lines.map((line) => JSON.parse(line))) actions[command.do](command);
  });
  connection.on("error", () => connection.destroy());
  connection.on("close", () => clients.forEach((socket) => socket.disconnect()));
};

const driver = createServer({ noDelay: true }, serve).listen(0, "127.0.0.1", () => console.log(driver.address().port));
// The last goodbyes are still on their way when the tests are done.
process.stdin.on("end", () => setTimeout(() => process.exit(0), 200)).resume();
