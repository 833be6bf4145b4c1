/**
 * Ways to other nodes over relays: circuits opened for an attempt to connect or to bring a session back, and circuits
 * that others open to this node. Implements PROTOCOL §10.6 and §10.7 for the ends.
 *
 * The invariant to hold: a circuit is a pipe like any other, trusted with nothing: who is at its other end is known by
 * the handshake alone. Circuits come only from relays that this node registered with by itself.
 *
 * @module
 */

import type { StreamId } from "../connection/session_types.ts";
import type { NodeId } from "../crypto/identity.ts";
import { decodeNodeId, encodeNodeId, shortId } from "../crypto/identity.ts";
import type { ErrorCode } from "../error.ts";
import type { Instant } from "../machine.ts";
import { CircuitAttempts } from "./circuit_attempts.ts";
import { CircuitPipe } from "./circuit_pipe.ts";
import type { RelayedSession } from "./circuit_resume.ts";
import { RelayedSessions } from "./circuit_resume.ts";
import type { PipeId, PipeOutput, SessionId } from "./endpoint_types.ts";
import type {
  CircuitId,
  CircuitsExtension,
  CircuitTarget,
  ConnectCommandOptions,
  ExtensionEvent,
  NodeInternals,
  NodeStreamEvent,
} from "./node_types.ts";
import type { RelayClient, RelayClientListener } from "./relay_client.ts";
import {
  CIRCUIT_PROTOCOL,
  decodeCircuitMetadata,
  encodeCircuitMetadata,
  RELAY_PROTOCOL_VERSION,
} from "./relay_codec.ts";
import type { RelayLink } from "./relay_link.ts";
import { errorCodeOfStreamCode } from "./stream_code.ts";

/** Circuits that relays may open to this node, each. */
const INCOMING_MAX = 1024;
/** A circuit that was ended in order is given up when the other side does not end it too. */
const FINISH_TIMEOUT_MS = 5_000;

/** The circuits of a node. */
export class Circuits implements CircuitsExtension, RelayClientListener {
  readonly #internals: NodeInternals;
  readonly #relays: RelayClient;
  readonly #attempts: CircuitAttempts;
  readonly #relayed: RelayedSessions;
  readonly #byPipe = new Map<PipeId, CircuitPipe>();
  readonly #byStream = new Map<SessionId, Map<StreamId, CircuitPipe>>();
  /** Incoming circuits that carry no session yet. */
  readonly #unbound = new Set<CircuitPipe>();
  /** Circuits that this side ended, with the time at which they are given up. */
  readonly #finishing = new Map<CircuitPipe, Instant>();

