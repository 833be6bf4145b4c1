/**
 * A network of virtual nodes: reliable pipes with delay, rate, back-pressure and any split of the bytes, that die, hang
 * or are refused. One seed, one run: every event is folded into a hash that is equal in every runtime.
 *
 * The invariant to hold: nothing here knows the protocol; hosts run the real machines, nothing is mocked.
 *
 * @module
 */

import type { Machine } from "../core/machine.ts";
import type { EndpointInput, EndpointOutput, PipeId } from "../core/node/endpoint_types.ts";
import { DatagramNetwork } from "./datagram_network.ts";
import { SimRandom } from "./random.ts";
import { Schedule } from "./schedule.ts";

/** What a host runs: a node, an endpoint or a relay. */
export interface SimMachine extends Machine<EndpointInput, EndpointOutput, unknown> {
  allocatePipe(): PipeId;
}

/** What all pipes of a network are like. */
export interface PipeModel {
  /** One way, and how much it varies; order is kept. */
  readonly delayMs: number;
  readonly jitterMs: number;
  /** Bytes per millisecond; 0 is unlimited. */
  readonly bytesPerMs: number;
  /** A pipe with more than this under way is blocked. */
  readonly bufferBytes: number;
  /** Whether chunks are cut and joined at random, as TCP does. */
  readonly isSplitting: boolean;
}

/** A pipe model that resembles a home connection. */
export const DEFAULT_PIPE_MODEL: PipeModel = {
  delayMs: 10,
  jitterMs: 2,
  bytesPerMs: 0,
  bufferBytes: 256 * 1024,
  isSplitting: true,
};

interface PipeEnd {
  readonly host: SimHost;
  readonly id: PipeId;
  readonly link: Link;
  underWayBytes: number;
  isBlocked: boolean;
  /** When the last chunk sent from this end arrives: order is kept. */
  lastArrivalAt: number;
  readonly waiting: Uint8Array[];
  isClosed: boolean;
}

/** A pipe between two hosts. */
export interface Link {
  readonly number: number;
  readonly ends: [PipeEnd, PipeEnd];
  isDead: boolean;
  /** Everything sent vanishes, nobody is told. */
  isHanging: boolean;
}

/** A virtual computer with one machine. */
export class SimHost {
  readonly name: string;
  readonly #network: SimNetwork;
  readonly pipes: Map<PipeId, PipeEnd> = new Map();
  readonly kind: "bytes" | "messages";
  /** An address of its own, so that limits per address see hosts as they are. */
  readonly address: string;
  machine: SimMachine;
  onEvent: (event: unknown) => void = () => {};
  isRunning = true;
  #timerAt = Number.POSITIVE_INFINITY;
  #isPumping = false;
  /** What came while the machine's event loop stood still; `undefined` when it runs. */
  #held: EndpointInput[] | undefined;
  #aheadMs = 0;

  constructor(network: SimNetwork, options: { name: string; kind: "bytes" | "messages"; machine: SimMachine }) {
    this.#network = network;
    this.name = options.name;
    this.kind = options.kind;
    const number = network.hosts.size + 1;
    this.address = `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`;
    this.machine = options.machine;
  }

  /** The machine's own clock. */
  get now(): number {
    return this.#network.now + this.#aheadMs;
  }

  /** The machine's clock is so much later at once, as after a sleep; its timers that are due fire. */
  jump(ms: number): void {
    this.#aheadMs += ms;
    this.#network.note(`jump ${this.name} ${ms}`);
    this.#wake([]);
  }

  /** The machine does nothing for so long, as a program that computes: what comes waits, timers are late. */
  stall(ms: number): void {
    if (this.#held !== undefined) return;
    const held: EndpointInput[] = [];
    this.#held = held;
    this.#network.note(`stall ${this.name} ${ms}`);
    this.#network.plan(this.#network.now + ms, () => {
      if (this.#held !== held) return; // It was killed meanwhile.
      this.#held = undefined;
      this.#wake(held);
    });
  }

