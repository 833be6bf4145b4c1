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
  return await import("../adapters/node/mod.ts");
}
