/**
 * Makes a relay on a runtime: a node that gives others names, tells them who is here and joins their circuits.
 *
 * @module
 */

import { ViaductError } from "../../core/error.ts";
import type { ExtensionBuilder } from "../../core/node/node.ts";
import type { NodeEvent as MachineEvent } from "../../core/node/node_types.ts";
import type { AdmissionConfig } from "../../core/relay/admission.ts";
import type { AdmissionPolicy } from "../../core/relay/admission_policy_file.ts";
import { parseAdmissionPolicy } from "../../core/relay/admission_policy_file.ts";
import { isAdmissionId } from "../../core/relay/admission_token.ts";
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
import { decodeRevocationList } from "../../core/relay/revocation_list.ts";
import type { ListenOptions, Runtime } from "../runtime.ts";
import { environmentOf, loadIdentity, withEarlyTickets } from "./create_node.ts";
import { ItemQueue } from "./item_queue.ts";
import { NodeHandle } from "./node.ts";
import { nodeConfigOf, resolveLimits } from "./options.ts";
import { RelayState, type StateStore } from "./relay_state.ts";
import type { Node, NodeOptions } from "./types.ts";
import { waitFor } from "./waiting.ts";

/** Events that wait for a slow reader; then the oldest go. */
const EVENTS_MAX = 1024;

/** The wall clock is looked at this often: a machine may learn the time after the relay began. */
const CLOCK_MS = 60_000;

/** A drain that is not over by then, beyond its grace, is given up. */
const FAREWELL_MS = 5_000;

/** Options of `createRelay`: those of a node, and the relay's policy. */
export interface RelayOptions extends NodeOptions, Omit<ListenOptions, "pipesMax"> {
  /**
   * Where names and leases live between runs: a file, made when missing, or a store of your own. Left out, they are
   * forgotten; tokens that were handed out are still known while the identity is the same.
   */
  readonly state?: { readonly file: string } | StateStore;
  /**
   * Who is let in, as docs/admission.md has it; it is in force for whoever registers, and can be replaced. Left out,
   * `relay.registry` decides.
   */
  readonly policy?: AdmissionPolicy;
  /** Admissions that were revoked: the text of a list as `viaduct token revoke` and `RevocationList` write it. None. */
  readonly revocations?: string;
  /** Limits; what is left out has the default of `DEFAULT_RELAY_CONFIG`. */
  readonly relay?: Omit<Partial<RelayConfig>, "registry" | "classes"> & {
    readonly registry?: Partial<RegistryConfig>;
    readonly classes?: { readonly anonymous?: Partial<ClassLimits>; readonly token?: Partial<ClassLimits> };
  };
  /**
   * What the relay's own node uses other relays with. Left out, it uses them as every node does; to watch or replace
   * that is for tests and relays of a kind of their own. What a builder is given may change with any release.
   */
  readonly buildExtensions?: ExtensionBuilder;
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
  /** Puts another policy into force for whoever registers from now on; who is here stays. */
  setPolicy(policy: AdmissionPolicy): void;
  /**
   * Takes an admission back by its id and ends the registrations that it gave. Until when it matters, the admission's
   * expiry, may be left out; then it is kept for 400 days. Throws `ViaductError` with code `limit` when the list of
   * what was revoked is full.
   */
  revoke(id: string, options?: { readonly untilUnixMs?: number }): void;
  /** Takes back what the text of a list says. What was revoked stays so. */
  revokeAll(list: string): void;
  /** Tells clients to come back later, takes no new ones, and closes after the grace. `node.closed` tells when. */
  drain(options: DrainOptions): void;
  /** Closes; a relay that is being drained first finishes that. */
  close(): Promise<void>;
}

