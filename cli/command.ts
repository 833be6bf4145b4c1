/**
 * What a command of `viaduct` is, and the node that most of them start with.
 *
 * @module
 */

import type { Node, NodeOptions } from "../adapters/api/types.ts";
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

/** Starts a node as the settings say. */
export async function startNode(context: CommandContext, extra: Partial<NodeOptions> = {}): Promise<Node> {
  const { settings } = context;
  const { createNode } = await loadRuntimeEntry();
  return await createNode({
    relays: settings.relays,
    listen: settings.listen,
    ...(settings.key === undefined ? {} : { identity: { store: settings.key } }),
    ...(settings.name === undefined ? {} : { name: settings.name }),
    ...extra,
  });
}

/** Waits until the user interrupts. */
export function untilInterrupted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
