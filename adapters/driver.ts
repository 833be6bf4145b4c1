/**
 * The one loop and the one timer: feeds a machine, hands its bytes to pipes, its events to the program, and wakes it.
 *
 * The invariant to hold: nothing but this file polls a machine of a running node; whatever a program does inside an
 * event only marks the machine, and one pump per microtask carries it all, so that small writes become one package.
 *
 * @module
 */

import { ERRORS, ViaductError } from "../core/error.ts";
import type { Machine } from "../core/machine.ts";
import { NEVER } from "../core/machine.ts";
import type { EndpointInput, EndpointOutput, PipeId, PipeOutput } from "../core/node/endpoint_types.ts";
import { parseAddress } from "./address.ts";
import { DatagramCarriers } from "./datagram_carrier.ts";
import type { Address, Listener, ListenOptions, Pipe, PipeHandler, Runtime, Timer } from "./runtime.ts";
import { SELF_ADDRESS, SelfPipe } from "./self_pipe.ts";

/** Bytes collected for one pipe before they are handed over, so that back-pressure is noticed in time. */
const FLUSH_BYTES = 512 * 1024;
/** Rounds of one pump before other work of the process has its turn. */
const ROUNDS_MAX = 64;

/** A machine that a driver can drive. */
export interface Drivable<Event> extends Machine<EndpointInput, EndpointOutput, Event> {
  allocatePipe(): PipeId;
}

/** What a driver needs. */
export interface DriverOptions<Event> {
  readonly runtime: Runtime;
  readonly machine: Drivable<Event>;
  /** Takes each event of the machine. */
  readonly onEvent: (event: Event) => void;
  /** The machine or `onEvent` threw: a bug. The driver has stopped. */
  readonly onFailure: (error: unknown) => void;
}

/** Drives one machine. */
export class Driver<Event> {
  readonly #runtime: Runtime;
  readonly #machine: Drivable<Event>;
  readonly #onEvent: (event: Event) => void;
  readonly #onFailure: (error: unknown) => void;
  readonly #pipes = new Map<PipeId, Pipe>();
  readonly #dialling = new Map<PipeId, AbortController>();
  readonly #listeners = new Set<Listener>();
  readonly #datagrams: DatagramCarriers;
  #timer: Timer | undefined;
  #timerAt = NEVER;
  #isPumping = false;
  #isScheduled = false;
  #mustGoRound = false;
  #isDisposed = false;
  #chunks: Uint8Array[] = [];
  #chunkBytes = 0;
  #chunkPipe: PipeId = 0;

