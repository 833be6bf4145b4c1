/**
 * Viaduct: connect to a node, not to an address.
 *
 * This entry point picks the adapter of the runtime that imports it without a build step, as from JSR. The npm package
 * picks it by export conditions instead, so that a bundle holds one adapter.
 *
 * @module
 */

import type { CreateNode, Node, NodeOptions } from "./adapters/api/types.ts";

export { DEFAULT_LIMITS } from "./adapters/api/options.ts";
export type * from "./adapters/api/types.ts";
export { ERRORS, type ErrorCode, ViaductError } from "./core/error.ts";

interface EntryPoint {
  readonly createNode: CreateNode;
}

/** Makes a node on the runtime at hand. */
export async function createNode(options: NodeOptions = {}): Promise<Node> {
  return await (await entryPoint()).createNode(options);
}

function entryPoint(): Promise<EntryPoint> {
  const globals = globalThis as { Deno?: unknown; Bun?: unknown; process?: { versions?: { node?: string } } };
  if (globals.Deno !== undefined) return import("./adapters/deno/mod.ts");
  if (globals.Bun !== undefined) return import("./adapters/bun/mod.ts");
  if (globals.process?.versions?.node !== undefined) return import("./adapters/node/mod.ts");
  return import("./adapters/browser/mod.ts");
}