  constructor(internals: NodeInternals, relays: RelayClient) {
    this.#internals = internals;
    this.#relays = relays;
    this.#attempts = new CircuitAttempts({
      internals,
      relays,
      openCircuit: (link, target, now) => this.#open(link, target, now),
      abandon: (pipe, now) => this.#end(pipe, "aborted", now),
      onConnected: (session) => this.#track(session),
    });
    this.#relayed = new RelayedSessions(internals.env, (relayed, now) => this.#tryResume(relayed, now));
    relays.listen(this);
    internals.claim(CIRCUIT_PROTOCOL, [RELAY_PROTOCOL_VERSION], { streamsPerPeerMax: INCOMING_MAX });
  }

  /** Circuits that are open or being opened. */
  get size(): number {
    return this.#byPipe.size;
  }

  get isBusy(): boolean {
    return this.#byStream.size > 0;
  }

  canReach(target: CircuitTarget): boolean {
    return this.#attempts.canReach(target);
  }

  connect(target: CircuitTarget, options: ConnectCommandOptions, now: Instant): CircuitId {
    return this.#attempts.connect(target, options, now);
  }

  cancel(circuit: CircuitId, now: Instant): void {
    this.#attempts.cancel(circuit, now);
  }

  isCircuitPipe(pipe: PipeId): boolean {
    return this.#byPipe.has(pipe);
  }

  handleOutput(output: PipeOutput, now: Instant): void {
    const pipe = this.#byPipe.get(output.pipe);
    if (pipe === undefined) return;
    switch (output.type) {
      case "send":
        pipe.send(output.bytes, now);
        return;
      case "close":
        this.#detach(pipe, now);
        this.#finishing.set(pipe, now + FINISH_TIMEOUT_MS);
        pipe.finish(now);
        return;
      case "destroy":
        this.#detach(pipe, now);
        this.#forgetStream(pipe);
        pipe.giveUp("closed", now);
        return;
      case "dial":
        return;
    }
  }

  handleNodeEvent(event: ExtensionEvent, now: Instant): boolean {
    switch (event.type) {
      case "connected":
      case "dialFailed":
        return this.#attempts.onDialEvent(event, now);
      case "session":
        if (event.event.type === "suspended") {
          if (this.#relayed.onSuspended(event.session, now)) this.#relays.hurry(now);
        } else if (event.event.type === "resumed") this.#endUnused(this.#relayed.onResumed(event.session), now);
        else if (event.event.type === "closed") {
          this.#endUnused(this.#relayed.onClosed(event.session), now);
          this.#onSessionClosed(event.session, event.event.code, now);
        }
        return false;
      case "sessionOpened":
      case "needsPath":
        return false;
      case "streamOpened":
        return this.#onStreamOpened(event, now);
      default: {
        if (!("stream" in event)) return false;
        const pipe = this.#byStream.get(event.session)?.get(event.stream);
        if (pipe === undefined) return false;
        this.#onStreamEvent(pipe, event, now);
        return true;
      }
    }
  }

  handleTimeout(now: Instant): void {
    for (const [pipe, at] of this.#finishing) {
      if (now < at) break;
      this.#forgetStream(pipe);
      pipe.giveUp("closed", now);
    }
    this.#attempts.handleTimeout(now);
    this.#relayed.handleTimeout(now);
  }

  pollTimeout(): Instant {
    let at = Math.min(this.#attempts.pollTimeout(), this.#relayed.pollTimeout());
    for (const finishAt of this.#finishing.values()) {
      at = Math.min(at, finishAt);
      break; // All wait equally long: the first is the earliest.
    }
    return at;
  }

  close(now: Instant): void {
    this.#attempts.close(now);
    this.#relayed.close();
  }

  // What the relays tell.

  onLinkChanged(link: RelayLink, now: Instant): void {
    if (this.#isUsable(link)) this.#relayed.onRelayUsable(now);
    this.#attempts.onLinkChanged(now);
  }

  isUsing(link: RelayLink): boolean {
    if (this.#attempts.size > 0 || this.#relayed.isAnySuspended) return true;
    for (const pipe of this.#byPipe.values()) if (pipe.link === link) return true;
    return false;
  }

  isUrgent(): boolean {
    return this.#relayed.isAnySuspended;
  }

  // Circuits of this node.

  /** Opens a circuit as a pipe of the endpoint; `undefined` when the relay takes no more now. */
  #open(
    link: RelayLink,
    target: { readonly id: NodeId } | { readonly name: string },
    now: Instant,
  ): CircuitPipe | undefined {
    const { session } = link;
    if (session === undefined || !this.#isUsable(link)) return undefined;
    const key = "id" in target ? decodeNodeId(target.id, this.#internals.env.crypto) : undefined;
    if ("id" in target && key === undefined) return undefined;
    const metadata = encodeCircuitMetadata(
      key === undefined ? { type: "targetName", name: (target as { name: string }).name } : { type: "targetId", key },
    );
    const protocol = { name: CIRCUIT_PROTOCOL, versions: [RELAY_PROTOCOL_VERSION] };
    const stream = this.#internals.openStream(session, { protocol, metadata }, now);
    return stream === undefined ? undefined : this.#attach({ link, session, stream, isDialled: true }, now);
  }

  /** Makes a stream a pipe of the endpoint. */
  #attach(
    options: {
      readonly link: RelayLink;
      readonly session: SessionId;
      readonly stream: StreamId;
      readonly isDialled: boolean;
    },
    now: Instant,
  ): CircuitPipe {
    const { link, session, stream, isDialled } = options;
    const { endpoint } = this.#internals;
    const pipe = new CircuitPipe({ internals: this.#internals, link, pipe: endpoint.allocatePipe(), session, stream });
    this.#byPipe.set(pipe.pipe, pipe);
    const streams = this.#byStream.get(session) ?? new Map<StreamId, CircuitPipe>();
    this.#byStream.set(session, streams.set(stream, pipe));
    endpoint.handleInput(
      {
        type: "pipeOpened",
        pipe: pipe.pipe,
        kind: "relay",
        remote: `relay:${shortId(link.id ?? "")}`,
        remoteHost: undefined,
        isDialled,
      },
      now,
    );
    return pipe;
  }

  #tryResume(relayed: RelayedSession, now: Instant): CircuitPipe | undefined {
    const usable = [...this.#relays.links()].filter((link) => this.#isUsable(link));
    const link = usable[(relayed.tries - 1) % Math.max(1, usable.length)];
    const pipe = link === undefined ? undefined : this.#open(link, { id: relayed.remoteId }, now);
    if (pipe !== undefined) this.#internals.endpoint.attachOnPipe(relayed.session, pipe.pipe, now);
    return pipe;
  }

  /** A relay is of use while this node is registered with it and its session has a connection. */
  #isUsable(link: RelayLink): boolean {
    if (!link.isRegistered || link.session === undefined) return false;
    return this.#internals.endpoint.session(link.session)?.isActive === true;
  }

  /** A session runs over a relay: it is brought back over one, if need be. */
  #track(session: SessionId): void {
    const { endpoint } = this.#internals;
    const remoteId = endpoint.remoteIdOf(session);
    if (remoteId === undefined) return;
    this.#relayed.add({ session, remoteId, isInitiator: endpoint.isInitiatorOf(session) });
  }

  // Circuits of others.

  #onStreamOpened(event: Extract<NodeStreamEvent, { type: "streamOpened" }>, now: Instant): boolean {
    if (event.protocol !== `${CIRCUIT_PROTOCOL}/${RELAY_PROTOCOL_VERSION}` || event.isUnidirectional) return false;
    const link = this.#relays.linkOfSession(event.session);
    if (link === undefined) return false;
    const source = decodeCircuitMetadata(event.metadata);
    if (source?.type !== "source") return false;
    // Only a hint for people until the handshake has shown who it is.
    this.#relays.noteName(encodeNodeId(source.key, this.#internals.env.crypto), source.name);
    const { session, stream } = event;
    this.#unbound.add(this.#attach({ link, session, stream, isDialled: false }, now));
    return true;
  }

  // Events of streams and sessions.

  #onStreamEvent(pipe: CircuitPipe, event: NodeStreamEvent, now: Instant): void {
    switch (event.type) {
      case "readable":
        this.#read(pipe, now);
        return;
      case "writable":
        pipe.onWritable(now);
        return;
      case "streamRefused":
        this.#lose(pipe, event.code, now);
        return;
      case "stopped":
        this.#lose(pipe, errorCodeOfStreamCode(event.applicationCode) ?? "closed", now);
        pipe.giveUp("closed", now);
        return;
      case "streamClosed":
        this.#lose(pipe, "closed", now);
        return;
      default:
    }
  }

  #read(pipe: CircuitPipe, now: Instant): void {
    const { endpoint } = this.#internals;
    for (;;) {
      const result = this.#internals.read(pipe.session, pipe.stream);
      if (result === undefined) break;
      if (result.type === "data") {
        if (!pipe.isFinishing) endpoint.handleInput({ type: "pipeData", pipe: pipe.pipe, bytes: result.bytes }, now);
        continue;
      }
      const isReset = result.type === "reset";
      const code = isReset ? (errorCodeOfStreamCode(result.applicationCode) ?? "closed") : "closed";
      this.#lose(pipe, code, now);
      if (isReset) pipe.giveUp("closed", now);
      else if (!pipe.isFinishing) pipe.finish(now);
      return;
    }
    if (this.#unbound.size === 0 || !this.#unbound.has(pipe)) return;
    const session = endpoint.sessionOfPipe(pipe.pipe);
    if (session === undefined) return;
    this.#unbound.delete(pipe);
    this.#track(session);
  }

  /** The relay, or the node behind it, ended a circuit. */
  #lose(pipe: CircuitPipe, code: ErrorCode, now: Instant): void {
    this.#forgetStream(pipe);
    if (!this.#byPipe.delete(pipe.pipe)) return;
    this.#unbound.delete(pipe);
    // The reason is told before the endpoint can tell a vaguer one.
    this.#attempts.onPipeLost(pipe, code, now);
    this.#internals.endpoint.handleInput({ type: "pipeClosed", pipe: pipe.pipe }, now);
    this.#relayed.onPipeGone(pipe, now);
  }

  #onSessionClosed(session: SessionId, code: ErrorCode, now: Instant): void {
    const streams = this.#byStream.get(session);
    if (streams === undefined) return;
    for (const pipe of [...streams.values()]) this.#lose(pipe, code === "going_away" ? code : "no_relay", now);
    this.#byStream.delete(session);
  }

  /** The endpoint is done with a pipe. */
  #detach(pipe: CircuitPipe, now: Instant): void {
    this.#byPipe.delete(pipe.pipe);
    this.#unbound.delete(pipe);
    this.#relayed.onPipeGone(pipe, now);
  }

  /** Ends a circuit that nobody here needs. */
  #end(pipe: CircuitPipe, code: ErrorCode, now: Instant): void {
    if (!this.#byPipe.has(pipe.pipe)) return;
    this.#lose(pipe, code, now);
    pipe.giveUp("closed", now);
  }

  /** The circuit of a try that was overtaken: it is of use only if it became a path. */
  #endUnused(pipe: CircuitPipe | undefined, now: Instant): void {
    if (pipe === undefined || !this.#byPipe.has(pipe.pipe)) return;
    const session = this.#internals.endpoint.sessionOfPipe(pipe.pipe);
    if (session === undefined || this.#internals.endpoint.session(session)?.isClosed !== false) {
      this.#end(pipe, "closed", now);
    }
  }

  #forgetStream(pipe: CircuitPipe): void {
    this.#finishing.delete(pipe);
    const streams = this.#byStream.get(pipe.session);
    if (streams?.get(pipe.stream) !== pipe) return;
    streams.delete(pipe.stream);
    if (streams.size === 0) this.#byStream.delete(pipe.session);
  }
}
