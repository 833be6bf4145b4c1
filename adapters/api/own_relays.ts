/**
 * The relays that a node wants to be registered with, as the program sees them, and what they gave it.
 *
 * @module
 */

import type { NodeEvent as MachineEvent, RelayId } from "../../core/node/node_types.ts";
import type { RelayStatus } from "./types.ts";

/** The relays of a node. */
export class OwnRelays {
  readonly #statuses = new Map<RelayId, RelayStatus>();
  /** The name given by the first relay that registered the node. */
  name: string | undefined;
  /** What brings the name back. */
  token: Uint8Array | undefined;

  constructor(token: Uint8Array | undefined) {
    this.token = token;
  }

  get statuses(): RelayStatus[] {
    return [...this.#statuses.values()];
  }

  /** Takes news of one and returns them for the program. */
  update(event: Extract<MachineEvent, { type: "relay" }>): RelayStatus {
    if (event.state === "registered") {
      this.name ??= event.name;
      this.token = event.token ?? this.token;
    }
    const { address, id, state, name, error, retryInMs } = event;
    const status: RelayStatus = { address, id, state, name, error, retryInMs };
    this.#statuses.set(event.relay, status);
    return status;
  }
}
