/**
 * The relay: a node that gives others names, tells them who is here, and joins their circuits. Implements PROTOCOL §10.
 *
 * It owns a `NodeMachine`, to which every command of a node can be given; events of that node which are not about
 * relaying come out of the relay as they are, so that one process can be relay and node at once.
 *
 * The invariant to hold: what goes through a circuit is copied and never looked at; what a client breaks ends its own
 * session and no other.
 *
 * @module
 */

import { EventQueue } from "../connection/event_queue.ts";
import type { ErrorCode } from "../error.ts";
import { ERRORS, ProtocolError } from "../error.ts";
import type { Bytes, Environment, Instant, Machine } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { EndpointInput, EndpointOutput, PipeId, SessionId } from "../node/endpoint_types.ts";
import type { ExtensionBuilder } from "../node/node.ts";
import { NodeMachine } from "../node/node.ts";
import type { NodeConfig, NodeEvent, NodeStreamEvent } from "../node/node_types.ts";
import type { ControlRecord } from "../node/relay_codec.ts";
import { CIRCUIT_PROTOCOL, encodeControlRecord, RELAY_PROTOCOL, RELAY_PROTOCOL_VERSION } from "../node/relay_codec.ts";
import { streamCodeOf } from "../node/stream_code.ts";
import { addressGroup, hostOfRemote } from "./address_group.ts";
import type { AdmissionConfig } from "./admission.ts";
import { Admission } from "./admission.ts";
import { CircuitTable } from "./circuit_table.ts";
import type { RelayPeer } from "./clients.ts";
import { Clients, factsOf } from "./clients.ts";
import { ControlStream } from "./control_stream.ts";
import { rulesOfConfig } from "./registry.ts";
import { relaySessionConfig } from "./relay_defaults.ts";
import type {
  DrainOptions,
  RelayConfig,
  RelayServerEvent,
  RelayStats,
  Topology,
  TopologyCircuit,
  TopologyClient,
} from "./relay_types.ts";
import type { RevocationList } from "./revocation_list.ts";

/** Control streams of one session: a second one replaces the first. */
const CONTROLS_PER_SESSION_MAX = 2;
/** Circuit streams of one session, whatever its class: above it the node refuses without asking. */
const CIRCUITS_PER_SESSION_MAX = 4096;
/** Clients get this long to take the farewell. */
const FAREWELL_MS = 500;
/** Changes of the registry are told at most this often: each may cost its owner a file. */
const REGISTRY_CHANGE_MS = 1_000;
/** Clients and circuits in a topology. */
const TOPOLOGY_MAX = 1_000;

/** What a relay is made from. */
export interface RelayOptions {
  readonly config: RelayConfig;
  readonly node: NodeConfig;
  /** Who is let in; left out, `config.registry` says it all. */
  readonly admission?: AdmissionConfig;
  /** Wall-clock time at construction: milliseconds since 1970. */
  readonly unixMs: number;
  /** Relay client and circuits of its own node, if that is to use relays itself. */
  readonly buildExtensions?: ExtensionBuilder;
}

/** A relay. */
export class Relay implements Machine<EndpointInput, EndpointOutput, NodeEvent | RelayServerEvent> {
  /** The node that the relay is: give commands of a node to it, then drive the relay. */
  readonly node: NodeMachine;
  readonly #config: RelayConfig;
  readonly #admission: Admission;
  readonly #clients: Clients;
  readonly #circuits: CircuitTable;
  readonly #peers = new Map<SessionId, RelayPeer>();
  readonly #events = new EventQueue<NodeEvent | RelayServerEvent>();
  /** Clients that are read on later. */
  readonly #paused = new Set<RelayPeer>();
  #unixMsOffset: number;
  #registryToldAt: Instant;
  #drain: { readonly closeAt: Instant; readonly earliestAt: Instant; readonly waiting: Set<ControlStream> } | undefined;
  #now: Instant;
  #isClosed = false;

