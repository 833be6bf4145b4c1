/**
 * The runtime that the tests run in, with its `createNode` and `createRelay`.
 *
 * @module
 */

import type { RelayHandle, RelayOptions } from "../../adapters/api/create_relay.ts";
import type { CreateNode } from "../../adapters/api/types.ts";
import type { Runtime } from "../../adapters/runtime.ts";

interface EntryPoint {
  readonly createNode: CreateNode;
  readonly createRelay: (options?: RelayOptions) => Promise<RelayHandle>;
}

const globals = globalThis as { Deno?: unknown; Bun?: unknown };

/** Its name. */
export const runtimeName: "node" | "deno" | "bun" =
  globals.Deno !== undefined ? "deno" : globals.Bun !== undefined ? "bun" : "node";

const entry = (await import(`../../adapters/${runtimeName}/mod.ts`)) as EntryPoint & Record<string, unknown>;

/** Makes a node of this runtime. */
export const createNode: CreateNode = entry.createNode;

/** Makes a relay of this runtime. */
export const createRelay: (options?: RelayOptions) => Promise<RelayHandle> = entry.createRelay;

/** The runtime's adapter. */
export const runtime: Runtime = (entry[`${runtimeName}Runtime`] as () => Runtime)();