  /** Lets the machine act: the driver of the simulator. */
  pump(): void {
    if (this.#isPumping || !this.isRunning || this.#held !== undefined) return;
    this.#isPumping = true;
    try {
      for (let round = 0; round < 100_000; round++) {
        const output = this.machine.pollTransmit(this.now);
        if (output !== undefined) {
          this.#network.onOutput(this, output);
          continue;
        }
        const event = this.machine.pollEvent();
        if (event === undefined) {
          this.#arm();
          return;
        }
        this.onEvent(event);
      }
      throw new Error(`The machine of ${this.name} never comes to rest`);
    } finally {
      this.#isPumping = false;
    }
  }

  input(input: EndpointInput): void {
    if (!this.isRunning) return;
    if (this.#held !== undefined) {
      this.#held.push(input);
      return;
    }
    this.machine.handleInput(input, this.now);
    this.pump();
  }

  /** Ends the machine at once, as `kill -9` does: every pipe dies. */
  kill(): void {
    this.isRunning = false;
    this.#held = undefined;
    for (const end of [...this.pipes.values()]) this.#network.killLink(end.link);
    this.pipes.clear();
    this.#network.datagrams.forget(this);
  }

  /** Starts another machine in its place. */
  restart(machine: SimMachine): void {
    this.machine = machine;
    this.isRunning = true;
    this.#timerAt = Number.POSITIVE_INFINITY;
    this.pump();
  }

  #wake(inputs: readonly EndpointInput[]): void {
    if (!this.isRunning || this.#held !== undefined) return;
    this.#timerAt = Number.POSITIVE_INFINITY;
    this.machine.handleTimeout(this.now);
    for (const input of inputs) this.machine.handleInput(input, this.now);
    this.pump();
  }

  #arm(): void {
    const at = this.machine.pollTimeout();
    if (at === this.#timerAt || at === Number.POSITIVE_INFINITY) return;
    this.#timerAt = at;
    const { machine } = this;
    this.#network.plan(at - this.#aheadMs, () => {
      if (this.machine !== machine || !this.isRunning || this.#timerAt !== at || this.#held !== undefined) return;
      this.#timerAt = Number.POSITIVE_INFINITY;
      machine.handleTimeout(this.now);
      this.pump();
    });
  }
}

/** The network. */
export class SimNetwork {
  readonly random: SimRandom;
  readonly seed: number;
  readonly model: PipeModel;
  readonly hosts: Map<string, SimHost> = new Map();
  readonly links: Link[] = [];
  readonly #schedule = new Schedule();
  readonly #partitions = new Set<string>();
  readonly datagrams: DatagramNetwork = new DatagramNetwork(this);
  #hash = 0x811c9dc5;
  #steps = 0;

  constructor(options: { seed: number; model?: Partial<PipeModel> }) {
    this.seed = options.seed;
    this.random = new SimRandom(options.seed);
    this.model = { ...DEFAULT_PIPE_MODEL, ...options.model };
  }

  get now(): number {
    return this.#schedule.now;
  }

