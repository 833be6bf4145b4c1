/**
 * The pipes of an endpoint: what each is used for, until when it must have proved itself, and what is done with it.
 *
 * The invariant to hold: a pipe costs a decoder and a few numbers until the other side proved something (THREATS
 * t-A5), and what is dropped here is forgotten: nothing about it is heard any more.
 *
 * @module
 */

import type { EventQueue } from "../connection/event_queue.ts";
import type { PathFacts, PathId, PathKind } from "../connection/session_types.ts";
import type { ErrorCode } from "../error.ts";
import { ERRORS } from "../error.ts";
import type { Bytes, Environment, Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import { PackageDecoder } from "../wire/decoder.ts";
import { decodePackage, encodeClearPackage } from "../wire/package.ts";
import type { ClearMessage } from "./clear_messages.ts";
import { decodeClearMessage, encodeClearMessage } from "./clear_messages.ts";
import type { EndpointLimits, EndpointOutput, PipeId } from "./endpoint_types.ts";
import type { Flow, FlowTable } from "./flow_table.ts";
import type { Host } from "./host_table.ts";
import { HostTable } from "./host_table.ts";
import type { Pending } from "./pending_handshake.ts";
import type { SessionEntry } from "./session_entry.ts";
import { TimerHeap } from "./timer_heap.ts";

/** A pipe and what it is used for: a handshake, a path of a session, or nothing yet. */
export interface PipeState {
  readonly id: PipeId;
  facts: PathFacts;
  /** Where it came from, if it was accepted and limits hold for it. */
  readonly host: Host | undefined;
  readonly isDialled: boolean;
  /** As it was dialled. */
  readonly address: string | undefined;
  /** None on a pipe of datagrams, whose packages come whole. */
  readonly decoder: PackageDecoder | undefined;
  isWritable: boolean;
  /** By which its datagrams go, on a pipe of kind `datagrams`; another one after the peer's address changed. */
  flow: Flow | undefined;
  /** The last message of our handshake, for a peer that may not have got it. */
  lastMessage: Bytes | undefined;
  /** What the other side gave us to prove our address by; it is asked for once. */
  token: Bytes | undefined;
  /** Whether it never carried a session. */
  isUnproven: boolean;
  /** The handshake under way on it. */
  pending: Pending | undefined;
  /** The session that it carries, and as which path. */
  binding: PipeBinding | undefined;
}

/** What a pipe is to a session. */
export interface PipeBinding {
  readonly entry: SessionEntry;
  readonly path: PathId;
  /** Whether packages went both ways: the owner knows the path then. */
  isUp: boolean;
}

/** A pipe as the owner tells of it. */
export interface OpenedPipe {
  readonly pipe: PipeId;
  readonly kind: PathKind;
  readonly remote: string;
  readonly remoteHost: string | undefined;
  readonly isDialled: boolean;
  readonly flow?: Flow | undefined;
}

/** All pipes of an endpoint. */
export class PipeTable {
  readonly #limits: EndpointLimits;
  readonly #env: Environment;
  readonly #outputs: EventQueue<EndpointOutput>;
  readonly #flows: FlowTable;
  readonly #pipes = new Map<PipeId, PipeState>();
  /** Of pipes that were dialled and are not forgotten. */
  readonly #addresses = new Map<PipeId, string>();
  readonly #hosts: HostTable;
  readonly #timers = new TimerHeap();
  #unproven = 0;
  #unprovenAccepted = 0;
  #nextId: PipeId = 1;

  constructor(limits: EndpointLimits, env: Environment, outputs: EventQueue<EndpointOutput>, flows: FlowTable) {
    this.#flows = flows;
    this.#limits = limits;
    this.#env = env;
    this.#outputs = outputs;
    this.#hosts = new HostTable(limits);
  }

  get size(): number {
    return this.#pipes.size;
  }

  /** Accepted pipes that carry no session yet. */
  get unprovenAccepted(): number {
    return this.#unprovenAccepted;
  }

  /** Pipes that carry no session yet. */
  get unprovenCount(): number {
    return this.#unproven;
  }

  /** Numbers a pipe. */
  allocate(): PipeId {
    return this.#nextId++;
  }

  get(id: PipeId): PipeState | undefined {
    return this.#pipes.get(id);
  }

  all(): PipeState[] {
    return [...this.#pipes.values()];
  }

  /** Takes a new pipe in, or returns `undefined` when a limit is reached. */
  open(opened: OpenedPipe, now: Instant): PipeState | undefined {
    if (this.#pipes.size >= this.#limits.pipesMax || this.#pipes.has(opened.pipe)) return undefined;
    let host: Host | undefined;
    if (!opened.isDialled) {
      if (this.#unprovenAccepted >= this.#limits.handshakesMax) return undefined;
      const admitted = this.#hosts.admit(opened.remoteHost, now);
      if (admitted === undefined) return undefined;
      if (admitted !== "exempt") host = admitted;
      this.#unprovenAccepted++;
    }
    const pipe: PipeState = {
      id: opened.pipe,
      facts: { kind: opened.kind, remote: opened.remote },
      host,
      isDialled: opened.isDialled,
      address: this.#addresses.get(opened.pipe),
      decoder: opened.flow === undefined ? new PackageDecoder(this.#env.checksum) : undefined,
      flow: opened.flow,
      lastMessage: undefined,
      token: undefined,
      isWritable: true,
      isUnproven: true,
      pending: undefined,
      binding: undefined,
    };
    this.#pipes.set(pipe.id, pipe);
    if (pipe.flow !== undefined) {
      pipe.flow.pipes.add(pipe);
      if (pipe.isDialled) pipe.flow.isProven = true;
    }
    this.#unproven++;
    this.#timers.set(pipe.id, now + this.#limits.handshakeTimeoutMs);
    return pipe;
  }

  /** The pipe carries a session from here on, and has until `deadline` to be heard from as its path. */
  bind(pipe: PipeState, binding: PipeBinding, deadline: Instant): void {
    if (pipe.isUnproven) this.#noteProven(pipe);
    pipe.pending = undefined;
    pipe.binding = binding;
    this.#timers.set(pipe.id, deadline);
  }

  /** Moves the time by which the pipe must have got further; `NEVER` when it need not. */
  setDeadline(pipe: PipeState, at: Instant): void {
    this.#timers.set(pipe.id, at);
  }

  /** Takes one pipe whose deadline is due. */
  takeOverdue(now: Instant): PipeState | undefined {
    const id = this.#timers.takeDue(now);
    return id === undefined ? undefined : this.#pipes.get(id);
  }

  pollTimeout(): Instant {
    return this.#timers.earliest;
  }

  /** Sends a clear message and returns its package. */
  sendClear(pipe: PipeState, message: ClearMessage): Bytes {
    const bytes = encodeClearPackage(encodeClearMessage(message), this.#env.checksum);
    this.send(pipe, bytes);
    return bytes;
  }

  /** Turns a handshake away; the pipe stays. */
  refuse(pipe: PipeState, targetConnectionId: number, code: ErrorCode): void {
    this.sendClear(pipe, { type: "refused", targetConnectionId, wireCode: ERRORS[code].wire });
  }

  /** Sends our last message once more with the token that was asked for; `false` when it was no first message. */
  sendWithToken(pipe: PipeState, token: Uint8Array): boolean {
    if (pipe.lastMessage === undefined) return false;
    const sent = decodePackage(pipe.lastMessage, 0, this.#env.checksum);
    const first = sent.type === "package" ? decodeClearMessage(sent.message) : undefined;
    if (first?.type !== "handshake") return false;
    pipe.token = token.slice();
    pipe.lastMessage = this.sendClear(pipe, { ...first, token: pipe.token });
    return true;
  }

  /** Sends a package that no session is asked for any more. */
  send(pipe: PipeState, bytes: Bytes): void {
    if (pipe.flow !== undefined) this.#flows.send(pipe.flow, bytes);
    else this.#outputs.push({ type: "send", pipe: pipe.id, bytes });
  }

  /** The output that carries a package; `undefined` when the address must prove itself before it gets more. */
  outputFor(id: PipeId, bytes: Bytes): EndpointOutput | undefined {
    const flow = this.#pipes.get(id)?.flow;
    if (flow === undefined) return { type: "send", pipe: id, bytes };
    return this.#flows.admit(flow, bytes.length) ? { type: "sendDatagram", flow: flow.id, bytes } : undefined;
  }

  /** A pipe of datagrams goes by another flow from now on. */
  moveTo(pipe: PipeState, flow: Flow): void {
    const { flow: former } = pipe;
    pipe.flow = flow;
    pipe.facts = { kind: "datagrams", remote: flow.remote };
    flow.pipes.add(pipe);
    if (former === undefined) return;
    former.pipes.delete(pipe);
    this.#flows.release(former);
  }

  /** Asks for a pipe to an address. */
  dial(address: string): PipeId {
    const pipe = this.allocate();
    this.#addresses.set(pipe, address);
    this.#outputs.push({ type: "dial", pipe, address });
    return pipe;
  }

  /** Ends a pipe, whether it is open or still being dialled, and forgets it. */
  drop(id: PipeId, how: "close" | "destroy"): void {
    const isFlow = this.#pipes.get(id)?.flow !== undefined;
    this.forget(id);
    if (!isFlow) this.#outputs.push({ type: how, pipe: id });
  }

  /** Forgets a pipe that is gone. */
  forget(id: PipeId): void {
    this.#addresses.delete(id);
    const pipe = this.#pipes.get(id);
    if (pipe === undefined) return;
    this.#pipes.delete(id);
    this.#timers.set(id, NEVER);
    if (pipe.isUnproven) this.#noteProven(pipe);
    if (pipe.host !== undefined) this.#hosts.release(pipe.host);
    if (pipe.flow === undefined) return;
    pipe.flow.pipes.delete(pipe);
    this.#flows.release(pipe.flow);
  }

  #noteProven(pipe: PipeState): void {
    pipe.isUnproven = false;
    this.#unproven--;
    if (pipe.isDialled) return;
    this.#unprovenAccepted--;
    if (pipe.host !== undefined) pipe.host.unproven--;
  }
}
