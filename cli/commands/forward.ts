/**
 * `viaduct forward`: exposes a local TCP port to whoever holds the ticket, and reaches it from the other side.
 * @module
 */

import { connect, createServer, type Socket } from "node:net";
import type { Peer, Stream } from "../../adapters/api/types.ts";
import { systemFailure } from "../../adapters/failure.ts";
import { ViaductError } from "../../core/error.ts";
import type { Command, CommandContext } from "../command.ts";
import { startNode, UsageError, untilInterrupted, untilReady } from "../command.ts";

const FORWARD_PROTOCOL = "forward/1";

export const forwardCommand: Command = {
  summary: "expose a local TCP port, or reach one that is exposed",
  usage: `viaduct forward PORT [--relay RELAY]             expose 127.0.0.1:PORT; shows a ticket
viaduct forward PORT TARGET [--relay RELAY]      listen on 127.0.0.1:PORT and reach the port behind TARGET

Without --relay and --listen an exposed port can be reached from this machine alone.`,
  options: {},
  async run(context) {
    const [portText, target] = context.positionals;
    const port = Number(portText);
    if (!Number.isInteger(port) || port < 0 || port > 65535) throw new UsageError("PORT must be from 0 to 65535");
    if (target === undefined) await expose(context, port);
    else await reach(context, port, target);
  },
};

async function expose(context: CommandContext, port: number): Promise<void> {
  const { settings, terminal, signal } = context;
  const listen = settings.listen.length > 0 || settings.relays.length > 0 ? settings.listen : ["tcp://127.0.0.1:0"];
  await using node = await startNode({ ...context, settings: { ...settings, listen } });
  if (settings.relays.length > 0) await untilReady(node, context);
  using _serving = node.handle(FORWARD_PROTOCOL, async (stream, peer) => {
    terminal.note(`${peer.name ?? peer.id ?? "An anonymous node"} connects`);
    const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", (error) => reject(systemFailure(error, "dial_failed")));
    });
    await join(socket, stream);
  });
  const ticket = node.ticket();
  terminal.result(`Port ${port} is exposed\nTicket ${ticket}`, { port, ticket });
  await untilInterrupted(signal);
}

async function reach(context: CommandContext, port: number, target: string): Promise<void> {
  const { settings, terminal, signal } = context;
  await using node = await startNode(context);
  let peer: Peer = await node.connect(target, { signal, timeoutMs: settings.timeoutMs });
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    void (async () => {
      try {
        if (peer.state === "closed") peer = await node.connect(target, { timeoutMs: settings.timeoutMs });
        const stream = await peer.open(FORWARD_PROTOCOL);
        await join(socket, stream);
      } catch (error) {
        terminal.note(`A connection failed: ${error instanceof Error ? error.message : String(error)}`);
        socket.destroy();
      }
    })();
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(systemFailure(error, "address_unavailable")));
    server.listen({ host: "127.0.0.1", port }, resolve);
  });
  const bound = server.address();
  const local = typeof bound === "object" && bound !== null ? bound.port : port;
  terminal.result(`127.0.0.1:${local} reaches ${peer.name ?? peer.id}`, { port: local, id: peer.id });
  await untilInterrupted(signal);
  server.close();
}

/** Copies both ways until both ends are through; half-closes are passed on. */
async function join(socket: Socket, stream: Stream): Promise<void> {
  socket.on("error", () => {});
  // Not `for await`: it destroys a socket whose reading half has ended, though the other one still writes.
  const read = new Promise<void>((resolve, reject) => {
    socket.on("data", (chunk: Uint8Array) => {
      socket.pause();
      stream.write(chunk).then(() => socket.resume(), reject);
    });
    socket.on("end", resolve);
    socket.on("close", (hadError) => (hadError ? reject(new ViaductError("closed")) : resolve()));
  });
  const outward = read.then(() => stream.finish());
  const inward = (async () => {
    for (let bytes = await stream.read(); bytes !== undefined; bytes = await stream.read()) {
      if (!socket.write(bytes)) await new Promise((resolve) => socket.once("drain", resolve).once("close", resolve));
      if (socket.destroyed) throw new ViaductError("closed");
    }
    socket.end();
  })();
  try {
    await Promise.all([outward, inward]);
  } catch (error) {
    socket.destroy();
    stream.reset();
    stream.stop();
    throw error;
  }
}
