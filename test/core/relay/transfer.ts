/**
 * A stream of known bytes between two nodes of a simulation, written as far as there is room and read as it comes.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { NodeEvent } from "../../../core/node/node_types.ts";
import { seededNumbers } from "../test_environment.ts";
import type { AnyEvent, RelayWorld, Resident } from "./relay_world.ts";

const PROTOCOL = "transfer";
const CHUNK_BYTES = 50_000;

let count = 0;

/** The byte at an offset of every transfer. */
export function byteAt(offset: number): number {
  return (offset * 31 + (offset >>> 8) * 7 + (offset >>> 16)) & 0xff;
}

/** A transfer under way. */
export class Transfer {
  readonly sessions: { readonly left: number; readonly right: number };
  readonly #world: RelayWorld;
  readonly #from: Resident;
  readonly #to: Resident;
  readonly #bytes: number;
  readonly #stream: number;
  readonly #random = seededNumbers(77);
  /** Tells transfers between the same two nodes apart. */
  readonly #number = ++count;
  #written = 0;
  #incoming: { session: number; stream: number } | undefined;
  #isReading = true;
  received = 0;
  isDone = false;
  /** How it ended if not in order. */
  failure: string | undefined;

  constructor(
    world: RelayWorld,
    options: {
      readonly from: Resident;
      readonly to: Resident;
      readonly sessions: { readonly left: number; readonly right: number };
      readonly bytes: number;
    },
  ) {
    this.#world = world;
    this.#from = options.from;
    this.#to = options.to;
    this.sessions = options.sessions;
    this.#bytes = options.bytes;
    tap(options.from, (event) => this.#onSender(event));
    tap(options.to, (event) => this.#onReceiver(event));
    options.to.node.serve(PROTOCOL, [1], { streamsPerPeerMax: 16 });
    const protocol = { name: PROTOCOL, versions: [1] };
    const metadata = Uint8Array.of(this.#number & 0xff, this.#number >>> 8);
    const stream = options.from.node.openStream(options.sessions.left, { protocol, metadata }, world.now);
    if (stream === undefined) this.failure = "stream_limit";
    this.#stream = stream ?? -1;
    this.#write();
    options.from.host.pump();
  }

  /** Bytes that the sender's session has taken. */
  get written(): number {
    return this.#written;
  }

  /** Stops and restarts reading. */
  setReading(isReading: boolean): void {
    this.#isReading = isReading;
    if (isReading) this.#read();
    this.#to.host.pump();
  }

  /** Everything arrived once and in order. */
  check(): void {
    assert.equal(this.failure, undefined);
    assert.equal(this.received, this.#bytes);
  }

  #onSender(event: AnyEvent): void {
    const isMine = "session" in event && event.session === this.sessions.left;
    if (event.type === "peerClosed" && isMine) this.failure ??= event.closed.code;
    if (!isMine || !("stream" in event) || event.stream !== this.#stream) return;
    if (event.type === "writable") this.#write();
    else if (event.type === "streamRefused") this.failure ??= event.code;
    else if (event.type === "stopped") this.failure ??= "stopped";
  }

  #write(): void {
    while (this.#written < this.#bytes) {
      const length = Math.min(CHUNK_BYTES, this.#bytes - this.#written);
      const chunk = new Uint8Array(length);
      for (let index = 0; index < length; index++) chunk[index] = byteAt(this.#written + index);
      const taken = this.#from.node.write(this.sessions.left, this.#stream, chunk, this.#world.now);
      this.#written += taken;
      if (taken < length) return;
    }
    this.#from.node.finish(this.sessions.left, this.#stream, this.#world.now);
  }

  #onReceiver(event: AnyEvent): void {
    if (event.type === "streamOpened" && event.protocol === `${PROTOCOL}/1` && this.#isMine(event.metadata)) {
      this.#incoming = { session: event.session, stream: event.stream };
    }
    const { session, stream } = this.#incoming ?? {};
    if (event.type === "peerClosed" && event.session === session) this.failure ??= event.closed.code;
    if (event.type === "readable" && event.session === session && event.stream === stream) this.#read();
  }

  #isMine(metadata: Uint8Array): boolean {
    return metadata[0] === (this.#number & 0xff) && metadata[1] === this.#number >>> 8;
  }

  #read(): void {
    if (this.#incoming === undefined) return;
    const { session, stream } = this.#incoming;
    while (this.#isReading) {
      const result = this.#to.node.read(session, stream);
      if (result === undefined) return;
      if (result.type !== "data") {
        if (result.type === "reset") this.failure ??= "reset";
        this.isDone = true;
        return;
      }
      // Whatever arrives must be what was sent at that place, even of a transfer that fails later.
      for (let index = 0; index < result.bytes.length; index += 1 + (this.#random() % 7)) {
        assert.equal(result.bytes[index], byteAt(this.received + index), `byte ${this.received + index}`);
      }
      this.received += result.bytes.length;
    }
  }
}

/** Hears the events of a node besides those who do already. */
export function tap(who: Resident, onEvent: (event: NodeEvent) => void): void {
  const before = who.host.onEvent;
  who.host.onEvent = (event) => {
    before(event);
    onEvent(event as NodeEvent);
  };
}
