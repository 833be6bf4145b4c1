/**
 * The protocols that a program serves, and the handlers that take their streams.
 *
 * The invariant to hold: a handler that fails loses its stream, and nothing else.
 *
 * @module
 */

import type { NodeHandle } from "./node.ts";
import type { PeerHandle } from "./peer.ts";
import { parseServed } from "./served_protocol.ts";
import type { StreamHandle } from "./stream.ts";
import type { HandleOptions, StreamHandler } from "./types.ts";
import { disposable } from "./waiting.ts";

const STREAMS_PER_PEER_MAX = 256;

/** The handlers of a node by name. */
export class StreamHandlers {
  readonly #node: NodeHandle;
  readonly #handlers = new Map<string, StreamHandler>();

  constructor(node: NodeHandle) {
    this.#node = node;
  }

  handle(protocol: string | readonly string[], handler: StreamHandler, options: HandleOptions): Disposable {
    const { name, versions } = parseServed(typeof protocol === "string" ? [protocol] : protocol);
    if (this.#handlers.has(name)) throw new TypeError(`Cannot handle protocol as '${name}' is handled already`);
    const { streamsPerPeerMax = STREAMS_PER_PEER_MAX, acceptEarly: isEarlyAccepted = false } = options;
    this.#node.command((machine) => machine.serve(name, versions, { streamsPerPeerMax, isEarlyAccepted }));
    this.#handlers.set(name, handler);
    return disposable(() => {
      if (this.#handlers.get(name) !== handler) return;
      this.#handlers.delete(name);
      this.#node.command((machine) => machine.unserve(name));
    });
  }

  /** Hands an accepted stream to its handler. */
  serve(stream: StreamHandle, peer: PeerHandle): void {
    const name = stream.protocol.slice(0, stream.protocol.lastIndexOf("/"));
    const handler = this.#handlers.get(name);
    if (handler === undefined) {
      stream.resetFor("unknown_protocol");
      return;
    }
    // In a promise, so that a handler that throws at once is caught as well.
    void Promise.resolve()
      .then(() => handler(stream, peer))
      .catch((error: unknown) => {
        stream.resetFor("handler_failed");
        this.#node.tellHandlerFailed(stream.protocol, peer, error);
      });
  }
}
