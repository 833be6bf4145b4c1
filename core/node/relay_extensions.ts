/**
 * What makes a node able to use relays: hand `relayExtensions` to the constructor of `NodeMachine`, or to a `Relay`
 * that is to use others.
 *
 * @module
 */

import { Circuits } from "./circuits.ts";
import type { ExtensionBuilder } from "./node.ts";
import { RelayClient } from "./relay_client.ts";

/** Builds relay client and circuits for a node. */
export const relayExtensions: ExtensionBuilder = (internals) => {
  const relayClient = new RelayClient(internals);
  return { relayClient, circuits: new Circuits(internals, relayClient) };
};
