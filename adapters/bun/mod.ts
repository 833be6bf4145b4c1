/**
 * Viaduct for Bun.
 *
 * @module
 */

import { datagramRepair } from "../../core/connection/repaired_datagrams.ts";
import { createNodeOn } from "../api/create_node.ts";
import { createRelayOn, type RelayHandle, type RelayOptions } from "../api/create_relay.ts";
import type { Node, NodeOptions } from "../api/types.ts";
import { stateFile } from "../node/state_file.ts";
import { bunRuntime } from "./runtime.ts";

export { ERRORS, type ErrorCode, ViaductError, type ViaductErrorOptions } from "../../core/error.ts";
export { DEFAULT_LIMITS } from "../api/options.ts";
export type * from "../api/relay_types.ts";
export type * from "../api/types.ts";
export { bunRuntime } from "./runtime.ts";

/** Makes a node. It runs until `close`; see `NodeOptions` for what it can do. */
export function createNode(options: NodeOptions = {}): Promise<Node> {
  return createNodeOn(bunRuntime(), options, datagramRepair);
}

/** Makes a relay, which is a node as well. */
export function createRelay(options: RelayOptions = {}): Promise<RelayHandle> {
  return createRelayOn(bunRuntime(), options, stateFile);
}
