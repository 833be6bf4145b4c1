/**
 * Bun as Viaduct sees it.
 *
 * @module
 */

import { ViaductError } from "../../core/error.ts";
import { EarlyTickets } from "../../core/node/early_tickets.ts";
import { formatAddress } from "../address.ts";
import { hostAddresses } from "../node/host_addresses.ts";
import { keyFiles } from "../node/key_file.ts";
import { resolveHost } from "../node/resolve.ts";
import { fillRandom } from "../random_fill.ts";
import type { Runtime } from "../runtime.ts";
import { clampDelay } from "../timer_delay.ts";
import { dialWebSocketClient } from "../web_socket_client.ts";
import { bunProvider } from "./crypto.ts";
import { dialBunTcp, listenBunTcp } from "./tcp.ts";
import { bindBunUdp } from "./udp.ts";
import { listenBunWebSocket } from "./websocket.ts";

/** The runtime of Bun: its own TCP, HTTP and WebSocket. */
export function bunRuntime(): Runtime {
  return {
    name: "bun",
    crypto: bunProvider,
    canDial: ["tcp", "udp", "ws", "wss"],
    canListen: ["tcp", "udp", "ws"],
    keys: keyFiles,
    bindDatagrams: bindBunUdp,
    makeEarlyTickets: (env, early) => new EarlyTickets(env, early),
    resolve: resolveHost,
    random: fillRandom,
    hostAddresses,
    now: () => performance.now(),
    unixMs: () => Date.now(),
    setTimer: (callback, delayMs, options) => {
      const timer = setTimeout(callback, clampDelay(delayMs));
      if (options?.isBackground === true) (timer as unknown as { unref?: () => void }).unref?.();
      return { cancel: () => clearTimeout(timer) };
    },
    dial: (address, handler, options) =>
      address.scheme === "tcp" ? dialBunTcp(address, handler, options) : dialWebSocketClient(address, handler, options),
    listen: (address, onPipe, options = {}) => {
      if (address.scheme === "tcp") return listenBunTcp(address, onPipe, options);
      if (address.scheme === "ws") return listenBunWebSocket(address, onPipe, options);
      const detail = `${formatAddress(address)}: put a TLS proxy in front of a ws:// listener`;
      return Promise.reject(new ViaductError("unsupported", { detail }));
    },
  };
}