  constructor(options: RelayOptions, env: Environment, now: Instant) {
    const { config } = options;
    this.#config = config;
    this.#now = now;
    this.#registryToldAt = now - REGISTRY_CHANGE_MS;
    this.#unixMsOffset = options.unixMs - now;
    const { endpoint } = options.node;
    const node = { ...options.node, endpoint: { ...endpoint, session: relaySessionConfig(endpoint.session) } };
    this.node = new NodeMachine(node, env, now, options.buildExtensions);
    this.node.serve(RELAY_PROTOCOL, [RELAY_PROTOCOL_VERSION], { streamsPerPeerMax: CONTROLS_PER_SESSION_MAX });
    this.node.serve(CIRCUIT_PROTOCOL, [RELAY_PROTOCOL_VERSION], { streamsPerPeerMax: CIRCUITS_PER_SESSION_MAX });
    const rules = rulesOfConfig(config.registry);
    this.#admission = new Admission(options.admission ?? { rules, keys: new Map(), audiences: [] }, {
      id: endpoint.identity.id,
      crypto: env.crypto,
    });
    const emit = (event: RelayServerEvent): void => this.#events.push(event);
    this.#clients = new Clients(
      {
        config,
        env,
        seed: endpoint.identity.seed,
        admission: this.#admission,
        unixMsOf: (at) => this.#unixMsOf(at),
        whereIs: (session) => this.#whereIs(session),
        emit,
        closeCircuits: (client, code, at) => this.#circuits.closeOf(client, code, at),
        closeSession: (session, code, reason, at) => this.node.closePeer(session, { code, reason }, at),
      },
      now,
    );
    this.#circuits = new CircuitTable(
      {
        config,
        env,
        node: this.node,
        clients: this.#clients,
        emit,
        closeSession: (peer, code, reason, at) => this.node.closePeer(peer.session, { code, reason }, at),
      },
      now,
    );
  }

  // What happened outside.

  handleInput(input: EndpointInput, now: Instant): void {
    if (this.#isClosed) return;
    this.#now = now;
    this.node.handleInput(input, now);
    this.#drainNode(now);
  }

  handleTimeout(now: Instant): void {
    if (this.#isClosed) return;
    this.#now = now;
    this.node.handleTimeout(now);
    this.#clients.handleTimeout(now);
    this.#circuits.handleTimeout(now);
    for (const peer of [...this.#paused]) {
      if (peer.control !== undefined && now >= peer.control.pausedUntil) this.#readControl(peer, peer.control, now);
    }
    if (this.#clients.hasRegistryChange && now >= this.#registryToldAt + REGISTRY_CHANGE_MS) {
      this.#clients.takeRegistryChange();
      this.#registryToldAt = now;
      this.#events.push({ type: "registryChanged" });
    }
    this.#drainNode(now);
    if (this.#drain !== undefined && now >= this.#drain.closeAt) this.#finishDrain(now);
  }

  // Commands.

  /** Numbers a pipe that was accepted. */
  allocatePipe(): PipeId {
    return this.node.allocatePipe();
  }

  /**
   * Tells all clients to come back later, takes no new ones, and then closes with `going_away`: `closed` is the last
   * event. A second call changes nothing.
   */
  drain(options: DrainOptions, now: Instant): void {
    if (this.#drain !== undefined || this.#isClosed) return;
    const { reconnectInMs, tryForMs, graceMs = 0 } = options;
    const record = encodeControlRecord({ type: "drain", reconnectInMs, tryForMs });
    const waiting = new Set<ControlStream>();
    for (const peer of this.#peers.values()) {
      if (peer.control === undefined || !peer.control.send(record, now)) continue;
      peer.control.finish(now);
      waiting.add(peer.control);
    }
    const earliestAt = now + graceMs;
    this.#drain = { earliestAt, closeAt: waiting.size === 0 ? earliestAt : earliestAt + FAREWELL_MS, waiting };
    this.#drainNode(now);
  }

  /** Tells the wall-clock time again: it may have been set since. Tokens are checked by it. */
  setUnixMs(unixMs: number, now: Instant): void {
    this.#unixMsOffset = unixMs - now;
  }

  /** Puts another policy into force for whoever registers from now on; who is here stays. */
  setAdmission(config: AdmissionConfig): void {
    this.#admission.replace(config);
  }

  /**
   * Takes a token back, and ends the registrations that it gave; `false` when the id is malformed or the list is full.
   * Without knowing when the token expires it is kept for as long as any token can last.
   */
  revoke(id: string, options: { readonly untilUnixMs?: number }, now: Instant): boolean {
    const isKept = this.#admission.revocations.revoke(id, { ...options, unixMs: this.#unixMsOf(now) });
    this.#clients.dropRevoked(now);
    return isKept;
  }

  /** Takes back what another list does; `false` when not all of it fits. Nothing is ever given again. */
  mergeRevocations(list: RevocationList, now: Instant): boolean {
    const isWhole = this.#admission.revocations.merge(list, this.#unixMsOf(now));
    this.#clients.dropRevoked(now);
    return isWhole;
  }

  /** All about names and revocations that must outlive the process. It holds no secret, but says who was here. */
  snapshot(now: Instant): Bytes {
    return this.#clients.registry.snapshot(now, this.#unixMsOf(now));
  }

  /** Takes back what `snapshot` gave; `false` when it is damaged or none. Call it before the first client. */
  restore(bytes: Uint8Array, now: Instant): boolean {
    return this.#clients.registry.restore(bytes, now, this.#unixMsOf(now));
  }

  // Outputs.

  pollTransmit(now: Instant): EndpointOutput | undefined {
    this.#now = now;
    do {
      const output = this.node.pollTransmit(now);
      if (output !== undefined) return output;
    } while (this.#drainNode(now));
    return undefined;
  }

  pollEvent(): NodeEvent | RelayServerEvent | undefined {
    if (this.#events.size === 0) this.#drainNode(this.#now);
    return this.#events.shift();
  }

  pollTimeout(): Instant {
    if (this.#isClosed) return NEVER;
    let at = Math.min(this.node.pollTimeout(), this.#clients.pollTimeout(), this.#circuits.pollTimeout());
    for (const peer of this.#paused) at = Math.min(at, peer.control?.pausedUntil ?? NEVER);
    if (this.#clients.hasRegistryChange) at = Math.min(at, this.#registryToldAt + REGISTRY_CHANGE_MS);
    return Math.min(at, this.#drain?.closeAt ?? NEVER);
  }

  // Reads.

  stats(): RelayStats {
    return {
      clients: this.#clients.size,
      circuits: this.#circuits.size,
      circuitsOpened: this.#circuits.opened,
      bytesForwarded: this.#circuits.bytesForwarded,
      drops: this.#circuits.drops,
      registry: this.#clients.registry.stats(),
      voidTokens: this.#admission.voids,
      isDraining: this.#drain !== undefined,
    };
  }

  /** Who is here and who talks with whom. */
  topology(): Topology {
    const clients: TopologyClient[] = [];
    for (const client of this.#clients) {
      if (clients.length === TOPOLOGY_MAX) break;
      clients.push({
        ...factsOf(client),
        isSuspended: client.peer.isSuspended,
        circuits: client.opened.size + client.incoming.size,
        bytesForwarded: client.bytesForwarded,
      });
    }
    const circuits: TopologyCircuit[] = [];
    for (const { number, source, target, forward, backward } of this.#circuits) {
      if (circuits.length === TOPOLOGY_MAX) break;
      circuits.push({
        circuit: number,
        source: source.client.id,
        target: target.client.id,
        bytesForward: forward.bytes,
        bytesBackward: backward.bytes,
      });
    }
    const isTruncated = clients.length < this.#clients.size || circuits.length < this.#circuits.size;
    return { clients, circuits, isTruncated };
  }

  // Events of the node.

  /** Takes what happened in the node until nothing more happens; whether anything did. */
  #drainNode(now: Instant): boolean {
    let hasDrained = false;
    for (;;) {
      const event = this.node.pollEvent();
      if (event === undefined) return hasDrained;
      hasDrained = true;
      if (!this.#take(event, now)) this.#events.push(event);
    }
  }

  /** Whether an event was about relaying alone. */
  #take(event: NodeEvent, now: Instant): boolean {
    switch (event.type) {
      case "peerConnected":
        this.#peers.set(event.session, {
          session: event.session,
          id: event.remoteId,
          isSuspended: false,
          control: undefined,
          client: undefined,
          ends: new Map(),
          floods: 0,
        });
        return false;
      case "peerSuspended": {
        const peer = this.#peers.get(event.session);
        if (peer !== undefined) this.#clients.onSuspended(peer, now);
        return false;
      }
      case "peerResumed": {
        const peer = this.#peers.get(event.session);
        if (peer === undefined) return false;
        this.#clients.onResumed(peer, now);
        if (peer.client !== undefined) this.#circuits.onResumed(peer.client, now);
        return false;
      }
      case "peerClosed": {
        const peer = this.#peers.get(event.session);
        if (peer !== undefined) this.#onPeerClosed(peer, event.closed.code, now);
        return false;
      }
      case "closed":
        this.#isClosed = true;
        return false;
      case "streamOpened":
        return this.#onStreamOpened(event, now);
      case "readable":
      case "writable":
      case "delivered":
      case "streamClosed":
      case "stopped":
      case "streamAccepted":
      case "streamRefused":
        return this.#onStreamEvent(event, now);
      default:
        return false;
    }
  }

  #onPeerClosed(peer: RelayPeer, code: ErrorCode, now: Instant): void {
    this.#peers.delete(peer.session);
    this.#paused.delete(peer);
    if (peer.control !== undefined) this.#drain?.waiting.delete(peer.control);
    this.#clients.onSessionClosed(peer, code, now);
    if (this.#drain?.waiting.size === 0 && now >= this.#drain.earliestAt) this.#finishDrain(now);
  }

  #onStreamOpened(event: Extract<NodeStreamEvent, { type: "streamOpened" }>, now: Instant): boolean {
    const isControl = event.protocol === `${RELAY_PROTOCOL}/${RELAY_PROTOCOL_VERSION}`;
    if (!isControl && event.protocol !== `${CIRCUIT_PROTOCOL}/${RELAY_PROTOCOL_VERSION}`) return false;
    const peer = this.#peers.get(event.session);
    if (peer === undefined) return true;
    if (event.isUnidirectional) this.node.stop(event.session, event.stream, streamCodeOf("protocol_violation"), now);
    else if (isControl) this.#onControlOpened(peer, event.stream, now);
    else this.#circuits.open(peer, event.stream, event.metadata, this.#drain !== undefined, now);
    return true;
  }

  #onControlOpened(peer: RelayPeer, stream: number, now: Instant): void {
    if (peer.control !== undefined) this.#endControl(peer, peer.control, "replaced", now);
    const { recordsPerSecond } = this.#config;
    peer.control = new ControlStream({ node: this.node, session: peer.session, stream, recordsPerSecond }, now);
  }

  /** Whether the event is of a stream of the relay's. */
  #onStreamEvent(event: NodeStreamEvent, now: Instant): boolean {
    const peer = this.#peers.get(event.session);
    if (peer === undefined) return false;
    const { stream } = event;
    const circuit = peer.ends.get(stream);
    if (circuit !== undefined) {
      this.#circuits.onStreamEvent(circuit, peer, event, now);
      return true;
    }
    const { control } = peer;
    if (control?.stream !== stream) return false;
    if (event.type === "readable") this.#readControl(peer, control, now);
    else if (event.type === "writable") {
      control.flush(now);
      this.#clients.board.onDrained(control, now);
    } else if (event.type === "delivered") {
      this.#drain?.waiting.delete(control);
      if (this.#drain?.waiting.size === 0 && now >= this.#drain.earliestAt) this.#finishDrain(now);
    } else if (event.type === "stopped" || event.type === "streamClosed") {
      this.#endControl(peer, control, "closed", now);
    }
    return true;
  }

  // Control streams.

  #readControl(peer: RelayPeer, control: ControlStream, now: Instant): void {
    this.#paused.delete(peer);
    try {
      for (;;) {
        const record = control.next(now);
        if (record === undefined) break;
        this.#onRecord(peer, control, record, now);
        if (peer.control !== control) return;
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.node.closePeer(peer.session, { code: "protocol_violation", reason: error.message }, now);
      return;
    }
    if (control.hasEnded) this.#endControl(peer, control, "closed", now);
    else if (control.pausedUntil !== NEVER) this.#paused.add(peer);
  }

  #onRecord(peer: RelayPeer, control: ControlStream, record: ControlRecord, now: Instant): void {
    switch (record.type) {
      case "register":
        this.#clients.register(peer, record, this.#drain !== undefined, now);
        return;
      case "watch":
        if (!record.isOn) this.#clients.board.unwatch(control);
        else if (this.#config.isPresencePublic && peer.client !== undefined) this.#clients.board.watch(control, now);
        else this.#clients.tell(peer, { type: "notice", wireCode: ERRORS.refused.wire }, now);
        return;
      case "release":
        this.#clients.release(peer, now);
        return;
      default:
        throw new ProtocolError("protocol_violation", "A record of a relay came from a client");
    }
  }

  /** A session without a control stream is no client. */
  #endControl(peer: RelayPeer, control: ControlStream, code: ErrorCode, now: Instant): void {
    if (peer.control !== control) return;
    peer.control = undefined;
    this.#paused.delete(peer);
    this.#drain?.waiting.delete(control);
    this.#clients.board.unwatch(control);
    this.#clients.unregister(peer, code, now);
    this.node.reset(peer.session, control.stream, streamCodeOf(code), now);
    this.node.stop(peer.session, control.stream, streamCodeOf(code), now);
  }

  #finishDrain(now: Instant): void {
    this.node.close("going_away", "", now);
    this.#drain = { earliestAt: NEVER, closeAt: NEVER, waiting: new Set() };
    this.#drainNode(now);
  }

  #unixMsOf(now: Instant): number {
    return Math.round(now + this.#unixMsOffset);
  }

  #whereIs(session: SessionId): { readonly remote: string; readonly group: string } {
    const paths = this.node.session(session)?.stats().paths ?? [];
    // A client that reaches the relay through another one has no address that counts.
    const remote = (paths.find((path) => path.state === "active") ?? paths[0])?.remote ?? "";
    return { remote, group: addressGroup(hostOfRemote(remote)) };
  }
}
