/**
 * Makes a relay on a runtime: a node that gives others names, tells them who is here and joins their circuits.
 *
 * @module
 */

import type { NodeEvent as MachineEvent } from "../../core/node/node_types.ts";
import type { RegistryConfig } from "../../core/relay/registry_types.ts";
import { Relay as RelayMachine } from "../../core/relay/relay.ts";
import { DEFAULT_RELAY_CONFIG } from "../../core/relay/relay_defaults.ts";
import type {
  ClassLimits,
  DrainOptions,
  RelayConfig,
  RelayServerEvent,
  RelayStats,
  Topology,
} from "../../core/relay/relay_types.ts";
import type { ListenOptions, Runtime } from "../runtime.ts";
import { environmentOf, loadIdentity } from "./create_node.ts";
import { ItemQueue } from "./item_queue.ts";
import { NodeHandle } from "./node.ts";
import { nodeConfigOf, resolveLimits } from "./options.ts";
import type { Node, NodeOptions } from "./types.ts";

/** Events that wait for a slow reader; then the oldest go. */
const EVENTS_MAX = 1024;

/** Options of `createRelay`: those of a node, and the relay's policy. */
export interface RelayOptions extends NodeOptions, Omit<ListenOptions, "pipesMax"> {
  /** Policy and limits; what is left out has the default of `DEFAULT_RELAY_CONFIG`. */
  readonly relay?: Omit<Partial<RelayConfig>, "registry" | "classes"> & {
    readonly registry?: Partial<RegistryConfig>;
    readonly classes?: { readonly anonymous?: Partial<ClassLimits>; readonly token?: Partial<ClassLimits> };
  };
}

/** A relay that runs. */
export interface RelayHandle extends AsyncDisposable {
  /** The node that the relay is. */
  readonly node: Node;
  /** What clients are given to find and trust the relay. */
  ticket(): string;
  stats(): RelayStats;
  /** Who is here and who talks with whom. */
  topology(): Topology;
  /** Who joins and leaves, which circuits open and close, from now on. */
  events(options?: { readonly signal?: AbortSignal }): AsyncIterableIterator<RelayServerEvent>;
  /** Tells clients to come back later and takes no new ones; then close. */
  drain(options: DrainOptions): void;
  close(): Promise<void>;
}

/** Makes a relay on `runtime`. The entry points of Node, Deno and Bun export `createRelay` bound to them. */
export async function createRelayOn(runtime: Runtime, options: RelayOptions = {}): Promise<RelayHandle> {
  options.signal?.throwIfAborted();
  const limits = resolveLimits(options, runtime.name);
  const env = await environmentOf(runtime);
  const identity = await loadIdentity(runtime, options);
  const config = relayConfigOf(options);
  const node = nodeConfigOf(options, limits, identity);
  const machine = new RelayMachine({ config, node, unixMs: runtime.unixMs() }, env, runtime.now());
  const readers = new Set<ItemQueue<RelayServerEvent>>();
  const handle = new NodeHandle<RelayServerEvent>({
    runtime,
    machine,
    node: machine.node,
    id: identity.id,
    limits,
    options,
    onExtra: (event): event is RelayServerEvent => {
      if (!isRelayEvent(event)) return false;
      for (const reader of readers) {
        reader.push(event);
        if (reader.size > EVENTS_MAX) reader.dropOldest();
      }
      return true;
    },
  });
  const { allowedHosts, allowedOrigins, onHttpRequest } = options;
  await handle.start({
    ...(allowedHosts === undefined ? {} : { allowedHosts }),
    ...(allowedOrigins === undefined ? {} : { allowedOrigins }),
    ...(onHttpRequest === undefined ? {} : { onHttpRequest }),
  });
  void handle.closed.then(() => {
    for (const reader of readers) reader.end();
    readers.clear();
  });
  return {
    node: handle,
    ticket: () => handle.ticket(),
    stats: () => machine.stats(),
    topology: () => machine.topology(),
    events: ({ signal } = {}) => {
      const queue: ItemQueue<RelayServerEvent> = new ItemQueue({ signal, onLeft: () => readers.delete(queue) });
      if (handle.isClosing) queue.end();
      if (!queue.isEnded) readers.add(queue);
      return queue;
    },
    drain: (drain) => {
      handle.command((_node, now) => machine.drain(drain, now));
    },
    close: () => handle.close(),
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

function relayConfigOf(options: RelayOptions): RelayConfig {
  const { registry, classes, ...rest } = options.relay ?? {};
  return {
    ...DEFAULT_RELAY_CONFIG,
    ...rest,
    registry: { ...DEFAULT_RELAY_CONFIG.registry, ...registry },
    classes: {
      anonymous: { ...DEFAULT_RELAY_CONFIG.classes.anonymous, ...classes?.anonymous },
      token: { ...DEFAULT_RELAY_CONFIG.classes.token, ...classes?.token },
    },
  };
}

const RELAY_EVENTS: ReadonlySet<string> = new Set([
  "clientJoined",
  "clientLeft",
  "circuitOpened",
  "circuitClosed",
  "registryChanged",
]);

function isRelayEvent(event: MachineEvent | RelayServerEvent): event is RelayServerEvent {
  return RELAY_EVENTS.has(event.type);
}
