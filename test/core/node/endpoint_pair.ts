/**
 * Endpoints wired back to back in memory: every byte can be seen, cut, changed or held back by the test. For delays,
 * partitions and random splits use the simulated network of `endpoint_world.ts`.
 *
 * @module
 */

import { DEFAULT_SESSION_CONFIG } from "../../../core/connection/session_defaults.ts";
import type { PathKind, SessionConfig, SessionEvent } from "../../../core/connection/session_types.ts";
import type { Identity } from "../../../core/crypto/identity.ts";
import { identityFromSeed } from "../../../core/crypto/identity.ts";
import { nobleProvider } from "../../../core/crypto/noble_provider.ts";
import type { Environment } from "../../../core/machine.ts";
import { EarlyTickets } from "../../../core/node/early_tickets.ts";
import { Endpoint } from "../../../core/node/endpoint.ts";
import { DEFAULT_ENDPOINT_LIMITS } from "../../../core/node/endpoint_defaults.ts";
import type {
  DialOptions,
  EndpointEvent,
  EndpointLimits,
  EndpointOutput,
  PipeId,
} from "../../../core/node/endpoint_types.ts";
import { testEnvironment } from "../test_environment.ts";

/** One endpoint of the pair. Its name is its address. */
export interface Side {
  readonly name: string;
  readonly identity: Identity;
  endpoint: Endpoint;
  readonly events: EndpointEvent[];
  /** Everything it wanted done, in order. */
  readonly outputs: EndpointOutput[];
}

/** One end of a pipe. */
export interface PipeEnd {
  readonly side: Side;
  readonly id: PipeId;
}

/** A chunk under way. */
export interface Chunk {
  readonly pipe: MemoryPipe;
  readonly from: Side;
  readonly to: PipeEnd;
  bytes: Uint8Array;
}

/** A pipe between two sides. */
export interface MemoryPipe {
  readonly ends: readonly [PipeEnd, PipeEnd];
  readonly kind: PathKind;
  isOpen: boolean;
}

/** Options of a pair. */
export interface PairOptions {
  readonly seed?: number;
  readonly kind?: PathKind;
  readonly session?: Partial<SessionConfig>;
  readonly limits?: Partial<EndpointLimits>;
  readonly isAcceptManual?: boolean;
  /** Whether a stream that begins so may come early; nobody is given tickets without. */
  readonly admitsEarly?: (beginning: Uint8Array) => boolean;
}

const STEPS_MAX = 100_000;

/** Endpoints named `a` and `b`, and more if they are added. */
export class EndpointPair {
  readonly #options: PairOptions;
  readonly sides = new Map<string, Side>();
  readonly pipes: MemoryPipe[] = [];
  readonly queue: Chunk[] = [];
  readonly a: Side;
  readonly b: Side;
  now = 1_000;
  /** Changes what is delivered: the chunks to hand over instead; none to lose it. */
  onChunk: (chunk: Chunk) => Uint8Array[] = (chunk) => [chunk.bytes];
  /** The last argument of `pipeOpened` on the accepting side. */
  remoteHost = "192.0.2.1";
  #seeds: number;

  constructor(options: PairOptions = {}) {
    this.#options = options;
    this.#seeds = (options.seed ?? 1) * 1000;
    this.a = this.add("a", 1);
    this.b = this.add("b", 2);
  }

  /** Adds an endpoint whose key follows from a number. */
  add(name: string, key: number): Side {
    const identity = identityFromSeed(new Uint8Array(32).fill(key), nobleProvider);
    const side = { name, identity, endpoint: this.newEndpoint(identity), events: [], outputs: [] };
    this.sides.set(name, side);
    return side;
  }

