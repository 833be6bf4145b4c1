/**
 * A browser as Viaduct sees it: it dials WebSockets and listens to nothing.
 *
 * @module
 */

import { ViaductError } from "../../core/error.ts";
import { formatAddress } from "../address.ts";
import { fillRandom } from "../random_fill.ts";
import type { Runtime } from "../runtime.ts";
import { clampDelay } from "../timer_delay.ts";
import { dialWebSocketClient } from "../web_socket_client.ts";
import { browserProvider } from "./crypto.ts";
import { keyDatabase } from "./key_database.ts";

/** The runtime of a browser tab or worker. */
export function browserRuntime(): Runtime {
  return {
    name: "browser",
    crypto: browserProvider,
    canDial: ["ws", "wss"],
    canListen: [],
    keys: keyDatabase,
    random: fillRandom,
    now: () => performance.now(),
    unixMs: () => Date.now(),
    setTimer: (callback, delayMs) => {
      const timer = setTimeout(callback, clampDelay(delayMs));
      return { cancel: () => clearTimeout(timer) };
    },
    dial: (address, handler, options) =>
      address.scheme === "tcp"
        ? Promise.reject(new ViaductError("unsupported", { detail: `A browser cannot dial ${formatAddress(address)}` }))
        : dialWebSocketClient(address, handler, options),
    listen: () => Promise.reject(new ViaductError("unsupported", { detail: "A browser cannot listen" })),
  };
}
