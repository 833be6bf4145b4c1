/**
 * Attempts to connect that somebody waits for.
 *
 * The invariant to hold: each attempt is settled once, and one that was given up is cancelled in the machine.
 *
 * @module
 */

import { ViaductError } from "../../core/error.ts";
import type { DialId, SessionId } from "../../core/node/endpoint_types.ts";
import type { ConnectTarget, NodeEvent } from "../../core/node/node_types.ts";
import { SELF_ADDRESS } from "../self_pipe.ts";
import type { NodeHandle } from "./node.ts";
import type { PeerHandle } from "./peer.ts";
import type { ConnectOptions } from "./types.ts";
import { type Deferred, deferred, waitFor } from "./waiting.ts";

/** The attempts of a node. */
export class Dials {
  readonly #node: NodeHandle;
  readonly #initMessage: Uint8Array | undefined;
  readonly #waiting = new Map<DialId, Deferred<PeerHandle>>();

  constructor(node: NodeHandle, initMessage: Uint8Array | undefined) {
    this.#node = node;
    this.#initMessage = initMessage;
  }

  async connect(target: ConnectTarget, options: ConnectOptions): Promise<PeerHandle> {
    const { isAnonymous = false, via = "auto", timeoutMs, signal } = options;
    const initMessage = this.#initMessage;
    // A node reaches itself without a socket.
    const isSelf = target.id === this.#node.id && target.addresses.length === 0;
    const reachable = isSelf ? { ...target, addresses: [SELF_ADDRESS], relays: [] } : target;
    const dial = this.#node.command((machine, now) =>
      machine.connect(
        reachable,
        {
          isAnonymous,
          via: isSelf ? "direct" : via,
          ...(initMessage === undefined ? {} : { initMessage }),
          ...(timeoutMs === undefined ? {} : { timeoutMs }),
        },
        now,
      ),
    );
    const outcome = deferred<PeerHandle>();
    this.#waiting.set(dial, outcome);
    const wait = signal === undefined ? undefined : { signal };
    const peer = await waitFor(outcome.promise, wait, this.#node.runtime, () => {
      this.#waiting.delete(dial);
      this.#node.command((machine, now) => machine.cancelConnect(dial, now));
    });
    // Refused right after the handshake, by a ban list or an `accept` that says no.
    if (peer.error !== undefined) throw peer.error;
    return peer;
  }

  onEnd(
    event: Extract<NodeEvent, { type: "connected" | "connectFailed" }>,
    peerOf: (session: SessionId) => PeerHandle | undefined,
  ): void {
    const outcome = this.#waiting.get(event.dial);
    this.#waiting.delete(event.dial);
    if (event.type === "connectFailed") {
      outcome?.reject(new ViaductError(event.code, event.detail === "" ? {} : { detail: event.detail }));
      return;
    }
    const peer = peerOf(event.session);
    if (peer === undefined) outcome?.reject(new ViaductError("closed", { detail: "The session ended at once" }));
    else outcome?.resolve(peer);
  }

  /** The node ended. */
  fail(error: ViaductError): void {
    for (const outcome of this.#waiting.values()) outcome.reject(error);
    this.#waiting.clear();
  }
}
