/**
 * Requests of this end to one peer.
 *
 * The invariant to hold: each is settled once: by its answer, by an error, by being given up, or by the session's end.
 *
 * @module
 */

import { ViaductError } from "../../core/error.ts";
import { LazyMap } from "../../core/lazy_collections.ts";
import type { SessionId } from "../../core/node/endpoint_types.ts";
import type { NodeEvent, RequestId } from "../../core/node/node_types.ts";
import type { NodeHandle } from "./node.ts";
import { Turns } from "./turns.ts";
import type { Value, WaitOptions } from "./types.ts";
import { type Deferred, deferred, fromNowOn, waitFor } from "./waiting.ts";

/** Requests that wait for their answers. */
export class OutgoingRequests {
  readonly #node: NodeHandle;
  readonly #session: SessionId;
  readonly #waiting = new LazyMap<RequestId, Deferred<Value>>();
  readonly #turns = new Turns();

  constructor(node: NodeHandle, session: SessionId) {
    this.#node = node;
    this.#session = session;
  }

  async request(name: string, value: Value, options: WaitOptions): Promise<Value> {
    const { codec, limits, runtime } = this.#node;
    const bytes = codec.encode(value, limits.messageBytesMax);
    const answer = deferred<Value>();
    let request = this.#turns.isBusy ? undefined : this.#send(name, bytes, answer);
    if (request !== undefined) return await this.#outcome(request, answer, options);
    const kept = bytes.slice();
    const wait = fromNowOn(options, runtime);
    const attempt = (): boolean => {
      request = this.#send(name, kept, answer);
      return request !== undefined;
    };
    try {
      await this.#turns.wait(attempt, wait, runtime);
    } catch (error) {
      // It may have been given up in the moment of its turn.
      if (request !== undefined) this.#cancel(request);
      throw error;
    }
    return await this.#outcome(request as unknown as RequestId, answer, wait);
  }

  /** There may be room for requests that wait. */
  onWritable(): void {
    this.#turns.advance();
  }

  onResponse(request: RequestId, bytes: Uint8Array): void {
    const answer = this.#take(request);
    if (answer === undefined) return;
    try {
      answer.resolve(this.#node.codec.decode(bytes));
    } catch (error) {
      answer.reject(error);
    }
  }

  onFailed({ request, code, detail }: Extract<NodeEvent, { type: "requestFailed" }>): void {
    this.#take(request)?.reject(new ViaductError(code, detail === "" ? {} : { detail }));
  }

  /** The session ended. */
  fail(error: ViaductError): void {
    for (const answer of this.#waiting.values()) answer.reject(error);
    this.#waiting.clear();
    this.#turns.fail(error);
  }

  #send(name: string, bytes: Uint8Array, answer: Deferred<Value>): RequestId | undefined {
    const request = this.#node.command((machine, now) => machine.sendRequest(this.#session, name, bytes, now));
    if (request !== undefined) this.#waiting.set(request, answer);
    return request;
  }

  #outcome(request: RequestId, answer: Deferred<Value>, options: WaitOptions): Promise<Value> {
    return waitFor(answer.promise, options, this.#node.runtime, () => this.#cancel(request));
  }

  #cancel(request: RequestId): void {
    this.#waiting.delete(request);
    this.#node.command((machine, now) => machine.cancelRequest(this.#session, request, now));
  }

  #take(request: RequestId): Deferred<Value> | undefined {
    const answer = this.#waiting.get(request);
    this.#waiting.delete(request);
    return answer;
  }
}
