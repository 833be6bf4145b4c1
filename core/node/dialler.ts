/**
 * The dials of an endpoint: from a command to one `connected` or `dialFailed`. PROTOCOL §3.8.
 *
 * The invariant to hold: a dial ends with exactly one event unless it is cancelled, and leaves no pipe behind but that
 * of its session.
 *
 * @module
 */

import type { EventQueue } from "../connection/event_queue.ts";
import type { DhKeys } from "../crypto/dh_keys.ts";
import type { NodeId } from "../crypto/identity.ts";
import { decodeNodeId } from "../crypto/identity.ts";
import type { ErrorCode } from "../error.ts";
import type { Environment, Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import { Dial } from "./dial.ts";
import type {
  DialEarly,
  DialId,
  DialOptions,
  DialTarget,
  EndpointConfig,
  EndpointEvent,
  PipeId,
} from "./endpoint_types.ts";
import { INIT_MESSAGE_BYTES_MAX } from "./handshake_payload.ts";
import type { Handshakes } from "./handshakes.ts";
import type { PipeState, PipeTable } from "./pipe_table.ts";
import type { SessionEntry } from "./session_entry.ts";
import type { SessionTable } from "./session_table.ts";
import { TimerHeap } from "./timer_heap.ts";

/** What the dials need around them. */
export interface DiallerOptions {
  readonly config: EndpointConfig;
  readonly env: Environment;
  readonly pipes: PipeTable;
  readonly sessions: SessionTable;
  readonly handshakes: Handshakes;
  readonly banned: ReadonlySet<NodeId>;
  readonly events: EventQueue<EndpointEvent>;
  readonly dhKeys: DhKeys;
}

/** All dials of an endpoint. */
export class Dialler {
  readonly #config: EndpointConfig;
  readonly #env: Environment;
  readonly #dhKeys: DhKeys;
  readonly #pipes: PipeTable;
  readonly #sessions: SessionTable;
  readonly #handshakes: Handshakes;
  readonly #banned: ReadonlySet<NodeId>;
  readonly #events: EventQueue<EndpointEvent>;
  readonly #dials = new Map<DialId, Dial>();
  readonly #byPipe = new Map<PipeId, Dial>();
  /** Dials of one node, those that show no key left out. */
  readonly #byRemoteId = new Map<NodeId, Set<Dial>>();
  /** Dials that wait for a session to get a path back. */
  readonly #waiting = new Set<Dial>();
  readonly #timers = new TimerHeap();
  #nextId: DialId = 1;
  #isClosed = false;

  constructor(options: DiallerOptions) {
    this.#config = options.config;
    this.#env = options.env;
    this.#dhKeys = options.dhKeys;
    this.#pipes = options.pipes;
    this.#sessions = options.sessions;
    this.#handshakes = options.handshakes;
    this.#banned = options.banned;
    this.#events = options.events;
  }

  get size(): number {
    return this.#dials.size;
  }

  // Commands.

  /** Dials the addresses of a node. */
  dial(target: DialTarget, options: DialOptions, now: Instant): DialId {
    const dial = this.#begin(target, options, now);
    if (typeof dial === "number") return dial;
    const existing = this.#existing(dial);
    if (existing !== undefined) this.settle(dial, existing, now);
    this.#advance(dial, now);
    return dial.id;
  }

  /** Dials over a pipe that is open already. */
  dialOnPipe(pipe: PipeState | undefined, id: NodeId | undefined, options: DialOptions, now: Instant): DialId {
    const target = { addresses: [], ...(id === undefined ? {} : { id }) };
    const dial = this.#begin(target, options, now);
    if (typeof dial === "number") {
      if (pipe !== undefined) this.#pipes.drop(pipe.id, "destroy");
      return dial;
    }
    if (pipe === undefined || pipe.binding !== undefined || pipe.pending !== undefined) {
      this.#fail(dial, "dial_failed");
      return dial.id;
    }
    const existing = this.#existing(dial);
    if (existing !== undefined) {
      // One more path for it, whether it has others or waits for one.
      if (!this.#sessions.attach(existing, pipe, now)) this.#pipes.drop(pipe.id, "destroy");
      this.settle(dial, existing, now);
    } else {
      dial.pipes.set(pipe.id, pipe.facts.remote);
      this.#byPipe.set(pipe.id, dial);
      this.#handshakes.begin(pipe, dial, now);
    }
    this.#advance(dial, now);
    return dial.id;
  }

  /** Gives a dial up; nothing follows. */
  cancel(id: DialId): void {
    const dial = this.#dials.get(id);
    if (dial !== undefined) this.#end(dial);
  }

  /** Fails every dial, and those that come. */
  close(code: ErrorCode): void {
    this.#isClosed = true;
    for (const dial of [...this.#dials.values()]) this.#fail(dial, code);
  }

  // What happened outside.

  /** The dial that a pipe was dialled for. */
  ofPipe(pipe: PipeId): Dial | undefined {
    return this.#byPipe.get(pipe);
  }

  /** A pipe of a dial came to nothing; it is gone already. */
  onPipeLost(pipe: PipeId, code: ErrorCode, detail: string, now: Instant): void {
    const dial = this.#byPipe.get(pipe);
    if (dial === undefined) return;
    this.#byPipe.delete(pipe);
    dial.onFailure(pipe, code, detail, now);
    this.#advance(dial, now);
  }

  /** A session with the node of a dial is there: the dial is over, or waits until the session has a path again. */
  settle(dial: Dial, entry: SessionEntry, now: Instant): void {
    if (!this.#dials.has(dial.id)) return;
    if (entry.session.isActive) {
      this.#end(dial);
      this.#events.push({ type: "connected", dial: dial.id, session: entry.id });
      return;
    }
    this.#releasePipes(dial);
    dial.waitsFor = entry;
    this.#waiting.add(dial);
    this.#timers.set(dial.id, dial.pollTimeout());
    this.#sessions.resumer.hurry(entry, dial.addresses, now);
    this.#sessions.markDirty(entry);
  }

  /** A session came up, or has a path again: whoever dials its node is there. */
  onSession(entry: SessionEntry, winner: Dial | undefined, now: Instant): void {
    if (winner !== undefined) this.settle(winner, entry, now);
    if (entry.remoteId === undefined || entry.isAnonymous) return;
    for (const dial of [...(this.#byRemoteId.get(entry.remoteId) ?? [])]) this.settle(dial, entry, now);
    for (const dial of [...this.#waiting]) if (dial.waitsFor === entry) this.settle(dial, entry, now);
  }

  /** A handshake turned out to be with a node that there is a session with. */
  onSuperseded(pipe: PipeId, entry: SessionEntry, now: Instant): void {
    const dial = this.#byPipe.get(pipe);
    if (dial === undefined) return;
    this.#byPipe.delete(pipe);
    dial.pipes.delete(pipe);
    this.settle(dial, entry, now);
  }

  /** A session is over: who waited for it dials anew. */
  onSessionClosed(entry: SessionEntry, now: Instant): void {
    for (const dial of [...this.#waiting]) {
      if (dial.waitsFor !== entry) continue;
      dial.waitsFor = undefined;
      this.#waiting.delete(dial);
      // The pipe that was brought for it went with the session.
      if (dial.addresses.length === 0) this.#fail(dial, "session_lost");
      else this.#advance(dial, now);
    }
  }

  handleTimeout(now: Instant): void {
    for (;;) {
      const id = this.#timers.takeDue(now);
      if (id === undefined) return;
      const dial = this.#dials.get(id);
      if (dial === undefined) continue;
      if (now >= dial.deadline) this.#fail(dial, "timeout");
      else this.#advance(dial, now);
    }
  }

  pollTimeout(): Instant {
    return this.#timers.earliest;
  }

  /** Makes a dial, or fails it at once and returns its number. */
  #begin(target: DialTarget, options: DialOptions, now: Instant): Dial | DialId {
    const id = this.#nextId++;
    const remoteKey = target.id === undefined ? undefined : decodeNodeId(target.id, this.#env.crypto);
    const refusal = this.#refusalOf(target, remoteKey, options);
    if (refusal !== undefined) {
      this.#events.push({ type: "dialFailed", dial: id, code: refusal[0], detail: refusal[1] });
      return id;
    }
    const { limits } = this.#config;
    const dial = new Dial(
      {
        id,
        remoteId: target.id?.toLowerCase(),
        remoteKey,
        isAnonymous: options.isAnonymous ?? false,
        initMessage: options.initMessage?.slice(),
        early: this.#earlyOf(options),
        addresses: [...new Set(target.addresses)].slice(0, limits.addressesMax),
        timeoutMs: options.timeoutMs ?? limits.dialTimeoutMs,
      },
      now,
    );
    this.#dials.set(id, dial);
    if (dial.remoteId !== undefined && !dial.isAnonymous) {
      const others = this.#byRemoteId.get(dial.remoteId);
      if (others === undefined) this.#byRemoteId.set(dial.remoteId, new Set([dial]));
      else others.add(dial);
    }
    return dial;
  }

  #refusalOf(
    target: DialTarget,
    remoteKey: Uint8Array | undefined,
    options: DialOptions,
  ): [ErrorCode, string] | undefined {
    const { limits } = this.#config;
    const { id } = target;
    if (this.#isClosed) return ["closed", ""];
    if (id !== undefined && (remoteKey === undefined || this.#dhKeys.of(remoteKey) === undefined))
      return ["id_invalid", ""];
    if (options.isAnonymous === true && id === undefined) return ["id_invalid", "An anonymous dial needs an id"];
    if ((options.initMessage?.length ?? 0) > INIT_MESSAGE_BYTES_MAX) return ["message_too_large", "The init message"];
    if (id !== undefined && this.#banned.has(id.toLowerCase())) return ["banned", ""];
    if (this.#dials.size >= limits.dialsMax) return ["limit", "Too many dials are under way"];
    if (this.#sessions.size >= limits.sessionsMax) return ["limit", "Too many sessions are open"];
    return undefined;
  }

  /** Early data is written at once: what is larger than the buffer of a stream is the caller's to write. */
  #earlyOf({ early }: DialOptions): DialEarly | undefined {
    if (early === undefined || early.bytes.length > this.#config.session.sendBufferBytes) return undefined;
    return { ...early, bytes: early.bytes.slice() };
  }

  /** The session that makes one more with the node needless. */
  #existing(dial: Dial): SessionEntry | undefined {
    const entry = dial.remoteId === undefined || dial.isAnonymous ? undefined : this.#sessions.ofNode(dial.remoteId);
    return entry === undefined || entry.session.isClosed ? undefined : entry;
  }

  /** Tries what is due, or fails a dial that has nothing left to try. */
  #advance(dial: Dial, now: Instant): void {
    if (!this.#dials.has(dial.id)) return;
    for (;;) {
      const address = dial.takeAddress(now);
      if (address === undefined) break;
      const pipe = this.#pipes.dial(address);
      dial.pipes.set(pipe, address);
      this.#byPipe.set(pipe, dial);
    }
    if (dial.isExhausted(now)) this.#fail(dial);
    else this.#timers.set(dial.id, dial.pollTimeout());
  }

  #fail(dial: Dial, code?: ErrorCode): void {
    this.#end(dial);
    this.#events.push({ type: "dialFailed", dial: dial.id, ...dial.failure(code) });
  }

  #end(dial: Dial): void {
    this.#dials.delete(dial.id);
    this.#waiting.delete(dial);
    this.#timers.set(dial.id, NEVER);
    if (dial.remoteId !== undefined) {
      const others = this.#byRemoteId.get(dial.remoteId);
      others?.delete(dial);
      if (others?.size === 0) this.#byRemoteId.delete(dial.remoteId);
    }
    this.#releasePipes(dial);
  }

  /** Gives up the pipes that did not become a path of a session. */
  #releasePipes(dial: Dial): void {
    for (const id of dial.pipes.keys()) {
      this.#byPipe.delete(id);
      const pipe = this.#pipes.get(id);
      if (pipe?.binding !== undefined) continue;
      if (pipe !== undefined) this.#handshakes.abandon(pipe);
      this.#pipes.drop(id, "destroy");
    }
    dial.pipes.clear();
  }
}
