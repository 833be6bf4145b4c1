/**
 * A pipe that is a stream of a session with a relay. Implements PROTOCOL §10.6 for the ends.
 *
 * The invariant to hold: the endpoint sees an ordinary pipe; what it sends goes into the stream in order, and it is
 * told to wait before more than a bounded number of bytes is on its way to the relay.
 *
 * @module
 */

import type { StreamId } from "../connection/session_types.ts";
import type { ErrorCode } from "../error.ts";
import type { Bytes, Instant } from "../machine.ts";
import type { PipeId, SessionId } from "./endpoint_types.ts";
import type { NodeInternals } from "./node_types.ts";
import type { RelayLink } from "./relay_link.ts";
import { streamCodeOf } from "./stream_code.ts";

/** Bytes on their way to the relay before the pipe is blocked: more would only wait there. */
const UNDER_WAY_BYTES_MAX = 1024 * 1024;
/** Where the relay limits the rate: what it lets through in this time, so that a dead path is told from a slow one. */
const UNDER_WAY_SECONDS = 1;
const UNDER_WAY_BYTES_MIN = 64 * 1024;

/** A circuit as the node's end of it. */
export class CircuitPipe {
  readonly pipe: PipeId;
  readonly link: RelayLink;
  readonly session: SessionId;
  readonly stream: StreamId;
  readonly #internals: NodeInternals;
  readonly #underWayMax: number;
  readonly #queue: Uint8Array[] = [];
  #isBlocked = false;
  #isFinishing = false;

  constructor(options: {
    readonly internals: NodeInternals;
    readonly link: RelayLink;
    readonly pipe: PipeId;
    readonly session: SessionId;
    readonly stream: StreamId;
  }) {
    this.#internals = options.internals;
    this.link = options.link;
    this.pipe = options.pipe;
    this.session = options.session;
    this.stream = options.stream;
    const { bytesPerSecond } = options.link;
    const allowed = bytesPerSecond === 0 ? UNDER_WAY_BYTES_MAX : bytesPerSecond * UNDER_WAY_SECONDS;
    const { sendBufferBytes } = options.internals.config.endpoint.session;
    this.#underWayMax = Math.min(
      Math.max(Math.min(allowed, UNDER_WAY_BYTES_MAX), UNDER_WAY_BYTES_MIN),
      sendBufferBytes - 1,
    );
  }

  /** Whether the endpoint is done with it: what still arrives is nobody's. */
  get isFinishing(): boolean {
    return this.#isFinishing;
  }

  /** Sends what the endpoint wants sent. */
  send(bytes: Bytes, now: Instant): void {
    const taken = this.#queue.length > 0 ? 0 : this.#internals.write(this.session, this.stream, bytes, now);
    if (taken < bytes.length) this.#queue.push(taken === 0 ? bytes : bytes.subarray(taken));
    if (this.#isBlocked || this.#hasRoom) return;
    this.#isBlocked = true;
    this.#internals.awaitRoom(this.session, this.stream);
    this.#internals.endpoint.handleInput({ type: "pipeBlocked", pipe: this.pipe }, now);
  }

  /** The stream takes more. */
  onWritable(now: Instant): void {
    while (this.#queue.length > 0) {
      const bytes = this.#queue[0] as Uint8Array;
      const taken = this.#internals.write(this.session, this.stream, bytes, now);
      if (taken < bytes.length) {
        this.#queue[0] = bytes.subarray(taken);
        return; // Another `writable` follows.
      }
      this.#queue.shift();
    }
    if (this.#isFinishing) {
      this.#internals.finish(this.session, this.stream, now);
    } else if (this.#isBlocked) {
      if (this.#hasRoom) {
        this.#isBlocked = false;
        this.#internals.endpoint.handleInput({ type: "pipeWritable", pipe: this.pipe }, now);
      } else this.#internals.awaitRoom(this.session, this.stream);
    }
  }

  /** Ends the pipe in order: what was sent still goes out. */
  finish(now: Instant): void {
    this.#isFinishing = true;
    if (this.#queue.length === 0) this.#internals.finish(this.session, this.stream, now);
  }

  /** Ends the pipe at once. */
  giveUp(code: ErrorCode, now: Instant): void {
    this.#queue.length = 0;
    this.#internals.reset(this.session, this.stream, streamCodeOf(code), now);
    this.#internals.stop(this.session, this.stream, streamCodeOf(code), now);
  }

  get #hasRoom(): boolean {
    if (this.#queue.length > 0) return false;
    const { sendBufferBytes } = this.#internals.config.endpoint.session;
    return sendBufferBytes - this.#internals.writeRoom(this.session, this.stream) < this.#underWayMax;
  }
}