/** Makes a relay on `runtime`. The entry points of Node, Deno and Bun export `createRelay` bound to them. */
export async function createRelayOn(
  runtime: Runtime,
  options: RelayOptions = {},
  openFile?: (path: string) => StateStore,
): Promise<RelayHandle> {
  options.signal?.throwIfAborted();
  const limits = resolveLimits(options, runtime.name);
  const env = await environmentOf(runtime);
  const identity = await loadIdentity(runtime, options);
  const config = relayConfigOf(options);
  const admission = options.policy === undefined ? undefined : admissionConfigOf(options.policy, runtime);
  const node = withEarlyTickets(nodeConfigOf(options, limits, identity), runtime);
  const { buildExtensions } = options;
  const machine = new RelayMachine(
    {
      config,
      node,
      unixMs: runtime.unixMs(),
      ...(admission === undefined ? {} : { admission }),
      ...(buildExtensions === undefined ? {} : { buildExtensions }),
    },
    env,
    runtime.now(),
  );
  const store = storeOf(options.state, openFile);
  const saved = await store?.load();
  if (saved !== undefined && !machine.restore(saved, runtime.now())) {
    throw new ViaductError("config_invalid", { detail: "The saved state of the relay is damaged, or something else" });
  }
  if (options.revocations !== undefined) revokeOn(machine, options.revocations, runtime);
  const state =
    store &&
    new RelayState(
      store,
      () => machine.snapshot(runtime.now()),
      (error) => handle.tellHandlerFailed("state", undefined, error),
    );
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
      if (event.type === "registryChanged") void state?.save();
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
  const clock = setInterval(() => machine.setUnixMs(runtime.unixMs(), runtime.now()), CLOCK_MS);
  void handle.closed.then(() => {
    clearInterval(clock);
    for (const reader of readers) reader.end();
    readers.clear();
  });
  let drainMs: number | undefined;
  const close = async (): Promise<void> => {
    if (drainMs !== undefined) {
      await waitFor(handle.closed, { timeoutMs: drainMs }, runtime).catch(() => undefined);
    }
    await handle.close();
    await state?.save();
  };
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
    setPolicy: (policy) => machine.setAdmission(admissionConfigOf(policy, runtime)),
    revoke: (id, { untilUnixMs } = {}) => {
      if (!isAdmissionId(id)) throw new RangeError("Cannot revoke as the id is not 1 to 64 of [A-Za-z0-9_-]");
      const until = untilUnixMs === undefined ? {} : { untilUnixMs };
      if (!handle.command((_node, now) => machine.revoke(id, until, now))) throw fullList();
    },
    revokeAll: (list) => handle.command(() => revokeOn(machine, list, runtime)),
    drain: (drain) => {
      drainMs ??= (drain.graceMs ?? 0) + FAREWELL_MS;
      handle.command((_node, now) => machine.drain(drain, now));
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function admissionConfigOf(policy: AdmissionPolicy, runtime: Runtime): AdmissionConfig {
  const parsed = parseAdmissionPolicy(policy, runtime.crypto);
  if ("problem" in parsed) throw new ViaductError("config_invalid", { detail: `The policy: ${parsed.problem}` });
  return parsed.config;
}

function revokeOn(machine: RelayMachine, text: string, runtime: Runtime): void {
  const list = decodeRevocationList(text, runtime.unixMs());
  if (list === undefined) throw new ViaductError("config_invalid", { detail: "This is no list of revoked admissions" });
  if (!machine.mergeRevocations(list, runtime.now())) throw fullList();
}

function fullList(): ViaductError {
  return new ViaductError("limit", { detail: "The list of revoked admissions is full: replace the key instead" });
}

function storeOf(
  state: RelayOptions["state"],
  openFile: ((path: string) => StateStore) | undefined,
): StateStore | undefined {
  if (state === undefined || !("file" in state)) return state;
  if (openFile === undefined) throw new ViaductError("unsupported", { detail: "This runtime has no files" });
  return openFile(state.file);
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
  "clientRefused",
  "circuitOpened",
  "circuitClosed",
  "registryChanged",
]);

function isRelayEvent(event: MachineEvent | RelayServerEvent): event is RelayServerEvent {
  return RELAY_EVENTS.has(event.type);
}
