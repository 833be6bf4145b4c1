/**
 * The circuits of a relay: which may be opened, the events of their streams, and what is waiting to go on.
 * Implements PROTOCOL §10.6.
 *
 * The invariant to hold: whoever is not here and whoever does not want the circuit look alike to the one who asks; a
 * circuit that ends takes both its streams with it.
 *
 * @module
 */

import type { StreamId } from "../connection/session_types.ts";
import { encodeNodeId } from "../crypto/identity.ts";
import type { ErrorCode } from "../error.ts";
import { ERRORS } from "../error.ts";
import type { Environment, Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { NodeMachine } from "../node/node.ts";
import type { NodeStreamEvent } from "../node/node_types.ts";
import {
  CIRCUIT_PROTOCOL,
  decodeCircuitMetadata,
  encodeCircuitMetadata,
  RELAY_PROTOCOL_VERSION,
} from "../node/relay_codec.ts";
import { errorCodeOfStreamCode, streamCodeOf } from "../node/stream_code.ts";
import { LOOPBACK_GROUP } from "./address_group.ts";
import type { Copying } from "./circuit.ts";
import { Circuit } from "./circuit.ts";
import { mayAskFor, mayOpenTo } from "./client_pass.ts";
import type { Clients, RelayClient, RelayPeer } from "./clients.ts";
import type { CircuitRefusal, RelayConfig, RelayServerEvent } from "./relay_types.ts";
import { TokenBucket } from "./token_bucket.ts";

const MINUTE_MS = 60_000;
/** A client that goes on after this many circuits were refused for coming too fast is cut off. */
const FLOODS_MAX = 1_000;

/** What the table needs around it. */
export interface CircuitsHost {
  readonly config: RelayConfig;
  readonly env: Environment;
  readonly node: NodeMachine;
  readonly clients: Clients;
  readonly emit: (event: RelayServerEvent) => void;
  readonly closeSession: (peer: RelayPeer, code: ErrorCode, reason: string, now: Instant) => void;
}

/** All circuits. */
export class CircuitTable {
  readonly #host: CircuitsHost;
  readonly #shared: TokenBucket;
  readonly #circuits = new Set<Circuit>();
  readonly #perAddress = new Map<string, number>();
  /** Directions that wait: for their quota, and for a receiver. */
  readonly #throttled = new Set<Copying>();
  readonly #blocked = new Set<Copying>();
  /** No later than the first of them must be looked at. */
  #wakeAt: Instant = NEVER;
  readonly #drops = new Map<ErrorCode, number>();
  #opened = 0;
  #bytesOfClosed = 0;

  constructor(host: CircuitsHost, now: Instant) {
    this.#host = host;
    const { bytesPerSecond, burstBytes } = host.config;
    this.#shared = new TokenBucket({ perSecond: bytesPerSecond, burst: Math.max(burstBytes, 1) }, now);
  }

  get size(): number {
    return this.#circuits.size;
  }

  get opened(): number {
    return this.#opened;
  }

  /** Circuits refused, and closed by the relay, by code. */
  get drops(): Partial<Record<ErrorCode, number>> {
    return Object.fromEntries(this.#drops);
  }

  get bytesForwarded(): number {
    let bytes = this.#bytesOfClosed;
    for (const circuit of this.#circuits) bytes += circuit.forward.bytes + circuit.backward.bytes;
    return bytes;
  }

  [Symbol.iterator](): IterableIterator<Circuit> {
    return this.#circuits.values();
  }

  /** A client opened a circuit's stream. */
  open(peer: RelayPeer, stream: StreamId, metadata: Uint8Array, isDraining: boolean, now: Instant): void {
    const target = this.#targetOf(peer, metadata, isDraining, now);
    if (typeof target === "string") {
      this.#count(target);
      this.#giveUp(peer, stream, target, now);
      return;
    }
    const source = peer.client as RelayClient;
    const { node, config } = this.#host;
    const far = node.openStream(
      target.peer.session,
      {
        protocol: { name: CIRCUIT_PROTOCOL, versions: [RELAY_PROTOCOL_VERSION] },
        metadata: encodeCircuitMetadata({ type: "source", key: source.key, name: source.name }),
      },
      now,
    );
    if (far === undefined) {
      this.#count("limit");
      this.#giveUp(peer, stream, "limit", now);
      return;
    }
    const isCounted = source.group !== LOOPBACK_GROUP && config.circuitsPerAddressMax > 0;
    const circuit = new Circuit(
      {
        addressGroup: isCounted ? source.group : undefined,
        number: ++this.#opened,
        source: { client: source, session: peer.session, stream },
        target: { client: target, session: target.peer.session, stream: far },
        shared: this.#shared,
      },
      now,
    );
    this.#circuits.add(circuit);
    peer.ends.set(stream, circuit);
    target.peer.ends.set(far, circuit);
    source.opened.add(circuit);
    target.incoming.add(circuit);
    if (isCounted) add(this.#perAddress, source.group, 1);
    this.#host.emit({ type: "circuitOpened", circuit: circuit.number, source: source.id, target: target.id });
  }

  // Events of the streams.

  onStreamEvent(circuit: Circuit, peer: RelayPeer, event: NodeStreamEvent, now: Instant): void {
    const { stream } = event;
    switch (event.type) {
      case "readable":
        this.#run(circuit.copyingFrom(peer.session, stream), now);
        return;
      case "writable":
        this.#run(circuit.copyingTo(peer.session, stream), now);
        return;
      case "stopped":
        this.#close(circuit, errorCodeOfStreamCode(event.applicationCode) ?? "closed", now);
        return;
      case "streamRefused":
        // THREATS t-F8: whoever does not want it is not here. Whoever took it and gave it up is another matter.
        this.#close(circuit, event.code === "closed" ? "closed" : "not_here", now);
        return;
      case "streamClosed":
        peer.ends.delete(stream);
        if (circuit.forward.isEnded && circuit.backward.isEnded) this.#forget(circuit, "closed", now);
        else this.#close(circuit, "closed", now);
        return;
      default:
    }
  }

  /** A client is no longer one. */
  closeOf(client: RelayClient, code: ErrorCode, now: Instant): void {
    for (const circuit of [...client.opened, ...client.incoming]) this.#close(circuit, code, now);
  }

  /** The session of a client is back: who waited for it has waited for its connection, not for it. */
  onResumed(client: RelayClient, now: Instant): void {
    for (const copying of this.#blocked) if (copying.to.client === client) copying.blockedAt = now;
  }

  handleTimeout(now: Instant): void {
    if (now < this.#wakeAt) return;
    this.#wakeAt = NEVER;
    for (const copying of [...this.#throttled]) {
      if (now >= copying.resumeAt) this.#run(copying, now);
      else this.#wakeBy(copying.resumeAt);
    }
    const { stallTimeoutMs } = this.#host.config;
    for (const copying of [...this.#blocked]) {
      if (copying.to.client.peer.isSuspended) copying.blockedAt = now;
      if (now >= copying.blockedAt + stallTimeoutMs) this.#closeStalled(copying.circuit, now);
      else this.#wakeBy(copying.blockedAt + stallTimeoutMs);
    }
  }

  pollTimeout(): Instant {
    return this.#wakeAt;
  }

  /** Whom a circuit is for, or why there is none. */
  #targetOf(peer: RelayPeer, metadata: Uint8Array, isDraining: boolean, now: Instant): RelayClient | CircuitRefusal {
    const { client: source } = peer;
    const { config, clients, env } = this.#host;
    if (isDraining) return "going_away";
    if (source === undefined) return "refused";
    if (!source.opens.tryTakeOne(now)) {
      if (++peer.floods > FLOODS_MAX) this.#host.closeSession(peer, "limit", "Too many circuits were opened", now);
      return "quota";
    }
    const wanted = decodeCircuitMetadata(metadata);
    if (wanted === undefined || wanted.type === "source") return "protocol_violation";
    // THREATS t-F8: who asks for many that are not here learns no more until later.
    if (!source.failures.canTake(now)) return "quota";
    if (this.#circuits.size >= config.circuitsMax) return "relay_full";
    const isExempt = source.group === LOOPBACK_GROUP || config.circuitsPerAddressMax === 0;
    if (!isExempt && (this.#perAddress.get(source.group) ?? 0) >= config.circuitsPerAddressMax) return "quota";
    if (source.opened.size >= source.limits.circuitsMax) return "quota";
    // Who may not ask for a name is told so before it is looked up: the answer says nothing of who is here.
    if (wanted.type === "targetName" && !mayAskFor(source.pass, wanted.name)) return "refused";
    const target = clients.find(wanted.type === "targetId" ? { id: encodeNodeId(wanted.key, env.crypto) } : wanted);
    if (target === undefined || !this.#mayReach(source, target)) {
      source.failures.take(1, now);
      return "not_here";
    }
    return target;
  }

  /** Nobody can use up what others may open to a client, nor is it told whose fault it is. */
  #mayReach(source: RelayClient, target: RelayClient): boolean {
    if (!mayOpenTo(source.pass, target)) return false;
    if (target.incoming.size >= target.limits.incomingCircuitsMax) return false;
    let same = 0;
    for (const circuit of source.opened) if (circuit.target.client === target) same++;
    return same < this.#host.config.circuitsPerPairMax;
  }

  #run(copying: Copying, now: Instant): void {
    const { circuit } = copying;
    if (circuit.isClosed) return;
    if (this.#throttled.size > 0) this.#throttled.delete(copying);
    const before = copying.bytes;
    const outcome = copying.run(this.#host.node, now);
    copying.from.client.bytesForwarded += copying.bytes - before;
    if (outcome === "blocked") {
      this.#blocked.add(copying);
      this.#wakeBy(copying.blockedAt + this.#host.config.stallTimeoutMs);
      return;
    }
    if (this.#blocked.size > 0) this.#blocked.delete(copying);
    if (outcome === "throttled") {
      this.#throttled.add(copying);
      this.#wakeBy(copying.resumeAt);
      this.#notice(copying.from.client, now);
    } else if (outcome === "reset") this.#close(circuit, "closed", now);
  }

  /** Tells a client once in a while that it sends faster than it may. */
  #notice(client: RelayClient, now: Instant): void {
    if (now - client.noticedAt < MINUTE_MS) return;
    client.noticedAt = now;
    this.#host.clients.tell(client.peer, { type: "notice", wireCode: ERRORS.quota.wire }, now);
  }

  #closeStalled(circuit: Circuit, now: Instant): void {
    this.#count("timeout");
    this.#close(circuit, "timeout", now);
  }

  /** Ends a circuit that did not end by itself: both streams are given up. */
  #close(circuit: Circuit, code: ErrorCode, now: Instant): void {
    if (circuit.isClosed) return;
    this.#forget(circuit, code, now);
    for (const { client, stream } of [circuit.source, circuit.target]) {
      client.peer.ends.delete(stream);
      this.#giveUp(client.peer, stream, code, now);
    }
  }

  #forget(circuit: Circuit, code: ErrorCode, now: Instant): void {
    if (circuit.isClosed) return;
    circuit.isClosed = true;
    this.#circuits.delete(circuit);
    const { source, target, forward, backward } = circuit;
    source.client.opened.delete(circuit);
    target.client.incoming.delete(circuit);
    for (const copying of [forward, backward]) {
      this.#throttled.delete(copying);
      this.#blocked.delete(copying);
    }
    if (circuit.addressGroup !== undefined) add(this.#perAddress, circuit.addressGroup, -1);
    this.#bytesOfClosed += forward.bytes + backward.bytes;
    this.#host.emit({
      type: "circuitClosed",
      circuit: circuit.number,
      source: source.client.id,
      target: target.client.id,
      code,
      bytesForward: forward.bytes,
      bytesBackward: backward.bytes,
      durationMs: now - circuit.openedAt,
    });
  }

  #giveUp(peer: RelayPeer, stream: StreamId, code: ErrorCode, now: Instant): void {
    const { node } = this.#host;
    node.reset(peer.session, stream, streamCodeOf(code), now);
    node.stop(peer.session, stream, streamCodeOf(code), now);
  }

  #wakeBy(at: Instant): void {
    if (at < this.#wakeAt) this.#wakeAt = at;
  }

  #count(code: ErrorCode): void {
    this.#drops.set(code, (this.#drops.get(code) ?? 0) + 1);
  }
}

function add(counts: Map<string, number>, key: string, change: number): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
