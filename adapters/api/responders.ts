/**
 * Requests of peers and the handlers that answer them.
 *
 * The invariant to hold: every request is answered once, by a value or by an error.
 *
 * @module
 */

import type { ErrorCode } from "../../core/error.ts";
import { ViaductError } from "../../core/error.ts";
import type { NodeEvent } from "../../core/node/node_types.ts";
import type { NodeHandle } from "./node.ts";
import type { PeerHandle } from "./peer.ts";
import type { RequestHandler } from "./types.ts";
import { disposable } from "./waiting.ts";

/** The handlers of a node by name. */
export class Responders {
  readonly #node: NodeHandle;
  readonly handlers: Map<string, RequestHandler> = new Map();

  constructor(node: NodeHandle) {
    this.#node = node;
  }

  /** Answers requests of this name until disposed. */
  respond(name: string, handler: RequestHandler): Disposable {
    if (this.handlers.has(name)) throw new TypeError(`Cannot respond as '${name}' is responded to already`);
    this.handlers.set(name, handler);
    return disposable(() => {
      if (this.handlers.get(name) === handler) this.handlers.delete(name);
    });
  }

  /** Answers one request. */
  async answer(peer: PeerHandle, event: Extract<NodeEvent, { type: "request" }>): Promise<void> {
    const { session, request, name } = event;
    const handler = this.handlers.get(name);
    const fail = (code: ErrorCode, detail: string): void =>
      this.#node.command((machine, now) => machine.respondError(session, request, code, detail.slice(0, 200), now));
    if (handler === undefined) {
      fail("unknown_protocol", `Nothing responds to '${name}'`);
      return;
    }
    const answering = peer.beginAnswer(request);
    try {
      const result = handler(this.#node.codec.decode(event.bytes), {
        peer,
        get signal() {
          return answering.signal;
        },
      });
      // An answer that is there at once leaves with the others of this turn.
      const value = isPromiseLike(result) ? await result : result;
      const bytes = this.#node.codec.encode(value, this.#node.limits.messageBytesMax);
      this.#node.command((machine, now) => machine.respond(session, request, bytes, now));
    } catch (error) {
      fail(error instanceof ViaductError ? error.code : "request_failed", error instanceof Error ? error.message : "");
      this.#node.tellHandlerFailed(name, peer, error);
    } finally {
      peer.endAnswer(request);
    }
  }
}

function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null)?.then === "function";
}
