/**
 * Viaduct for browsers.
 *
 * @module
 */

import { createNodeOn } from "../api/create_node.ts";
import type { Node, NodeOptions } from "../api/types.ts";
import { browserRuntime } from "./runtime.ts";

export { ERRORS, type ErrorCode, ViaductError, type ViaductErrorOptions } from "../../core/error.ts";
export { DEFAULT_LIMITS } from "../api/options.ts";
export type * from "../api/types.ts";
export { browserRuntime } from "./runtime.ts";

/** Makes a node. It cannot listen: others reach it through the relays it is registered with. */
export function createNode(options: NodeOptions = {}): Promise<Node> {
  return createNodeOn(browserRuntime(), options);
}
