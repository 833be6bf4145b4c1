/**
 * The library's entry point for the runtime that the command runs in.
 *
 * @module
 */

import type { RelayHandle, RelayOptions } from "../adapters/api/create_relay.ts";
import type { CreateNode } from "../adapters/api/types.ts";

/** What the command needs of an entry point. */
export interface RuntimeEntry {
  readonly createNode: CreateNode;
  createRelay(options?: RelayOptions): Promise<RelayHandle>;
}

/** Loads the entry point for Node, Deno or Bun. */
export async function loadRuntimeEntry(): Promise<RuntimeEntry> {
  const globals = globalThis as { Deno?: unknown; Bun?: unknown };
  if (globals.Deno !== undefined) return await import("../adapters/deno/mod.ts");
  if (globals.Bun !== undefined) return await import("../adapters/bun/mod.ts");
  await easeCollector();
  return await import("../adapters/node/mod.ts");
}

/**
 * Bulk traffic makes and drops buffers all the time, and V8 begins to mark the heap anew for each few megabytes of
 * them: without incremental marking the same bytes take half the time, in a relay a quarter (measured on Node 20 and
 * 24). A library must not set the flags of its process; a command may.
 */
async function easeCollector(): Promise<void> {
  const { setFlagsFromString } = await import("node:v8");
  setFlagsFromString("--no-incremental-marking");
}
