/**
 * A node's conversation with itself, in the process and without a session.
 *
 * @module
 */

import { ViaductError } from "../../core/error.ts";
import type { QueuedMessage } from "./message_inbox.ts";
import type { NodeHandle } from "./node.ts";
import type { NodeId, Peer, RequestHandler, SendOptions, Value, WaitOptions } from "./types.ts";
import { waitFor } from "./waiting.ts";

/** A node talking to itself: values are encoded and decoded, so that the receiver has a copy of its own. */
export class LoopbackPeer {
  readonly #node: NodeHandle<never>;
  readonly #deliver: (message: QueuedMessage) => void;
  readonly #responders: ReadonlyMap<string, RequestHandler>;

  constructor(
    node: unknown,
    deliver: (message: QueuedMessage) => void,
    responders: ReadonlyMap<string, RequestHandler>,
  ) {
    this.#node = node as NodeHandle<never>;
    this.#deliver = deliver;
    this.#responders = responders;
  }

  #copy(value: Value): Value {
    return this.#node.codec.decode(this.#node.codec.encode(value, this.#node.limits.messageBytesMax));
  }

  async send(value: Value, options: SendOptions = {}): Promise<void> {
    const from = this as unknown as Peer;
    this.#deliver({ from, topic: options.topic ?? "", value: this.#copy(value), session: 0, size: 0 });
  }

  async request(name: string, value: Value, options: WaitOptions = {}): Promise<Value> {
    const handler = this.#responders.get(name);
    if (handler === undefined) throw new ViaductError("unknown_protocol", { detail: `Nothing responds to '${name}'` });
    const controller = new AbortController();
    const peer = this as unknown as Peer;
    const answer = Promise.resolve(handler(this.#copy(value), { peer, signal: controller.signal }));
    return this.#copy(await waitFor(answer, options, this.#node.runtime, () => controller.abort()));
  }

  get id(): NodeId {
    return this.#node.id;
  }
}
