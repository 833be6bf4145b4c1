/**
 * The pipes of an endpoint: what each is used for, until when it must have proved itself, and how many come from where.
 *
 * The invariant to hold: a pipe costs a decoder and a few numbers until the other side proved something. THREATS t-A5.
 *
 * @module
 */

import type { PathFacts, PathId, PathKind } from "../connection/session_types.ts";
import type { Environment, Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import { PackageDecoder } from "../wire/decoder.ts";
import type { Dial } from "./dial.ts";
import type { EndpointLimits, PipeId, SessionId } from "./endpoint_types.ts";
import type { Handshake } from "./handshake.ts";

/** A pipe and what it is used for. */
export interface PipeState {
  readonly id: PipeId;
  readonly kind: PathKind;
  readonly facts: PathFacts;
  readonly remoteHost: string | undefined;
  readonly isDialled: boolean;
  readonly decoder: PackageDecoder;
  /** Until when it must carry a session; `NEVER` once it does. */
  deadline: Instant;
  handshake: Handshake | undefined;
  /** The attempt that it was opened for. */
  dial: Dial | undefined;
  /** The session that it carries, and as which path. */
  session: SessionId | undefined;
  path: PathId | undefined;
  isWritable: boolean;
}

/** All pipes of an endpoint. */
export class PipeTable {
  readonly #limits: EndpointLimits;
  readonly #env: Environment;
  readonly #pipes = new Map<PipeId, PipeState>();
  /** Pipes that carry no session yet. */
  readonly #unproven = new Set<PipeState>();
  readonly #perHost = new Map<string, number>();
  #nextId: PipeId = 1;

  constructor(limits: EndpointLimits, env: Environment) {
    this.#limits = limits;
    this.#env = env;
  }

  get size(): number {
    return this.#pipes.size;
  }

  /** Pipes that others opened and that carry no session yet. */
  get unprovenCount(): number {
    return this.#unproven.size;
  }

  allocate(): PipeId {
    return this.#nextId++;
  }

  get(id: PipeId): PipeState | undefined {
    return this.#pipes.get(id);
  }

  /** Takes a new pipe in, or returns `undefined` when a limit is reached. */
  open(
    facts: { id: PipeId; kind: PathKind; remote: string; remoteHost: string | undefined; isDialled: boolean },
    now: Instant,
  ): PipeState | undefined {
    if (this.#pipes.size >= this.#limits.pipesMax || this.#pipes.has(facts.id)) return undefined;
    const { remoteHost } = facts;
    if (!facts.isDialled && remoteHost !== undefined && !isLoopback(remoteHost)) {
      const count = this.#perHost.get(prefixOf(remoteHost)) ?? 0;
      if (count >= this.#limits.pipesPerHostMax) return undefined;
    }
    const pipe: PipeState = {
      id: facts.id,
      kind: facts.kind,
      facts: { kind: facts.kind, remote: facts.remote },
      remoteHost,
      isDialled: facts.isDialled,
      decoder: new PackageDecoder(this.#env.checksum),
      deadline: now + this.#limits.handshakeTimeoutMs,
      handshake: undefined,
      dial: undefined,
      session: undefined,
      path: undefined,
      isWritable: true,
    };
    this.#pipes.set(pipe.id, pipe);
    this.#unproven.add(pipe);
    this.#count(pipe, 1);
    return pipe;
  }

  /** Whether one more handshake may begin that somebody else asked for. THREATS t-A5. */
  mayShakeHands(pipe: PipeState): boolean {
    let all = 0;
    let fromHost = 0;
    for (const other of this.#unproven) {
      if (other.isDialled || other.handshake === undefined) continue;
      all++;
      if (other.remoteHost === pipe.remoteHost) fromHost++;
    }
    const isExempt = pipe.remoteHost === undefined || isLoopback(pipe.remoteHost);
    return all < this.#limits.handshakesMax && (isExempt || fromHost < this.#limits.handshakesPerHostMax);
  }

  /** The pipe carries a session from here on. */
  prove(pipe: PipeState, session: SessionId, path: PathId): void {
    pipe.session = session;
    pipe.path = path;
    pipe.deadline = NEVER;
    pipe.handshake = undefined;
    this.#unproven.delete(pipe);
  }

  remove(pipe: PipeState): void {
    if (!this.#pipes.delete(pipe.id)) return;
    this.#unproven.delete(pipe);
    this.#count(pipe, -1);
  }

  /** The pipes that did not prove themselves in time. */
  takeOverdue(now: Instant): PipeState[] {
    return [...this.#unproven].filter((pipe) => pipe.deadline <= now);
  }

  pollTimeout(): Instant {
    let at = NEVER;
    for (const pipe of this.#unproven) at = Math.min(at, pipe.deadline);
    return at;
  }

  #count(pipe: PipeState, change: number): void {
    if (pipe.isDialled || pipe.remoteHost === undefined) return;
    const key = prefixOf(pipe.remoteHost);
    const count = (this.#perHost.get(key) ?? 0) + change;
    if (count > 0) this.#perHost.set(key, count);
    else this.#perHost.delete(key);
  }
}

/** Limits per address do not hold for the machine itself: every local program shares that address. */
export function isLoopback(host: string): boolean {
  return host === "::1" || host.startsWith("127.") || host.startsWith("::ffff:127.");
}

/** IPv4 addresses count one by one, IPv6 by /64, since a host has all of one. THREATS t-A5. */
function prefixOf(host: string): string {
  if (!host.includes(":")) return host;
  if (host.startsWith("::ffff:") && host.includes(".")) return host.slice(7);
  const [head = "", tail] = host.split("::");
  const groups = head === "" ? [] : head.split(":");
  if (tail !== undefined) {
    const after = tail === "" ? [] : tail.split(":");
    while (groups.length + after.length < 8) groups.push("0");
    groups.push(...after);
  }
  return groups.slice(0, 4).join(":");
}
