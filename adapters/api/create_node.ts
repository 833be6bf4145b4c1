/**
 * Makes a node on a runtime: loads what it needs, builds the machine, starts listeners and relays.
 *
 * @module
 */

import type { DatagramRepair } from "../../core/connection/datagram_line.ts";
import type { Identity } from "../../core/crypto/identity.ts";
import { identityFromSeed } from "../../core/crypto/identity.ts";
import { ViaductError } from "../../core/error.ts";
import type { Environment } from "../../core/machine.ts";
import { NodeMachine } from "../../core/node/node.ts";
import type { NodeConfig } from "../../core/node/node_types.ts";
import { relayExtensions } from "../../core/node/relay_extensions.ts";
import { loadChecksum } from "../checksum.ts";
import type { ListenOptions, Runtime } from "../runtime.ts";
import { NodeHandle } from "./node.ts";
import { nodeConfigOf, resolveLimits } from "./options.ts";
import type { Node, NodeOptions } from "./types.ts";

/** Makes a node on `runtime`. Each entry point exports `createNode` bound to its runtime and what repairs datagrams. */
export async function createNodeOn(
  runtime: Runtime,
  options: NodeOptions = {},
  datagramRepair?: DatagramRepair,
  listenOptions?: ListenOptions,
): Promise<Node> {
  options.signal?.throwIfAborted();
  const limits = resolveLimits(options, runtime.name);
  const env = await environmentOf(runtime);
  const identity = await loadIdentity(runtime, options);
  const config = withEarlyTickets(nodeConfigOf(options, limits, identity, datagramRepair), runtime);
  const node = new NodeMachine(config, env, runtime.now(), relayExtensions);
  const handle = new NodeHandle({ runtime, machine: node, node, id: identity.id, limits, options });
  await handle.start(listenOptions);
  return handle;
}

/** A node that can be dialled takes early data for the protocols that ask for it. */
export function withEarlyTickets(config: NodeConfig, runtime: Runtime): NodeConfig {
  return { ...config, makeEarlyTickets: runtime.makeEarlyTickets?.bind(runtime) };
}

/** What machines need of a runtime. */
export async function environmentOf(runtime: Runtime): Promise<Environment> {
  return {
    random: (out) => runtime.random(out),
    // Jitter is no secret, but a secure source is what every runtime has in common.
    jitter: () => {
      const bytes = new Uint8Array(4);
      runtime.random(bytes);
      return new DataView(bytes.buffer).getUint32(0, true) / 2 ** 32;
    },
    crypto: runtime.crypto,
    checksum: await loadChecksum(),
  };
}

/** The identity that options ask for: given, stored, or fresh in memory. */
export async function loadIdentity(runtime: Runtime, options: Pick<NodeOptions, "identity">): Promise<Identity> {
  const { identity } = options;
  if (identity instanceof Uint8Array) return identityFromSeed(identity, runtime.crypto);
  const seed = new Uint8Array(32);
  if (identity === undefined) {
    runtime.random(seed);
    return identityFromSeed(seed, runtime.crypto);
  }
  if (runtime.keys === undefined) throw new ViaductError("key_file", { detail: `${runtime.name} has no key store` });
  return identityFromSeed(
    await runtime.keys.loadOrCreate(identity.store, (out) => runtime.random(out)),
    runtime.crypto,
  );
}
