/** `viaduct send FILE [TARGET]`: offers a file to a node, or waits for whoever has the ticket. @module */

import type { Node, Peer, Stream } from "../../adapters/api/types.ts";
import { ViaductError } from "../../core/error.ts";
import { answerGet, FILE_PROTOCOL, offerFile, readFileRequest, refuseFile } from "../../protocols/file.ts";
import type { Command, CommandContext } from "../command.ts";
import { startNode, UsageError, untilReady } from "../command.ts";
import { nativeHasher, openSource } from "../file_on_disk.ts";
import { formatBytes } from "../terminal.ts";

export const sendCommand: Command = {
  summary: "send a file to a node, or to whoever has the ticket",
  usage: `viaduct send FILE [TARGET] [--relay RELAY] [--keep]

Without TARGET it shows a ticket and waits for \`viaduct receive TICKET\`. Killed and started again with the same
key, it goes on where it stopped. Without --relay and --listen it can be reached from this machine alone.

  --keep            serve the file until interrupted, not once`,
  options: { keep: { type: "boolean" } },
  async run(context) {
    const [path, target] = context.positionals;
    if (path === undefined) throw new UsageError("FILE is missing");
    if (target === undefined) await serveFile(context, path);
    else await pushFile(context, path, target);
  },
};

async function pushFile(context: CommandContext, path: string, target: string): Promise<void> {
  const { settings, terminal, signal } = context;
  await using source = await openSource(path);
  await using node = await startNode(context);
  const peer = await node.connect(target, { signal, timeoutMs: settings.timeoutMs });
  const stream = await peer.open(FILE_PROTOCOL);
  terminal.note(`Offering ${source.name} (${formatBytes(source.size)}) to ${peer.name ?? peer.id}`);
  const onProgress = terminal.progress.bind(terminal);
  const result = await offerFile(stream, source, { signal, onProgress, hasher: nativeHasher });
  terminal.result(`Sent ${result.name}, SHA-256 ${result.sha256}`, { ...result });
  await peer.close();
}

async function serveFile(context: CommandContext, path: string): Promise<void> {
  const { settings, terminal, signal, flags } = context;
  await (await openSource(path))[Symbol.asyncDispose](); // Fails now rather than when somebody asks.
  await using node = await startNode(context);
  if (settings.relays.length + settings.listen.length === 0) await listenByDefault(node);
  if (settings.relays.length > 0) await untilReady(node, context);
  let onDone: (error?: unknown) => void = () => {};
  const done = new Promise<void>((resolve, reject) => {
    onDone = (error) => (error === undefined ? resolve() : reject(error));
  });
  const serve = async (stream: Stream, peer: Peer): Promise<void> => {
    const { request, rest } = await readFileRequest(stream, signal);
    if (request.op !== "get") {
      await refuseFile(stream, "This node sends a file and takes none");
      return;
    }
    terminal.note(`${peer.name ?? peer.id ?? "An anonymous node"} asks for the file`);
    try {
      await using source = await openSource(path);
      const onProgress = terminal.progress.bind(terminal);
      const result = await answerGet(stream, rest, source, request.offset, {
        signal,
        onProgress,
        hasher: nativeHasher,
      });
      terminal.result(`Sent ${result.name}, SHA-256 ${result.sha256}`, { ...result });
      if (flags.keep !== true) onDone();
    } catch (error) {
      terminal.note(`The transfer stopped: ${error instanceof Error ? error.message : String(error)}`);
      // The receiver may come back; a file that is gone does not.
      if (error instanceof ViaductError && ["file_missing", "file_changed", "file_io"].includes(error.code)) {
        await refuseFile(stream, error.message).catch(() => undefined);
        onDone(error);
      }
      throw error;
    }
  };
  using _serving = node.handle(FILE_PROTOCOL, serve);
  const ticket = node.ticket();
  terminal.result(`Ticket ${ticket}\nReceive it with: viaduct receive ${ticket}`, { ticket });
  const interrupted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  await Promise.race([done, interrupted]);
}

/** The port of one sender stays, so that its ticket works after a restart; where it is taken any other will do. */
async function listenByDefault(node: Node): Promise<void> {
  try {
    await node.listen("tcp://127.0.0.1:5490");
  } catch (error) {
    if (!(error instanceof ViaductError) || error.code !== "address_in_use") throw error;
    await node.listen("tcp://127.0.0.1:0");
  }
}
