/** `viaduct receive TICKET`: fetches the file that a sender offers, resuming what an earlier try left. @module */

import { resolve } from "node:path";
import type { Node } from "../../adapters/api/types.ts";
import { ViaductError } from "../../core/error.ts";
import type { FileResult } from "../../protocols/file.ts";
import { acceptOffer, FILE_PROTOCOL, getFile, readFileRequest, refuseFile } from "../../protocols/file.ts";
import type { Command, CommandContext } from "../command.ts";
import { startNode, UsageError, untilInterrupted, untilReady } from "../command.ts";
import { keptBytes, nativeHasher, openSink } from "../file_on_disk.ts";
import { formatBytes, type Terminal } from "../terminal.ts";

/** What is worth another try: the other side may come back. */
const PASSING: ReadonlySet<string> = new Set([
  "closed",
  "going_away",
  "session_lost",
  "resume_timeout",
  "idle_timeout",
  "truncated",
  "stream_reset",
  "handler_failed",
  "dial_failed",
  "timeout",
  "not_here",
  "unknown_name",
  "no_relay",
  "handshake_failed",
  "handshake_timeout",
  "unknown_protocol",
  "replaced",
]);
const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 8_000;

export const receiveCommand: Command = {
  summary: "receive a file from whoever sends it",
  usage: `viaduct receive [TICKET] [--out DIRECTORY] [--retry SECONDS]

With a TICKET the file is fetched from its sender. Without one, offers of others are taken (needs --relay or --listen).
What an interrupted try left is kept as NAME.part and continued.

  --out DIRECTORY   where the file goes (the current directory)
  --retry SECONDS   how long to wait for a sender that went away (60)`,
  options: { out: { type: "string", short: "o" }, retry: { type: "string" } },
  async run(context) {
    const [target] = context.positionals;
    const directory = resolve(typeof context.flags.out === "string" ? context.flags.out : ".");
    const { relays, listen } = context.settings;
    if (target === undefined && relays.length + listen.length === 0) {
      throw new UsageError("Nobody could reach this node: give a TICKET, --relay or --listen");
    }
    if (target === undefined) await takeOffers(context, directory);
    else await fetchFile(context, target, directory);
  },
};

async function fetchFile(context: CommandContext, target: string, directory: string): Promise<void> {
  const { flags, terminal, signal } = context;
  const retryMs = Number(flags.retry ?? 60) * 1000;
  await using node = await startNode(context);
  let name: string | undefined;
  let giveUpAt = Date.now() + retryMs;
  void reportInterruptions(node, terminal, signal);
  for (let delay = RETRY_MS_MIN; ; delay = Math.min(2 * delay, RETRY_MS_MAX)) {
    try {
      const result = await fetchOnce(node, context, target, directory, {
        kept: name === undefined ? 0 : await keptBytes(directory, name),
        onName: (known) => {
          name = known;
        },
        onBytes: () => {
          giveUpAt = Date.now() + retryMs;
          delay = RETRY_MS_MIN;
        },
      });
      terminal.result(`Received ${result.name} (${formatBytes(result.size)}), SHA-256 ${result.sha256}`, { ...result });
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof ViaductError) || !PASSING.has(error.code) || Date.now() + delay > giveUpAt) throw error;
      terminal.note(`${error.message}. Trying again in ${(delay / 1000).toFixed(1)} s`, { code: error.code });
      await new Promise((again) => setTimeout(again, delay));
    }
  }
}

/** Says when the connection is gone and when it is back: a transfer that stands still should not be a riddle. */
async function reportInterruptions(node: Node, terminal: Terminal, signal: AbortSignal): Promise<void> {
  try {
    for await (const event of node.events({ signal })) {
      if (event.type === "peerSuspended") terminal.note("The connection is interrupted, trying to resume");
      else if (event.type === "peerResumed") terminal.note("The connection goes on");
    }
  } catch {
    // Interrupted by the user.
  }
}

async function fetchOnce(
  node: Node,
  context: CommandContext,
  target: string,
  directory: string,
  state: { kept: number; onName: (name: string) => void; onBytes: () => void },
): Promise<FileResult> {
  const { settings, terminal, signal } = context;
  const peer = await node.connect(target, { signal, timeoutMs: settings.timeoutMs });
  const stream = await peer.open(FILE_PROTOCOL);
  // Whether the sender is there is learned before anything of it: a lost session ends the wait.
  const result = await getFile(
    stream,
    async (facts) => {
      state.onName(facts.name);
      const sink = await openSink(directory, facts);
      const rest = sink.keptBytes > 0 ? `, ${formatBytes(sink.keptBytes)} of it are here already` : "";
      terminal.note(`Receiving ${facts.name} (${formatBytes(facts.size)})${rest}`, { ...facts, kept: sink.keptBytes });
      return sink;
    },
    {
      signal,
      keptBytes: state.kept,
      hasher: nativeHasher,
      onProgress: (progress) => {
        if (progress.bytes > progress.resumedBytes) state.onBytes();
        terminal.progress(progress);
      },
    },
  );
  await peer.close();
  return result;
}

async function takeOffers(context: CommandContext, directory: string): Promise<void> {
  const { settings, terminal, signal } = context;
  await using node = await startNode(context);
  if (settings.relays.length > 0) await untilReady(node, context);
  using _serving = node.handle(FILE_PROTOCOL, async (stream, peer) => {
    const { request, rest } = await readFileRequest(stream, signal);
    if (request.op !== "offer") {
      await refuseFile(stream, "This node takes files and sends none");
      return;
    }
    terminal.note(
      `${peer.name ?? peer.id ?? "An anonymous node"} sends ${request.name} (${formatBytes(request.size)})`,
    );
    try {
      const sink = await openSink(directory, request);
      const onProgress = terminal.progress.bind(terminal);
      const result = await acceptOffer(stream, rest, request, sink, { signal, onProgress, hasher: nativeHasher });
      terminal.result(`Received ${result.name}, SHA-256 ${result.sha256}`, { ...result, path: sink.path });
    } catch (error) {
      terminal.note(
        `The transfer of ${request.name} stopped: ${error instanceof Error ? error.message : String(error)}`,
      );
      throw error;
    }
  });
  terminal.note(`Waiting as ${node.name ?? node.id}\nTicket ${node.ticket()}`, { id: node.id, ticket: node.ticket() });
  await untilInterrupted(signal);
}