  /** A hash of everything that happened, equal for equal seeds in every runtime. */
  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, "0");
  }

  get steps(): number {
    return this.#steps;
  }

  /** Adds a host, dialled as `tcp://name:1`. */
  addHost(name: string, machine: SimMachine, kind: "bytes" | "messages" = "bytes"): SimHost {
    const host = new SimHost(this, { name, kind, machine });
    this.hosts.set(name, host);
    host.pump();
    return host;
  }

  /** Plans something for a time. */
  plan(at: number, act: () => void): void {
    this.#schedule.plan(at, act);
  }

  /** Runs until `isDone`, or for at most `ms` of virtual time. Returns whether it was done. */
  run(ms: number, isDone: () => boolean = () => false): boolean {
    const until = this.now + ms;
    for (;;) {
      if (isDone()) return true;
      this.#steps++;
      if (!this.#schedule.step(until)) return isDone();
    }
  }

  /** Folds a fact into the hash of the run. */
  note(fact: string): void {
    let hash = this.#hash;
    for (let index = 0; index < fact.length; index++) {
      hash = Math.imul(hash ^ fact.charCodeAt(index), 0x01000193);
    }
    this.#hash = hash >>> 0;
  }

  /** Hosts of different names cannot reach each other, and what is under way vanishes, until `heal`. */
  partition(one: string, two: string): void {
    this.#partitions.add(pairKey(one, two));
    for (const link of this.links) {
      if (!link.isDead && pairKey(link.ends[0].host.name, link.ends[1].host.name) === pairKey(one, two)) {
        link.isHanging = true;
      }
    }
  }

  /** Whether nothing gets from one host to the other. */
  isPartitioned(one: string, two: string): boolean {
    return this.#partitions.has(pairKey(one, two));
  }

  heal(one: string, two: string): void {
    this.#partitions.delete(pairKey(one, two));
    // A pipe that lost bytes cannot go on: its ends learn it now, as from a reset.
    for (const link of [...this.links]) if (link.isHanging) this.killLink(link);
  }

  /** Ends a link: what is under way is lost, both ends are told a little later, independently. */
  killLink(link: Link): void {
    if (link.isDead) return;
    link.isDead = true;
    this.links.splice(this.links.indexOf(link), 1);
    this.note(`kill ${link.number} ${this.now.toFixed(3)}`);
    for (const end of link.ends) {
      this.plan(this.now + this.random.between(0, 20), () => this.#tellClosed(end));
    }
  }

  /** Carries out what a machine wants. */
  onOutput(host: SimHost, output: EndpointOutput): void {
    if ("flow" in output) {
      this.datagrams.onOutput(host, output);
      return;
    }
    if (output.type === "dial") {
      this.#dial(host, output.pipe, output.address);
      return;
    }
    const end = host.pipes.get(output.pipe);
    if (end === undefined) return;
    if (output.type === "send") this.#send(end, output.bytes);
    else if (output.type === "close") this.#close(end);
    else this.killLink(end.link);
  }

  #dial(host: SimHost, pipe: PipeId, address: string): void {
    const [, scheme, name = ""] = /^(\w+):\/\/([^:/]+)/.exec(address) ?? [];
    if (scheme === "udp") {
      this.datagrams.dial(host, pipe, name, address);
      return;
    }
    const delay = this.#delay();
    this.plan(this.now + 2 * delay, () => {
      const target = this.hosts.get(name);
      if (target?.isRunning !== true || this.#partitions.has(pairKey(host.name, name))) {
        host.input({ type: "pipeFailed", pipe, code: "dial_failed", detail: "Connection refused" });
        return;
      }
      if (!host.isRunning) return;
      const link: Link = { number: this.links.length, ends: [] as never, isDead: false, isHanging: false };
      const end = (side: SimHost, id: PipeId): PipeEnd => ({
        host: side,
        id,
        link,
        underWayBytes: 0,
        isBlocked: false,
        lastArrivalAt: this.now,
        waiting: [],
        isClosed: false,
      });
      link.ends[0] = end(host, pipe);
      link.ends[1] = end(target, target.machine.allocatePipe());
      this.links.push(link);
      this.note(`open ${host.name} ${name} ${this.now.toFixed(3)}`);
      host.pipes.set(pipe, link.ends[0]);
      target.pipes.set(link.ends[1].id, link.ends[1]);
      const kind = host.kind === "messages" || target.kind === "messages" ? "messages" : "bytes";
      const opened = { type: "pipeOpened", kind } as const;
      const accepted = { ...opened, pipe: link.ends[1].id, remote: `tcp://${host.name}:1`, isDialled: false };
      target.input({ ...accepted, remoteHost: host.address });
      host.input({ ...opened, pipe, remote: address, remoteHost: target.address, isDialled: true });
    });
  }

  #send(end: PipeEnd, bytes: Uint8Array): void {
    const { link } = end;
    const other = link.ends[0] === end ? link.ends[1] : link.ends[0];
    if (link.isDead || end.isClosed) return;
    this.note(`send ${end.host.name} ${bytes.length} ${this.now.toFixed(3)}`);
    end.underWayBytes += bytes.length;
    if (end.underWayBytes > this.model.bufferBytes && !end.isBlocked) {
      end.isBlocked = true;
      end.host.machine.handleInput({ type: "pipeBlocked", pipe: end.id }, end.host.now);
    }
    const duration = this.model.bytesPerMs > 0 ? bytes.length / this.model.bytesPerMs : 0;
    const at = Math.max(this.now + this.#delay(), end.lastArrivalAt) + duration;
    end.lastArrivalAt = at;
    const kind = end.host.kind === "messages" || other.host.kind === "messages" ? "messages" : "bytes";
    this.plan(at, () => {
      end.underWayBytes -= bytes.length;
      if (link.isDead || link.isHanging) return;
      if (kind === "messages" || !this.model.isSplitting) other.host.input({ type: "pipeData", pipe: other.id, bytes });
      else this.#deliverSplit(other, bytes);
      if (end.isBlocked && end.underWayBytes < this.model.bufferBytes / 4) {
        end.isBlocked = false;
        end.host.input({ type: "pipeWritable", pipe: end.id });
      }
    });
  }

  /** TCP keeps order and nothing else: bytes are held back, joined with later ones and cut anywhere. */
  #deliverSplit(to: PipeEnd, bytes: Uint8Array): void {
    let rest = bytes;
    const held = to.waiting.pop();
    if (held !== undefined) {
      rest = new Uint8Array(held.length + bytes.length);
      rest.set(held);
      rest.set(bytes, held.length);
    }
    if (rest.length > 1 && this.random.chance(0.2)) {
      const cut = this.random.between(1, rest.length - 1);
      const later = rest.slice(cut);
      rest = rest.slice(0, cut);
      to.waiting.push(later);
      this.plan(this.now + 0.5, () => {
        if (to.link.isDead || to.link.isHanging || to.waiting[0] !== later) return;
        to.waiting.pop();
        to.host.input({ type: "pipeData", pipe: to.id, bytes: later });
      });
    }
    to.host.input({ type: "pipeData", pipe: to.id, bytes: rest });
  }

  /** Flushes, then ends: the other side reads what is under way first. */
  #close(end: PipeEnd): void {
    if (end.isClosed || end.link.isDead) return;
    end.isClosed = true;
    this.plan(end.lastArrivalAt + 1, () => {
      if (!end.link.isDead) this.killLink(end.link);
    });
  }

  #tellClosed(end: PipeEnd): void {
    if (!end.host.pipes.delete(end.id)) return;
    end.host.input({ type: "pipeClosed", pipe: end.id });
  }

  #delay(): number {
    return this.model.delayMs + this.random.fraction() * this.model.jitterMs;
  }
}

function pairKey(one: string, two: string): string {
  return one < two ? `${one}|${two}` : `${two}|${one}`;
}