  constructor(options: DriverOptions<Event>) {
    this.#runtime = options.runtime;
    this.#machine = options.machine;
    this.#onEvent = options.onEvent;
    this.#onFailure = options.onFailure;
    this.#datagrams = new DatagramCarriers(options.runtime, {
      allocateFlow: () => this.#machine.allocatePipe(),
      onFlowOpened: (flow, { text, host }) => this.#take({ type: "flowOpened", flow, remote: text, remoteHost: host }),
      onFlowData: (flow, bytes) => this.#take({ type: "flowData", flow, bytes }),
      onFlow: (type, flow) => this.#take({ type, flow }),
      onBatchEnd: () => this.#pump(),
    });
  }

  /** How many pipes are open or being dialled: a test counts them. */
  get pipeCount(): number {
    return this.#pipes.size + this.#dialling.size + this.#datagrams.size;
  }

  /** Whether everything was let go. */
  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  /** A command was given: what it brought about is carried out in this turn of the event loop. */
  schedule(): void {
    if (this.#isPumping) {
      this.#mustGoRound = true;
      return;
    }
    if (this.#isScheduled || this.#isDisposed) return;
    this.#isScheduled = true;
    queueMicrotask(this.#onMicrotask);
  }

  /** Listens; accepted pipes go to the machine. */
  async listen(address: Address, options?: ListenOptions): Promise<Listener> {
    const listener =
      address.scheme === "udp"
        ? await this.#datagrams.listen(address)
        : await this.#runtime.listen(address, (pipe) => this.#accept(pipe), options);
    if (this.#isDisposed) {
      await listener.close();
      throw new ViaductError("closed");
    }
    this.#listeners.add(listener);
    return listener;
  }

  /** Stops accepting; open pipes stay. */
  async closeListeners(): Promise<void> {
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    // A listener that cannot be closed is gone already.
    await Promise.allSettled(listeners.map((listener) => listener.close()));
  }

  /** Lets everything go: timer, listeners and pipes, which flush first. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const controller of this.#dialling.values()) controller.abort();
    this.#dialling.clear();
    for (const pipe of this.#pipes.values()) pipe.close();
    this.#pipes.clear();
    void this.closeListeners();
    this.#datagrams.dispose();
  }

  readonly #onMicrotask = (): void => {
    this.#isScheduled = false;
    this.#pump();
  };

  #pump(): void {
    if (this.#isDisposed) return;
    if (this.#isPumping) {
      this.#mustGoRound = true;
      return;
    }
    this.#isPumping = true;
    try {
      for (let round = 0; ; round++) {
        this.#mustGoRound = false;
        this.#transmit();
        const hadEvents = this.#deliver();
        if (this.#isDisposed) return;
        if (!hadEvents && !this.#mustGoRound) break;
        if (round === ROUNDS_MAX) {
          this.#runtime.setTimer(() => this.#pump(), 0);
          return;
        }
      }
      this.#arm();
    } catch (error) {
      this.dispose();
      this.#onFailure(error);
    } finally {
      this.#isPumping = false;
    }
  }

  #transmit(): void {
    const now = this.#runtime.now();
    for (;;) {
      const output = this.#machine.pollTransmit(now);
      if (output === undefined) break;
      if ("flow" in output) {
        this.#datagrams.carryOut(output);
        continue;
      }
      if (output.type !== "send") {
        this.#flush();
        this.#carryOut(output);
        continue;
      }
      if (output.pipe !== this.#chunkPipe || this.#chunkBytes >= FLUSH_BYTES) this.#flush();
      this.#chunkPipe = output.pipe;
      this.#chunks.push(output.bytes);
      this.#chunkBytes += output.bytes.length;
    }
    this.#flush();
    this.#datagrams.flush();
  }

  #flush(): void {
    if (this.#chunks.length === 0) return;
    const chunks = this.#chunks;
    const id = this.#chunkPipe;
    this.#chunks = [];
    this.#chunkBytes = 0;
    const pipe = this.#pipes.get(id);
    if (pipe === undefined || pipe.write(chunks)) return;
    this.#machine.handleInput({ type: "pipeBlocked", pipe: id }, this.#runtime.now());
  }

  #deliver(): boolean {
    let hadEvents = false;
    for (;;) {
      const event = this.#machine.pollEvent();
      if (event === undefined) return hadEvents;
      hadEvents = true;
      this.#onEvent(event);
      if (this.#isDisposed) return false;
    }
  }

  #arm(): void {
    const at = this.#machine.pollTimeout();
    // A timer that is armed for earlier stays: waking in vain costs less than arming anew for every package.
    if (at >= this.#timerAt) return;
    this.#timer?.cancel();
    this.#timerAt = at;
    this.#timer = this.#runtime.setTimer(this.#onTimer, Math.ceil(at - this.#runtime.now()));
  }

  readonly #onTimer = (): void => {
    this.#timer = undefined;
    this.#timerAt = NEVER;
    if (this.#isDisposed) return;
    this.#feed(() => this.#machine.handleTimeout(this.#runtime.now()));
  };

  /** Feeds the machine and pumps; what it throws is a bug and ends the driver. */
  #feed(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.dispose();
      this.#onFailure(error);
      return;
    }
    this.#pump();
  }

  /** Feeds the machine without acting on it yet: the end of the batch follows. */
  #take(input: EndpointInput): void {
    if (this.#isDisposed) return;
    try {
      this.#machine.handleInput(input, this.#runtime.now());
    } catch (error) {
      this.dispose();
      this.#onFailure(error);
    }
  }

  #input(input: EndpointInput): void {
    if (this.#isDisposed) return;
    this.#feed(() => this.#machine.handleInput(input, this.#runtime.now()));
  }

  #carryOut(output: Exclude<PipeOutput, { type: "send" }>): void {
    if (output.type === "dial") {
      this.#dial(output.pipe, output.address);
      return;
    }
    this.#dialling.get(output.pipe)?.abort();
    this.#dialling.delete(output.pipe);
    const pipe = this.#pipes.get(output.pipe);
    this.#pipes.delete(output.pipe);
    if (output.type === "close") pipe?.close();
    else pipe?.destroy();
  }

  #accept(pipe: Pipe): PipeHandler | undefined {
    if (this.#isDisposed) return undefined;
    const id = this.#machine.allocatePipe();
    this.#pipes.set(id, pipe);
    // The pipe must be able to deliver before the machine answers.
    queueMicrotask(() => this.#open(id, pipe, false));
    return this.#handlerOf(id);
  }

  #dial(id: PipeId, text: string): void {
    if (text === SELF_ADDRESS) {
      this.#dialSelf(id);
      return;
    }
    const address = parseAddress(text);
    if (address === undefined || !this.#runtime.canDial.includes(address.scheme)) {
      const code = address === undefined ? "address_invalid" : "unsupported";
      queueMicrotask(() => this.#input({ type: "pipeFailed", pipe: id, code, detail: text }));
      return;
    }
    const controller = new AbortController();
    this.#dialling.set(id, controller);
    if (address.scheme === "udp") {
      this.#datagrams.dial(address).then(
        ({ flow, remote: { text: remote, host: remoteHost } }) => {
          // Given up or not: the machine lets go of a flow that it has no use for.
          this.#dialling.delete(id);
          this.#input({ type: "pipeOpened", pipe: id, kind: "datagrams", flow, remote, remoteHost, isDialled: true });
        },
        (error: unknown) => this.#onDialFailed(id, error),
      );
      return;
    }
    this.#runtime.dial(address, this.#handlerOf(id), { signal: controller.signal }).then(
      (pipe) => {
        if (this.#dialling.delete(id) && !this.#isDisposed) {
          this.#pipes.set(id, pipe);
          this.#open(id, pipe, true);
        } else pipe.destroy();
      },
      (error: unknown) => this.#onDialFailed(id, error),
    );
  }

  #onDialFailed(id: PipeId, error: unknown): void {
    if (!this.#dialling.delete(id)) return; // Given up.
    const code = error instanceof ViaductError ? error.code : "dial_failed";
    const text = error instanceof Error ? error.message : String(error);
    // The sentence of the code comes once, in front of all addresses.
    const sentence = `${ERRORS[code].message}: `;
    const detail = text.startsWith(sentence) ? text.slice(sentence.length) : text;
    this.#input({ type: "pipeFailed", pipe: id, code, detail });
  }

  #dialSelf(id: PipeId): void {
    const [dialled, accepted] = SelfPipe.pair(this.#runtime);
    const handler = this.#accept(accepted);
    if (handler !== undefined) accepted.start(handler);
    dialled.start(this.#handlerOf(id));
    this.#pipes.set(id, dialled);
    queueMicrotask(() => this.#open(id, dialled, true));
  }

  #open(id: PipeId, pipe: Pipe, isDialled: boolean): void {
    if (this.#pipes.get(id) !== pipe) return;
    const { kind, remote, remoteHost } = pipe;
    this.#input({ type: "pipeOpened", pipe: id, kind, remote, remoteHost, isDialled });
  }

  #handlerOf(id: PipeId): PipeHandler {
    return {
      onData: (bytes) => {
        if (this.#pipes.has(id)) this.#input({ type: "pipeData", pipe: id, bytes });
      },
      onWritable: () => {
        if (this.#pipes.has(id)) this.#input({ type: "pipeWritable", pipe: id });
      },
      onClosed: () => {
        if (this.#pipes.delete(id)) this.#input({ type: "pipeClosed", pipe: id });
      },
    };
  }
}