  newEndpoint(identity: Identity): Endpoint {
    const { admitsEarly: admits } = this.#options;
    const early = admits && { makeTickets: (env: Environment) => new EarlyTickets(env), admits };
    const config = {
      early,
      identity,
      session: { ...DEFAULT_SESSION_CONFIG, ...this.#options.session },
      limits: { ...DEFAULT_ENDPOINT_LIMITS, ...this.#options.limits },
      isAcceptManual: this.#options.isAcceptManual ?? false,
    };
    return new Endpoint(config, testEnvironment(++this.#seeds), this.now);
  }

  /** Puts a fresh endpoint with the same key in place of one that died; its pipes die with it. */
  restart(side: Side): void {
    for (const pipe of this.pipes) if (pipe.ends.some((end) => end.side === side)) this.cut(pipe, side);
    side.endpoint = this.newEndpoint(side.identity);
  }

  /** Dials another side by name, by id or by address alone. */
  dial(from: Side, to: Side, options: DialOptions & { by?: "id" | "address"; addresses?: string[] } = {}): number {
    const { by = "id", addresses = [to.name], ...rest } = options;
    const target = by === "id" ? { id: to.identity.id, addresses } : { addresses };
    return from.endpoint.dial(target, rest, this.now);
  }

  /** Dials, settles, and returns the session on both sides. */
  connect(from: Side = this.a, to: Side = this.b, options: DialOptions & { by?: "id" | "address" } = {}) {
    const dial = this.dial(from, to, options);
    this.settle();
    const connected = eventsOf(from, "connected").find((event) => event.dial === dial);
    if (connected === undefined) {
      const failed = eventsOf(from, "dialFailed").find((event) => event.dial === dial);
      throw new Error(`Not connected: ${failed?.code} ${failed?.detail}`);
    }
    return { dial, session: connected.session, remote: eventsOf(to, "sessionOpened").at(-1)?.session as number };
  }

  /** Opens a pipe to a side from nobody: the test speaks for the other end. */
  open(side: Side, options: { remoteHost?: string | undefined; kind?: PathKind } = {}): PipeId {
    const pipe = side.endpoint.allocatePipe();
    const remoteHost = "remoteHost" in options ? options.remoteHost : this.remoteHost;
    const kind = options.kind ?? this.#options.kind ?? "bytes";
    const opened = { type: "pipeOpened", pipe, kind, remote: "nobody", remoteHost, isDialled: false } as const;
    side.endpoint.handleInput(opened, this.now);
    this.collect(side);
    return pipe;
  }

  /** Gives bytes to a side, and returns what it sent on that pipe in answer. */
  feed(side: Side, pipe: PipeId, bytes: Uint8Array): Uint8Array[] {
    const before = side.outputs.length;
    side.endpoint.handleInput({ type: "pipeData", pipe, bytes }, this.now);
    this.collect(side);
    return side.outputs
      .slice(before)
      .flatMap((output) => (output.type === "send" && output.pipe === pipe ? [output.bytes] : []));
  }

  /** The pipe that carries a session, newest first. */
  pipeOf(side: Side, session: number): MemoryPipe {
    const found = this.pipes.findLast((pipe) =>
      pipe.ends.some((end) => end.side === side && pipe.isOpen && side.endpoint.sessionOfPipe(end.id) === session),
    );
    if (found === undefined) throw new Error("The session has no pipe");
    return found;
  }

  /** Breaks a pipe: what is under way is lost, both ends are told (or all but one). */
  cut(pipe: MemoryPipe, exceptFor?: Side): void {
    if (!pipe.isOpen) return;
    pipe.isOpen = false;
    this.queue.splice(0, this.queue.length, ...this.queue.filter((chunk) => chunk.pipe !== pipe));
    for (const { side, id } of pipe.ends) {
      if (side === exceptFor) continue;
      side.endpoint.handleInput({ type: "pipeClosed", pipe: id }, this.now);
      this.collect(side);
    }
  }

  /** Takes what a side wants done, and its events. Returns whether there was anything. */
  collect(side: Side): boolean {
    let hasMoved = false;
    for (let step = 0; ; step++) {
      if (step > STEPS_MAX) throw new Error("An endpoint never stops sending");
      const output = side.endpoint.pollTransmit(this.now);
      if (output === undefined) break;
      hasMoved = true;
      side.outputs.push(output);
      this.#carryOut(side, output);
    }
    for (;;) {
      const event = side.endpoint.pollEvent();
      if (event === undefined) return hasMoved;
      hasMoved = true;
      side.events.push(event);
    }
  }

  /** Hands over the chunk that has waited longest. */
  deliver(): boolean {
    const chunk = this.queue.shift();
    if (chunk === undefined) return false;
    for (const bytes of this.onChunk(chunk)) {
      if (!chunk.pipe.isOpen) return true;
      const lent = bytes.slice();
      chunk.to.side.endpoint.handleInput({ type: "pipeData", pipe: chunk.to.id, bytes: lent }, this.now);
      lent.fill(0xee); // Lent bytes must not be kept.
      this.collect(chunk.to.side);
    }
    return true;
  }

  /** Lets everybody talk until nobody has anything to say. */
  settle(): void {
    for (let step = 0; step < STEPS_MAX; step++) {
      let hasMoved = false;
      for (const side of this.sides.values()) hasMoved = this.collect(side) || hasMoved;
      if (!this.deliver() && !hasMoved) return;
    }
    throw new Error("The endpoints never come to rest");
  }

  /** Moves time on, firing timers as they come due, and settles after each. */
  advance(ms: number): void {
    const until = this.now + ms;
    this.settle();
    for (let step = 0; ; step++) {
      if (step > STEPS_MAX) throw new Error("A deadline stays in the past: a driver would spin");
      const at = Math.min(...[...this.sides.values()].map((side) => side.endpoint.pollTimeout()));
      if (at > until) break;
      this.now = Math.max(this.now, at);
      for (const side of this.sides.values()) side.endpoint.handleTimeout(this.now);
      this.settle();
    }
    this.now = until;
  }

  #carryOut(side: Side, output: EndpointOutput): void {
    if ("flow" in output) return; // Only byte pipes and message pipes here.
    if (output.type === "dial") {
      this.#dial(side, output.pipe, output.address);
      return;
    }
    const pipe = this.pipes.find(
      (one) => one.isOpen && one.ends.some((end) => end.side === side && end.id === output.pipe),
    );
    if (pipe === undefined) return;
    const other = pipe.ends[0].side === side && pipe.ends[0].id === output.pipe ? pipe.ends[1] : pipe.ends[0];
    if (output.type === "send") {
      this.queue.push({ pipe, from: side, to: other, bytes: output.bytes });
      return;
    }
    // What was sent before is delivered before the other side learns of the end.
    if (output.type === "close") while (this.queue.some((chunk) => chunk.pipe === pipe)) this.deliver();
    if (!pipe.isOpen) return;
    pipe.isOpen = false;
    other.side.endpoint.handleInput({ type: "pipeClosed", pipe: other.id }, this.now);
    this.collect(other.side);
  }

  /** Addresses: the name of a side, `void` that never answers, anything else is refused. */
  #dial(side: Side, id: PipeId, address: string): void {
    if (address === "void") return;
    const target = this.sides.get(address);
    if (target === undefined) {
      const detail = "Connection refused";
      side.endpoint.handleInput({ type: "pipeFailed", pipe: id, code: "dial_failed", detail }, this.now);
      return;
    }
    const kind = this.#options.kind ?? "bytes";
    const accepted = { side: target, id: target.endpoint.allocatePipe() };
    const pipe: MemoryPipe = { ends: [{ side, id }, accepted], kind, isOpen: true };
    this.pipes.push(pipe);
    const { remoteHost } = this;
    const opened = { type: "pipeOpened", kind, remoteHost } as const;
    target.endpoint.handleInput({ ...opened, pipe: accepted.id, remote: side.name, isDialled: false }, this.now);
    side.endpoint.handleInput({ ...opened, pipe: id, remote: address, isDialled: true }, this.now);
  }
}

/** Events of one type that a side saw. */
export function eventsOf<Type extends EndpointEvent["type"]>(
  side: Side,
  type: Type,
): Extract<EndpointEvent, { type: Type }>[] {
  return side.events.filter((event): event is Extract<EndpointEvent, { type: Type }> => event.type === type);
}

/** Events of one type that the sessions of a side told. */
export function sessionEventsOf<Type extends SessionEvent["type"]>(
  side: Side,
  type: Type,
): Extract<SessionEvent, { type: Type }>[] {
  return eventsOf(side, "session")
    .map((event) => event.event)
    .filter((event): event is Extract<SessionEvent, { type: Type }> => event.type === type);
}

/** Everything that can be read from a stream now. */
export function readAll(side: Side, session: number, stream: number): { bytes: number[]; isEnd: boolean } {
  const bytes: number[] = [];
  for (;;) {
    const result = side.endpoint.read(session, stream);
    if (result === undefined) return { bytes, isEnd: false };
    if (result.type !== "data") return { bytes, isEnd: result.type === "end" };
    bytes.push(...result.bytes);
  }
}

/** Nothing is left on a side but what is counted. */
export function isEmpty(side: Side): boolean {
  const { sessions, pipes, handshakes, dials } = side.endpoint.stats();
  return sessions + pipes + handshakes + dials === 0;
}
