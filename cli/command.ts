/**
 * What a command of `viaduct` is, and the node that most of them start with.
 *
 * @module
 */

import { parseTarget } from "../adapters/api/target.ts";
import type { Node, NodeOptions } from "../adapters/api/types.ts";
import { nobleProvider } from "../core/crypto/noble_provider.ts";
import type { ErrorCode } from "../core/error.ts";
import { ERRORS, ViaductError } from "../core/error.ts";
import { admissionOf } from "./operator_files.ts";
import { loadRuntimeEntry } from "./runtime_entry.ts";
import type { Flags, Settings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

/** What a command is run with. */
export interface CommandContext {
  readonly positionals: readonly string[];
  readonly flags: Flags;
  readonly settings: Settings;
  readonly terminal: Terminal;
  /** Aborted when the user interrupts. */
  readonly signal: AbortSignal;
}

/** A command. */
export interface Command {
  readonly summary: string;
  /** The help text without the shared options. */
  readonly usage: string;
  /** Flags besides the shared ones, as `parseArgs` of `node:util` takes them. */
  readonly options: Readonly<Record<string, { type: "string" | "boolean"; short?: string; multiple?: boolean }>>;
  run(context: CommandContext): Promise<void>;
}

/** A mistake in how the command was called: shown with the usage, exit code 2. */
export class UsageError extends Error {
  override readonly name: string = "UsageError";
}

/**
 * Starts a node as the settings say. When an argument of the command names the node of this very key, another command
 * here has it: then a fresh key takes its place, or both ends would be the same node.
 */
export async function startNode(context: CommandContext, extra: Partial<NodeOptions> = {}): Promise<Node> {
  const { settings, positionals, terminal } = context;
  const { createNode } = await loadRuntimeEntry();
  const targets = positionals.flatMap((text) => idOf(text) ?? []);
  let key = settings.key;
  if (key !== undefined && targets.length > 0) {
    await using probe = await createNode({ identity: { store: key } });
    if (targets.includes(probe.id)) {
      terminal.note("The other end has the key of this command: going on with a fresh one");
      key = undefined;
    }
  }
  return await createNode({
    relays: settings.relays,
    listen: settings.listen,
    announce: settings.announce,
    ...(key === undefined ? {} : { identity: { store: key } }),
    ...(settings.name === undefined ? {} : { name: settings.name }),
    ...(settings.admission === undefined ? {} : { admission: admissionOf(settings.admission) }),
    ...extra,
  });
}

/** Codes of a relay that asking again does not change. */
const FINAL_REFUSALS: readonly ErrorCode[] = [
  "token_refused",
  "token_expired",
  "token_revoked",
  "refused",
  "name_invalid",
];

/**
 * Waits until the node listens and is registered with one relay, and says what the relays say meanwhile. Rejects when
 * the user interrupts, and with the relay's code when all relays refuse the node for good.
 */
export async function untilReady(node: Node, { terminal, signal }: CommandContext): Promise<void> {
  const stop = new AbortController();
  const interrupted = untilInterrupted(signal).then(() => Promise.reject(signal.reason));
  const refused = (async () => {
    const told = new Set<string>();
    for await (const event of node.events({ signal: stop.signal })) {
      if (event.type !== "relay" || event.relay.error === undefined) continue;
      const { address, error } = event.relay;
      if (!told.has(`${address} ${error}`)) terminal.note(`${address}: ${ERRORS[error].message} [${error}]`);
      told.add(`${address} ${error}`);
      const isHopeless = node.relays.every(({ state, error }) => {
        return state === "refused" && error !== undefined && FINAL_REFUSALS.includes(error);
      });
      if (isHopeless) throw new ViaductError(error, { detail: address });
    }
    return await new Promise<never>(() => {});
  })();
  try {
    await Promise.race([node.ready, interrupted, refused]);
  } finally {
    stop.abort();
    refused.catch(() => undefined);
    interrupted.catch(() => undefined);
  }
}

/** The id that an argument names, if it is an id or a ticket. */
function idOf(text: string): string | undefined {
  try {
    return parseTarget(text, nobleProvider).id;
  } catch {
    return undefined; // A file, a port, a name.
  }
}

/** Waits until the user interrupts. */
export function untilInterrupted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
