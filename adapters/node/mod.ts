/**
 * Viaduct for Node.
 *
 * @module
 */

import { createNodeOn } from "../api/create_node.ts";
import type { Node, NodeOptions } from "../api/types.ts";
import { nodeRuntime } from "./runtime.ts";

export type * from "../api/types.ts";
export { DEFAULT_LIMITS } from "../api/options.ts";
export { type ErrorCode, ERRORS, ViaductError } from "../../core/error.ts";
export { nodeRuntime } from "./runtime.ts";

/** Makes a node. It runs until `close`; see `NodeOptions` for what it can do. */
export function createNode(options: NodeOptions = {}): Promise<Node> {
  return createNodeOn(nodeRuntime(), options);
}
