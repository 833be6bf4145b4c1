/**
 * Viaduct: connect to a node, not to an address.
 *
 * This entry point picks the adapter of the runtime that imports it without a build step, as from JSR. The npm package
 * picks it by export conditions instead, so that a bundle holds one adapter.
 *
 * @module
 */

import type { RelayHandle, RelayOptions } from "./adapters/api/create_relay.ts";
import type { CreateNode, Node, NodeOptions } from "./adapters/api/types.ts";
import { ViaductError } from "./core/error.ts";

export { DEFAULT_LIMITS } from "./adapters/api/options.ts";
export type * from "./adapters/api/relay_types.ts";
export type * from "./adapters/api/types.ts";
export { ERRORS, type ErrorCode, ViaductError, type ViaductErrorOptions } from "./core/error.ts";

interface EntryPoint {
  readonly createNode: CreateNode;
  readonly createRelay?: (options?: RelayOptions) => Promise<RelayHandle>;
}

/** Makes a node on the runtime at hand. */
export async function createNode(options: NodeOptions = {}): Promise<Node> {
  return await (await entryPoint()).createNode(options);
}

/** Makes a relay on the runtime at hand. A browser rejects with `unsupported`: it cannot listen. */
export async function createRelay(options: RelayOptions = {}): Promise<RelayHandle> {
  const { createRelay: create } = await entryPoint();
  if (create === undefined) throw new ViaductError("unsupported", { detail: "A browser cannot host a relay" });
  return await create(options);
}

function entryPoint(): Promise<EntryPoint> {
  const globals = globalThis as { Deno?: unknown; Bun?: unknown; process?: { versions?: { node?: string } } };
  if (globals.Deno !== undefined) return import("./adapters/deno/mod.ts");
  if (globals.Bun !== undefined) return import("./adapters/bun/mod.ts");
  if (globals.process?.versions?.node !== undefined) return import("./adapters/node/mod.ts");
  return import("./adapters/browser/mod.ts");
}
