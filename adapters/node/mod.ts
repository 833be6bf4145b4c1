/**
 * Viaduct for Node.
 *
 * @module
 */

import { datagramRepair } from "../../core/connection/repaired_datagrams.ts";
import { createNodeOn } from "../api/create_node.ts";
import { createRelayOn, type RelayHandle, type RelayOptions } from "../api/create_relay.ts";
import type { Node, NodeOptions } from "../api/types.ts";
import { nodeRuntime } from "./runtime.ts";
import { stateFile } from "./state_file.ts";

export { ERRORS, type ErrorCode, ViaductError, type ViaductErrorOptions } from "../../core/error.ts";
export { DEFAULT_LIMITS } from "../api/options.ts";
export type * from "../api/relay_types.ts";
export type * from "../api/types.ts";
export { nodeRuntime } from "./runtime.ts";

/** Makes a node. It runs until `close`; see `NodeOptions` for what it can do. */
export function createNode(options: NodeOptions = {}): Promise<Node> {
  return createNodeOn(nodeRuntime(), options, datagramRepair);
}

/** Makes a relay, which is a node as well. */
export function createRelay(options: RelayOptions = {}): Promise<RelayHandle> {
  return createRelayOn(nodeRuntime(), options, stateFile);
}
